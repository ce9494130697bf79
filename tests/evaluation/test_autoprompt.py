"""AutoPrompt: gradients against finite differences, the search against trying all, figures against transformers."""

from __future__ import annotations

import itertools
import random
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from maskwright.errors import RecipeError
from maskwright.evaluation import autoprompt
from maskwright.evaluation.autoprompt import AutoPrompt, best_tokens
from maskwright.evaluation.cloze import ClozeEncoder
from maskwright.evaluation.intervals import proportion
from maskwright.evaluation.prompted import Prompted, projection
from maskwright.evaluation.source import Splits
from maskwright.evaluation.subject import Foreign, Subject
from maskwright.evaluation.supervised import labelled
from maskwright.evaluation.tasks import make
from maskwright.evaluation.tools import Tools
from maskwright.evaluation.verbalizer import searched
from maskwright.models import ModelRecipe

LABELS = {"pos": ["state"], "neg": ["was", "in"]}
WORDS = ["the", "of", "children", "travel", "careless"]
SIZES = {"train": 30, "dev": 20, "test": 25}


@pytest.fixture(scope="module")
def reviews(tmp_path_factory) -> Splits:
    """Texts of three to seven words, one of which tells the class."""
    folder = tmp_path_factory.mktemp("reviews")
    draw = random.Random(0)
    for part, count in SIZES.items():
        lines = ["text\tlabel"]
        for _ in range(count):
            label = draw.choice(["pos", "neg"])
            words = [{"pos": "art", "neg": "lost"}[label], *draw.choices(WORDS, k=draw.randint(2, 6))]
            draw.shuffle(words)
            lines.append(f"{' '.join(words)}\t{label}")
        (folder / f"{part}.tsv").write_text("\n".join(lines))
    return Splits(*(str(folder / f"{part}.tsv") for part in SIZES))


class Ready:
    """What the suite puts together before it searches."""

    def __init__(self, suite: AutoPrompt, subject: Subject, tools: Tools | None = None) -> None:
        self.tools = tools or Tools()
        self.task = make("classification", None, None, None)
        data = labelled(self.task, suite.data, subject, None, 0.1, None)
        encoder = ClozeEncoder(suite.template, subject.tokenizer, subject.length, subject.mask)
        self.prompts = {part: autoprompt._prompts(self.task, data, part, encoder) for part in data.rows}
        self.prompted = Prompted(subject, self.task, self.tools)
        words = [subject.tokenizer.convert_tokens_to_ids(LABELS[name]) for name in self.task.classes]
        self.prompted.words = [torch.tensor(tokens) for tokens in words]
        self.start_T = torch.full((suite.template.triggers,), subject.mask)
        self.allowed_V = autoprompt._allowed(subject, autoprompt._special(subject).union(*words), False)


def family(subject, name: str) -> Subject:
    bert = subject("bert")
    if name == "foreign":
        return Subject(Foreign(bert.network.hf), bert.tokenizer, "mlm", 96, "foreign")
    if name == "ltg_bert":  # its weights begin wide by themselves
        config = dict(
            hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=48, position_buckets=8
        )
        torch.manual_seed(7)
        network = ModelRecipe(name, config).build(bert.tokenizer, 96, "mlm").eval()
        return Subject(network, bert.tokenizer, "mlm", 96, name)
    return subject(name)


def balanced(subject: Subject, ready: Ready) -> None:
    """Moves the bias of one label word until the prompt of masks calls half of the texts each: accuracies then vary."""
    words = [tokens.tolist() for tokens in ready.prompted.words]
    start = [subject.mask] * len(ready.start_T)
    logp_NC = np.array([plain_logp(subject, one, start, words) for one in ready.prompts["train"]])
    with torch.no_grad():
        subject.network.hf.get_output_embeddings().bias[words[1]] += np.median(logp_NC[:, 0] - logp_NC[:, 1])


def plain_logp(subject: Subject, example, trigger_T, words) -> list[float]:
    """log P of each class by plain transformers, one prompt at a time."""
    ids = torch.from_numpy(example.ids_L.copy())
    ids[example.facts["trigger_T"]] = torch.as_tensor(trigger_T)
    with torch.no_grad():
        logp_V = subject.network.hf(input_ids=ids[None]).logits[0, example.facts["slot"]].double().log_softmax(0)
    return [logp_V[list(tokens)].logsumexp(0).item() for tokens in words]


def plain_score(subject, examples, trigger_T, words) -> dict[str, float]:
    logp_NC = np.array([plain_logp(subject, one, trigger_T, words) for one in examples])
    target_N = np.array([one.target for one in examples])
    right = (logp_NC.argmax(1) == target_N).mean()
    return {"accuracy": right, "likelihood": logp_NC[np.arange(len(target_N)), target_N].mean()}


@pytest.mark.parametrize("name", ["bert", "electra", "modernbert", "deberta_v2", "ltg_bert", "foreign"])
def test_the_first_order_score_is_the_finite_difference(name, reviews, subject):
    """A small step of one trigger's embedding towards another token's changes the loss as its score says."""
    model = family(subject, name)
    model.network.double()
    ready = Ready(
        AutoPrompt(reviews, labels=LABELS), model, Tools(positions=1000)
    )  # several batches, of several lengths
    prompted, examples = ready.prompted, ready.prompts["train"]
    trigger_T = torch.tensor(model.tokenizer.convert_tokens_to_ids(["of", "the", "##ly"]))
    gradient_TE, table_VE = prompted.gradient(examples, trigger_T), prompted.table()
    assert gradient_TE.shape == (3, table_VE.shape[1]) and table_VE.dtype == torch.float64
    step, token = (1e-2 if name == "modernbert" else 1e-4), model.tokenizer.convert_tokens_to_ids("care")
    (rows,) = Prompted(model, ready.task, Tools(positions=100_000))._batches(examples, 100_000)
    filled = rows.filled(trigger_T[None])

    def loss(place: int, size: float) -> float:
        def moved(module, inputs, output):
            away = torch.zeros_like(output)
            away[torch.arange(len(output)), rows.trigger_BT[:, place]] = size * (
                table_VE[token] - table_VE[trigger_T[place]]
            )
            return output + away

        hook = model.network.hf.get_input_embeddings().register_forward_hook(moved)
        try:
            with torch.no_grad():
                mask = torch.ones_like(filled.ids_BL) if filled.valid_BL is None else filled.valid_BL.long()
                logits = model.network.hf(input_ids=filled.ids_BL, attention_mask=mask).logits
        finally:
            hook.remove()
        logp_BV = logits[torch.arange(len(logits)), rows.slot_B].log_softmax(-1)
        own_BC = torch.stack([logp_BV[:, words].logsumexp(-1) for words in prompted.words], -1)
        return -own_BC.gather(1, rows.target_B[:, None]).mean().item()

    for place in range(3):
        slope = (loss(place, step) - loss(place, -step)) / (2 * step)
        score = (gradient_TE[place] @ (table_VE[token] - table_VE[trigger_T[place]])).item()
        assert abs(slope) > 1e-4 and score == pytest.approx(slope, rel=step)


def test_the_gradient_does_not_hold_the_tables_use_as_output(reviews, subject):
    """In a tied network the table's own gradient is another one; and it stays empty."""
    bert = subject("bert")
    ready = Ready(AutoPrompt(reviews, labels=LABELS), bert)
    tied = bert.network.hf.get_output_embeddings().weight is bert.network.word_embeddings.weight
    assert tied and ready.prompted.gradient(ready.prompts["train"], ready.start_T).abs().sum() > 0
    assert all(parameter.grad is None for parameter in bert.network.parameters())


def test_a_compiled_body_gives_the_same_gradient(reviews, subject):
    bert = subject("bert")
    ready = Ready(AutoPrompt(reviews, labels=LABELS), bert)
    plain = ready.prompted.gradient(ready.prompts["dev"], ready.start_T)
    bert.network.body.compile(backend="eager")
    for rows in ready.prompted._batches(ready.prompts["dev"], 1024):  # compiled before there was a hook
        bert.network.encode(rows.ids_BL, rows.valid_BL, padded=rows.valid_BL is not None)
    assert torch.equal(ready.prompted.gradient(ready.prompts["dev"], ready.start_T), plain)


def test_batches_change_nothing(reviews, subject):
    bert = subject("bert")
    few, many = (Ready(AutoPrompt(reviews, labels=LABELS), bert, Tools(positions=n)) for n in (20, 100_000))
    triggers_KT = torch.randint(5, 60, (7, 3), generator=torch.Generator().manual_seed(0))
    one, other = (ready.prompted.judge(ready.prompts["train"], triggers_KT) for ready in (few, many))
    assert one["likelihood"] == pytest.approx(other["likelihood"], abs=1e-5)
    assert np.array_equal(one["accuracy"], other["accuracy"])
    gradients = [ready.prompted.gradient(ready.prompts["train"], ready.start_T) for ready in (few, many)]
    assert torch.allclose(*gradients, atol=1e-6)


def test_candidates_are_the_allowed_tokens_that_lower_the_loss_most():
    table_VE = torch.tensor([[1.0, 0], [-3, 0], [-2, 9], [5, 0], [-1, 0]])
    allowed_V = torch.tensor([True, False, True, True, True])
    assert best_tokens(table_VE, torch.tensor([1.0, 0]), allowed_V, 2).tolist() == [2, 4]
    assert best_tokens(table_VE, torch.tensor([1.0, 0]), allowed_V, 9).tolist() == [2, 4, 0, 3]


def test_special_tokens_label_words_and_capitals_are_no_candidates(subject):
    bpe = subject("bert", "bpe")
    names = bpe.tokenizer.convert_ids_to_tokens(range(len(bpe.tokenizer)))
    banned = {*autoprompt._special(bpe), names.index("the")}
    small, all_V = autoprompt._allowed(bpe, banned, False), autoprompt._allowed(bpe, banned, True)
    assert {names[n] for n in range(len(names)) if not all_V[n]} == {
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        "the",
    }
    assert {names[n] for n in range(len(names)) if all_V[n] and not small[n]} == {chr(n) for n in range(65, 91)}


@pytest.mark.parametrize("score", ["accuracy", "likelihood"])
def test_with_every_token_tried_the_best_one_is_found(score, reviews, subject):
    """One trigger, every token a candidate, all rows read: the search is exhaustive, and equals trying by hand."""
    bert = subject("bert")
    suite = AutoPrompt(reviews, template="{text} {trigger} {mask}", labels=LABELS, score=score, candidates=1000,
                       iterations=1)  # fmt: skip
    ready = Ready(suite, bert)
    balanced(bert, ready)
    train = ready.prompts["train"][:12]
    words = [tokens.tolist() for tokens in ready.prompted.words]
    value = {n: plain_score(bert, train, [n], words)[score] for n in ready.allowed_V.nonzero()[:, 0].tolist()}
    (*_, last) = suite.search(ready.prompted, train, train, ready.start_T, ready.allowed_V)
    assert last.iteration == 1 and last.score == pytest.approx(max(value.values()), abs=1e-5)
    assert value[int(last.trigger_T[0])] == pytest.approx(max(value.values()), abs=1e-5)
    assert max(value.values()) > plain_score(bert, train, [bert.mask], words)[score]


class Bag(nn.Module):
    """A linear network: the sum of its tokens' embeddings, read at every position."""

    def __init__(self, polarity_V: torch.Tensor, output_V: torch.Tensor) -> None:
        super().__init__()
        self.table = nn.Embedding.from_pretrained(polarity_V[:, None])
        self.out = nn.Linear(1, len(output_V), bias=False)
        self.out.weight.data = output_V[:, None]
        self.config = SimpleNamespace(vocab_size=len(output_V))

    hf = body = property(lambda self: self)
    can = frozenset()

    def get_input_embeddings(self):
        return self.table

    def get_output_embeddings(self):
        return self.out

    def encode(self, ids_BL, valid_BL, *, padded, place_BK):
        keep_BL1 = 1 if valid_BL is None else valid_BL[..., None]
        return (self.table(ids_BL) * keep_BL1).sum(1, keepdim=True).expand(-1, place_BK.shape[1], -1)

    def predict(self, hidden):
        return self.out(hidden)


@pytest.mark.parametrize("score", ["accuracy", "likelihood"])
def test_a_planted_trigger_is_found(score, reviews, subject):
    """The mask pulls every text to one side. To first order `.` mends it best, but that pulls too far; `,` is right."""
    tokenizer = subject("bert").tokenizer

    def vector(**values: float) -> torch.Tensor:
        found = torch.zeros(len(tokenizer))
        for token, value in values.items():
            found[tokenizer.convert_tokens_to_ids({"comma": ",", "stop": ".", "mask": "[MASK]"}.get(token, token))] = (
                value
            )
        return found

    bag = Bag(vector(art=2, lost=-2, mask=3, comma=-3, stop=-9), vector(state=1, was=-1))
    model = Subject(bag, tokenizer, "mlm", 96, "bag")
    labels = {"pos": ["state"], "neg": ["was"]}
    template = "{text} {trigger} {mask}"
    right = AutoPrompt(reviews, template=template, labels=labels, score=score, candidates=2, iterations=3)
    result = right.run(model, Tools())
    assert result.facts["trigger"] == [","] and result.figures["test/accuracy"] == 1.0
    positive = sum(row["label"] == "pos" for row in reviews.rows("test")) / SIZES["test"]
    assert result.figures["initial/accuracy"] == pytest.approx(positive)  # masks alone: all on one side
    one = AutoPrompt(reviews, template=template, labels=labels, score="accuracy", candidates=1, iterations=3)
    assert one.run(model, Tools()).facts["trigger"] != [","]  # not among the candidates
    labels = {"pos": ["state"], "neg": ["was", ","]}
    banned = AutoPrompt(reviews, template=template, labels=labels, score=score, candidates=2, iterations=3)
    assert banned.run(model, Tools()).facts["trigger"] != [","]  # a label word


@pytest.mark.parametrize("score", ["accuracy", "likelihood"])
def test_what_is_kept_never_gets_worse_on_dev(score, reviews, subject):
    bert = subject("bert")
    suite = AutoPrompt(reviews, labels=LABELS, score=score, candidates=8, rows=8, iterations=12)
    ready = Ready(suite, bert)
    balanced(bert, ready)
    words = [tokens.tolist() for tokens in ready.prompted.words]
    seen = []
    judge = ready.prompted.judge

    def noted(examples, triggers_KT):
        found = judge(examples, triggers_KT)
        seen.append((len(triggers_KT), found[score][0]))
        return found

    ready.prompted.judge = noted
    course = suite.search(ready.prompted, ready.prompts["train"], ready.prompts["dev"], ready.start_T, ready.allowed_V)
    assert len(course) > 1 and course[0].trigger_T is ready.start_T
    assert all(before.score < after.score for before, after in itertools.pairwise(course))
    for kept in course:
        assert kept.score == pytest.approx(
            plain_score(bert, ready.prompts["dev"], kept.trigger_T, words)[score], abs=1e-5
        )
    on_dev = [value for count, value in seen if count == 1]
    assert course[-1].score == max(on_dev)
    banned = set((~ready.allowed_V).nonzero()[:, 0].tolist()) - {bert.mask}
    assert not banned & set(course[-1].trigger_T.tolist())


def test_figures_are_those_of_plain_transformers(reviews, subject, monkeypatch):
    bert = subject("bert")
    suite = AutoPrompt(reviews, labels=LABELS, candidates=8, iterations=6)
    judge, read = Prompted.judge, []
    monkeypatch.setattr(
        Prompted, "judge", lambda own, examples, *more: (read.append(len(examples)), judge(own, examples, *more))[1]
    )
    result = suite.run(bert, Tools())
    assert read[0] == SIZES["dev"] and read.index(SIZES["test"]) == len(read) - 1  # test once, and last
    ready = Ready(suite, bert)
    test = ready.prompts["test"]
    words = [tokens.tolist() for tokens in ready.prompted.words]
    trigger = bert.tokenizer.convert_tokens_to_ids(result.facts["trigger"])
    own, initial = (plain_score(bert, test, one, words) for one in (trigger, [bert.mask] * 3))
    assert next(iter(result.figures)) == "test/accuracy"
    interval = proportion(own["accuracy"] * SIZES["test"], SIZES["test"])
    assert [result.figures[f"test/accuracy{end}"] for end in ("", "/low", "/high")] == pytest.approx(list(interval))
    assert result.figures["test/likelihood"] == pytest.approx(own["likelihood"], abs=1e-5)
    assert result.figures["initial/accuracy"] == pytest.approx(initial["accuracy"])
    rows = {part: [row["label"] for row in reviews.rows(part)] for part in ("train", "test")}
    most = max(set(rows["train"]), key=rows["train"].count)
    assert result.figures["baseline/accuracy"] == pytest.approx(rows["test"].count(most) / SIZES["test"])
    assert result.facts["prompt"] == "{text} " + " ".join(result.facts["trigger"]) + " {mask}."
    assert result.facts["label_words"] == {"neg": ["was", "in"], "pos": ["state"]}


def test_label_search_ranks_by_the_softmax_over_classes(subject):
    """Three classes whose states are the output embeddings of known tokens: those tokens come out first."""
    bert = subject("bert")
    output_VE = projection(bert.network).weight.detach().numpy()
    planted = np.array([20, 30, 40])
    draw = np.random.default_rng(0)
    target_N = np.repeat(np.arange(3), 40)
    states_NE = 5 * output_VE[planted[target_N]] + 0.1 * draw.standard_normal((120, output_VE.shape[1]))
    allowed_V = np.ones(len(output_VE), dtype=bool)
    words = searched(states_NE, target_N, output_VE, allowed_V, 4)
    assert [tokens[0] for tokens in words] == planted.tolist()
    assert len({token for tokens in words for token in tokens}) == 12
    allowed_V[planted] = False
    assert not set(planted) & {
        token for tokens in searched(states_NE, target_N, output_VE, allowed_V, 4) for token in tokens
    }


@pytest.mark.parametrize("classes", [2, 3])
def test_label_search_is_a_logistic_regression(classes, subject):
    from sklearn.linear_model import LogisticRegression

    output_VE = projection(subject("bert").network).weight.detach().numpy()
    draw = np.random.default_rng(1)
    target_N = np.arange(60) % classes
    states_NE = draw.standard_normal((60, output_VE.shape[1])) + target_N[:, None] * draw.standard_normal(
        output_VE.shape[1]
    )
    model = LogisticRegression(max_iter=1000).fit(states_NE, target_N)
    model.intercept_[:] = 0
    chance_VC = model.predict_proba(output_VE)
    words = searched(states_NE, target_N, output_VE, np.ones(len(output_VE), dtype=bool), 5)
    for number in range(classes):
        own = [token for token in np.argsort(-chance_VC[:, number]) if chance_VC[token].argmax() == number]
        assert words[number] == own[:5]


@pytest.mark.parametrize("name", ["bert", "electra", "modernbert", "deberta_v2", "distilbert", "ltg_bert", "foreign"])
def test_the_slots_state_is_what_the_projection_reads(name, reviews, subject):
    """State times output embeddings, and the bias, are the logits: whatever the head does before."""
    model = family(subject, name)
    ready = Ready(AutoPrompt(reviews, labels=LABELS), model, Tools(positions=200))
    examples = sorted(ready.prompts["train"], key=lambda one: len(one.ids_L))
    states_NE, target_N = ready.prompted.states(examples)
    head = projection(model.network)
    assert target_N.tolist() == [one.target for one in examples]
    for state, example in zip(states_NE[::7], examples[::7]):
        with torch.no_grad():
            logits = model.network.hf(input_ids=torch.from_numpy(example.ids_L)[None]).logits[0, example.facts["slot"]]
            own = torch.nn.functional.linear(torch.from_numpy(state), head.weight, head.bias)
        assert torch.allclose(own, logits, atol=1e-3)


def test_labels_are_found_where_none_are_given(reviews, subject):
    bert = subject("bert")
    result = AutoPrompt(reviews, label_words=2, candidates=4, iterations=2).run(bert, Tools())
    found = [token for tokens in result.facts["label_words"].values() for token in tokens]
    assert len(set(found)) == 4 and not set(found) & set(bert.tokenizer.all_special_tokens)
    assert not set(found) & set(result.facts["trigger"]) and result.facts["found_labels"]


def test_the_network_and_the_random_state_stay_as_they_were(reviews, subject):
    bert = subject("bert", hidden_dropout_prob=0.3)
    bert.network.train()
    before = [value.clone() for value in bert.network.state_dict().values()]
    suite = partial(AutoPrompt, reviews, None, None, score="likelihood", rows=8, candidates=8, iterations=6)
    states = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002
    results = [suite(seed=seed).run(bert, Tools()) for seed in (1, 1, 2)]
    assert torch.equal(torch.get_rng_state(), states[0]) and random.getstate() == states[2]
    assert np.array_equal(np.random.get_state()[1], states[1])  # noqa: NPY002
    assert all(torch.equal(a, b) for a, b in zip(before, bert.network.state_dict().values(), strict=True))
    assert bert.network.training and all(parameter.grad is None for parameter in bert.network.parameters())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in bert.network.modules())
    assert results[0].plain() == results[1].plain() != results[2].plain()  # no dropout, and the seed alone


def test_mistakes_are_named(reviews, subject):
    for settings, sentence in (
        ({"template": "{text} {mask}"}, r"has no \{trigger\} to be found"),
        ({"score": "f1"}, "evaluation.score is 'f1'; choose accuracy or likelihood"),
        ({"candidates": 0}, "evaluation.candidates is 0"),
        ({"dev_share": 1.0}, "evaluation.dev_share is 1.0"),
        ({"labels": {"pos": [], "neg": ["was"]}}, r"evaluation.labels.pos is \[\]; give a list of words"),
        ({"labels": {"pos": "good", "neg": ["was"]}}, "evaluation.labels.pos is 'good'; give a list of words"),
        ({"text": ["a", "b"]}, r"names columns \(2\)"),
    ):
        with pytest.raises(RecipeError, match=sentence):
            AutoPrompt(reviews, **settings)
    bert = subject("bert")
    for labels, sentence in (
        ({"pos": ["state"]}, "words for pos, and the data has the classes neg, pos"),
        ({"pos": ["state"], "neg": ["souvenir"]}, "evaluation.labels.neg: 'souvenir' is not a single token here"),
        ({"pos": ["state"], "neg": ["State"]}, "'state' stands for neg and for pos"),
    ):
        with pytest.raises(RecipeError, match=sentence):
            AutoPrompt(reviews, labels=labels).run(bert, Tools())
    with pytest.raises(RecipeError, match="evaluation=autoprompt fills masks, and run=llama is a causal model"):
        AutoPrompt(reviews).check(subject("llama"))
    modern = subject("deberta_v2", legacy=False)
    with pytest.raises(RecipeError, match="give words in evaluation.labels"):
        AutoPrompt(reviews).check(modern)
    AutoPrompt(reviews, labels=LABELS).check(modern)
