"""The scorer against brute force, chain-rule identities, and itself in another order, repetition and batching."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

from maskwright.errors import RecipeError
from maskwright.evaluation.plans import PLANS
from maskwright.evaluation.scorer import Scorer
from maskwright.evaluation.subject import Subject
from maskwright.evaluation.texts import Encoder, Request
from maskwright.evaluation.tools import Tools

MASKED = ("bert", "roberta", "electra", "deberta_v2", "deberta_v3", "modernbert")
RELATIVE = {"relative_attention": True, "position_buckets": 8, "pos_att_type": ["p2c", "c2p"]}
MORE = {
    "deberta_v2": {**RELATIVE, "conv_kernel_size": 3},
    "deberta_v3": RELATIVE,
    "modernbert": {"global_attn_every_n_layers": 2, "local_attention": 8},
}  # fmt: skip


def words_of(subject: Subject, text: str) -> list[int]:
    """The word of each token, by characters: the slow way."""
    encoded = subject.tokenizer(text, return_offsets_mapping=True, return_special_tokens_mask=True)
    words, found = [], []
    for place, character in enumerate(text):
        inner = character.isalnum() or (
            character in "'’" and 0 < place < len(text) - 1 and text[place - 1].isalnum() and text[place + 1].isalnum()
        )
        han = "\u4e00" <= character <= "\u9fff"
        joined = inner and not han and words and words[-1] is not None and words[-1][1]
        number = words[-1][0] if joined else sum(1 for word in {word[0] for word in words if word})
        words.append(None if character.isspace() else (number, inner and not han))
    for (_start, end), special in zip(encoded["offset_mapping"], encoded["special_tokens_mask"], strict=True):
        after = next((word for word in words[end - 1 :] if word), None)  # white space alone goes with what follows
        found.append(-1 if special else after[0])
    return found


def brute_force(subject: Subject, text: str, plan: str, answer: list[bool] | None = None) -> list[float]:
    """One forward pass of plain transformers for each token."""
    ids = torch.tensor(subject.tokenizer(text)["input_ids"])
    word = torch.tensor(words_of(subject, text))
    answer_1L = torch.tensor([answer or [False] * len(ids)])
    found = []
    for place in range(len(ids)):
        if word[place] < 0:
            continue
        hidden_L = PLANS[plan](word[None], answer_1L, torch.tensor([place]))[0]
        shown = torch.where(hidden_L, subject.mask, ids)
        with torch.no_grad():
            logits = subject.network.hf(input_ids=shown[None]).logits[0, place]
        found.append(logits.double().log_softmax(-1)[ids[place]].item())
    return found


@pytest.mark.parametrize("tokenizer", ["wordpiece", "bpe"])
@pytest.mark.parametrize("plan", ["original", "word_l2r", "whole_word", "global_l2r"])
def test_scores_equal_brute_force(plan, tokenizer, subject, sentences):
    bert = subject("bert", tokenizer)
    scores = Scorer(bert, plan=plan)((text, text) for text in sentences)
    assert set(scores) == set(sentences)
    for text in sentences:
        assert scores[text].logp_T == pytest.approx(brute_force(bert, text, plan), abs=1e-4)


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("family", MASKED)
def test_every_family_equals_its_whole_network(family, layers, subject, sentences):
    """Also where the last layer is computed for the scored place alone."""
    model = subject(family, num_hidden_layers=layers, **MORE.get(family, {}))
    scores = Scorer(model)((text, text) for text in sentences)
    for text in sentences:
        assert scores[text].logp_T == pytest.approx(brute_force(model, text, "word_l2r"), abs=1e-4)


def test_a_causal_model_is_scored_exactly(subject, sentences):
    llama = subject("llama")
    scores = Scorer(llama)((text, text) for text in sentences)
    for text in sentences:
        ids = torch.tensor(llama.tokenizer(text)["input_ids"])
        with torch.no_grad():
            logp_LV = llama.network.hf(input_ids=ids[None]).logits[0].double().log_softmax(-1)
        expected = logp_LV[:-1].gather(1, ids[1:, None])[:-1, 0]  # [CLS] begins, [SEP] is not scored
        assert scores[text].logp_T == pytest.approx(expected.numpy(), abs=1e-4)


def test_the_first_token_of_a_causal_model_needs_a_bos(subject, sentences):
    """Where the template has no special token, BOS is put first if there is one, else the first token is left out."""
    llama = subject("llama")
    from tokenizers import processors

    llama.tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(single="$A", special_tokens=[])
    text = sentences[0]
    without = Scorer(llama)([(0, text)])[0]
    llama.tokenizer.bos_token = "[CLS]"
    with_it = Scorer(llama)([(0, text)])[0]
    assert with_it.n == without.n + 1 == len(llama.tokenizer(text)["input_ids"])
    ids = torch.tensor([llama.tokenizer.cls_token_id, *llama.tokenizer(text)["input_ids"]])
    with torch.no_grad():
        logp_LV = llama.network.hf(input_ids=ids[None]).logits[0].double().log_softmax(-1)
    assert with_it.logp_T == pytest.approx(logp_LV[:-1].gather(1, ids[1:, None])[:, 0].numpy(), abs=1e-4)


@pytest.mark.parametrize("family", ["bert", "llama"])
def test_order_repetition_batching_and_padding_change_nothing(family, subject, sentences):
    model = subject(family)
    requests = [(text, text) for text in sentences] + [("span", sentences[0], (4, 13))]
    base = Scorer(model, Tools(positions=4096))(requests)
    reordered = Scorer(model, Tools(positions=4096))(
        [((n, key), *rest) for n in (1, 2) for key, *rest in requests[::-1]]
    )
    for key, score in base.items():
        for copy in (1, 2):
            assert np.array_equal(reordered[copy, key].logp_T, score.logp_T)  # the very same batches
    for positions in (1, 20, 100, 10_000):
        other = Scorer(model, Tools(positions=positions))(requests)
        alone = Scorer(model, Tools(positions=positions))(requests[:1])
        for key, score in base.items():
            assert other[key].logp_T == pytest.approx(score.logp_T, abs=1e-5)
        assert alone[sentences[0]].sum == pytest.approx(base[sentences[0]].sum, abs=1e-5)


class Eight(Tools):
    """Rows as on a GPU: in multiples of 8 tokens."""

    multiple = 8


@pytest.mark.parametrize("family", ["bert", "modernbert", "llama"])
def test_rows_in_multiples_of_8_give_the_same_scores(family, subject, sentences):
    model = subject(family)
    exact, padded = (Scorer(model, tools)((text, text) for text in sentences) for tools in (Tools(), Eight()))
    for text in sentences:
        assert padded[text].logp_T == pytest.approx(exact[text].logp_T, abs=1e-5)


def test_the_words_chain_rule(subject):
    """Over all fillings of a two-piece slot: word_l2r and whole_word sum to 1, original does not."""
    bert = subject("bert", initializer_range=1.0)
    tokenizer = bert.tokenizer
    # a vocabulary of 8 pieces only, so that every filling can be tried: others get no mass
    ids = torch.tensor(tokenizer.convert_tokens_to_ids(["a", "b", "c", "d", "##a", "##b", "##c", "##d"]))
    allowed_V = torch.full((len(tokenizer),), -torch.inf).index_fill_(0, ids, 0.0)
    plain = bert.network.predict

    class Restricted(torch.nn.Module):
        config = bert.network.config
        body = bert.network.body
        encode = staticmethod(bert.network.encode)

        def predict(self, hidden):
            return plain(hidden) + allowed_V

    restricted = Subject(Restricted(), tokenizer, "mlm", 96, "restricted")
    totals = {}
    for plan in ("word_l2r", "whole_word", "original"):
        scorer, total = Scorer(restricted, plan=plan), 0.0
        scorer.encoder = _Fixed(scorer.encoder)
        for slot in itertools.product(ids.tolist(), repeat=2):
            scorer.encoder.slot = slot
            total += math.exp(scorer([(0, "the xy lost", (4, 6))])[0].sum)
        totals[plan] = total
    assert totals["word_l2r"] == pytest.approx(1, abs=1e-4)
    assert totals["whole_word"] == pytest.approx(1, abs=1e-4)
    assert abs(totals["original"] - 1) > 0.01


class _Fixed:
    """`the xy lost` with any two pieces in the middle word, also such as no text would give."""

    slot: tuple[int, int]

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder

    def __call__(self, requests):
        encoded = self.encoder(requests)
        assert encoded.scored_T.sum() == 2  # x ##y
        encoded.ids_T[encoded.scored_T] = self.slot
        return encoded


def test_plans_agree_where_they_must(subject, sentences):
    bert = subject("bert")
    scores = {plan: Scorer(bert, plan=plan)([(0, sentences[1])])[0] for plan in ("original", "word_l2r", "whole_word")}
    encoded = Encoder(bert.tokenizer)([Request(0, sentences[1])])
    word = encoded.word_T[encoded.scored_T]
    first = np.diff(word, prepend=-1) != 0
    last = np.append(first[1:], True)
    assert (~first).sum() > 3 and (first & last).sum() > 1  # words of several pieces, and of one
    assert scores["original"].logp_T[last] == pytest.approx(scores["word_l2r"].logp_T[last], abs=1e-5)
    assert scores["word_l2r"].logp_T[first] == pytest.approx(scores["whole_word"].logp_T[first], abs=1e-5)
    assert not np.allclose(scores["original"].logp_T[~last], scores["word_l2r"].logp_T[~last])


@pytest.mark.parametrize("plan", ["answer_l2r+word_l2r", "joint", "answer_words"])
def test_plans_that_know_the_answer(plan, subject):
    bert = subject("bert")
    text = "the lost traveller was lost"
    span = (4, 18)
    answer = [False, False, True, True, True, False, False, False]  # [CLS] the lost travel ##ler was lost [SEP]
    whole = Scorer(bert, plan=plan)([(0, text, None, span)])[0]
    assert whole.logp_T == pytest.approx(brute_force(bert, text, plan, answer), abs=1e-4)
    part = Scorer(bert, plan=plan)([(0, text, span)])[0]  # the span is the answer
    assert part.logp_T == pytest.approx(whole.logp_T[1:4], abs=1e-5)
    with pytest.raises(RecipeError, match="needs to know the answer's characters; give a span"):
        Scorer(bert, plan=plan)([(0, text)])


def test_normalisations(subject):
    bert = subject("bert", "bpe")
    text = "Ünïcode travellers' 旅 lost."
    score = Scorer(bert)([(0, text)])[0]
    assert score.words == 6 and score.bytes == len(text.encode()) == 31
    assert score.sum == pytest.approx(score.logp_T.sum()) and score.mean == pytest.approx(score.logp_T.mean())
    assert score.per_word == pytest.approx(score.sum / 6) and score.per_byte == pytest.approx(score.sum / 31)
    part = Scorer(bert)([(0, text, (8, 18))])[0]
    assert part.words == 1 and part.bytes == 10
    several = Scorer(bert)([(0, text, [(8, 18), (22, 26)])])[0]
    assert several.words == 2 and several.n > part.n


def test_ranks_equal_a_sort(subject, sentences):
    bert = subject("bert")
    score = Scorer(bert, plan="original", ranks=True)([(0, sentences[0])])[0]
    ids = torch.tensor(bert.tokenizer(sentences[0])["input_ids"])
    for number, place in enumerate(range(1, len(ids) - 1)):
        shown = ids.clone()
        shown[place] = bert.mask
        with torch.no_grad():
            logits = bert.network.hf(input_ids=shown[None]).logits[0, place]
        assert score.better_T[number] == (logits > logits[ids[place]]).sum()
        assert score.best_T[number] == logits.argmax() and score.tied_T[number] == 1


@torch.no_grad()
def test_a_head_reads_places_in_any_order_of_rows(subject):
    model = subject("modernbert")
    head = Scorer(model).head
    ids_RL, place_P = torch.randint(5, 30, (2, 9)), torch.tensor([3, 1, 7])
    row_P, target_P = torch.tensor([1, 0, 1]), torch.tensor([6, 7, 8])
    logits_RLV = model.network.predict(model.network.encode(ids_RL, padded=False))
    expected_P = logits_RLV[row_P, place_P].log_softmax(-1).gather(1, target_P[:, None])[:, 0]
    assert torch.allclose(
        head.read(ids_RL, None, row_P, place_P, target_P, False).logp_P.float(), expected_P, atol=1e-5
    )
    each_R = head.read(ids_RL, None, None, place_P[:2], target_P[:2], False).logp_P.float()
    expected_R = logits_RLV[[0, 1], place_P[:2]].log_softmax(-1).gather(1, target_P[:2, None])[:, 0]
    assert torch.allclose(each_R, expected_R, atol=1e-5)


def test_what_cannot_be_scored_is_skipped_and_counted(subject):
    bert = subject("bert")
    scores = Scorer(bert)([("long", "the " * 95), ("fits", "the " * 94), ("empty", ""), ("none", "the lost", (3, 4))])
    assert set(scores) == {"fits"} and scores["fits"].n == 94
    assert scores.skipped == {
        "long": "longer than 96 tokens",
        "empty": "no token to score",
        "none": "no token to score",
    }


def test_one_id_for_two_texts_is_an_error(subject):
    with pytest.raises(ValueError, match="stands for two different texts"):
        Scorer(subject("bert"))([(0, "the"), (0, "lost")])


def test_a_discriminator_is_refused_and_its_generator_named(subject):
    electra = subject("electra", head="detect")
    with pytest.raises(RecipeError, match="run=electra is a discriminator and has no distribution over tokens"):
        Scorer(electra)
    electra.other = "run=x/export/generator"
    with pytest.raises(RecipeError, match="use run=x/export/generator"):
        Scorer(electra)


def test_the_network_and_the_random_state_stay_as_they_were(subject, sentences):
    bert = subject("bert", hidden_dropout_prob=0.3)
    bert.network.train()
    bert.network.body.embeddings.eval()
    modes = [module.training for module in bert.network.modules()]
    torch.manual_seed(3)
    state = torch.get_rng_state()
    first = Scorer(bert)([(0, sentences[1])])[0]
    assert torch.equal(torch.get_rng_state(), state)
    assert [module.training for module in bert.network.modules()] == modes
    assert not any(module._forward_pre_hooks for module in bert.network.modules())
    assert np.array_equal(first.logp_T, Scorer(bert)([(0, sentences[1])])[0].logp_T)  # no dropout
    assert all(parameter.grad is None for parameter in bert.network.parameters())


def test_bfloat16_is_close_and_off_by_default(subject, sentences):
    bert = subject("bert")
    exact = Scorer(bert)([(0, sentences[0])])[0]
    rough = Scorer(bert, Tools(bf16=True))([(0, sentences[0])])[0]
    assert 0 < abs(exact.sum - rough.sum) < 0.05 * abs(exact.sum)


def test_special_tokens_written_in_a_text_are_text(subject):
    bert = subject("bert")
    score = Scorer(bert)([(0, "the [MASK] lost")])[0]
    assert bert.mask not in score.ids_T
