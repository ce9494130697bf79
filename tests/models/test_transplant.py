"""A checkpoint's vocabulary carried over to another tokenizer, and grown by added tokens."""

from __future__ import annotations

import pytest
import torch
import transformers
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from maskwright.errors import RecipeError
from maskwright.models import ModelRecipe, export
from maskwright.models.families import FAMILIES
from maskwright.models.transplant import grown, sources

SPECIALS = {
    "pad_token": "[PAD]",
    "unk_token": "[UNK]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "mask_token": "[MASK]",
}
HUGGING = {"bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>", "mask_token": "<mask>"}
TEXT = [
    "the quick brown fox jumps over the lazy dog, and the dog sleeps on",
    "walking and talking, the walker walked; talkers talk of walks",
    "an unknown known unknown is not an unknowable thing: knowing is known",
    "3 walkers in 1999 saw 27 foxes (or dogs) in the Ärmelkanal für naïve café-goers",
] * 6


def wrapped(backend: Tokenizer, special: dict[str, str] = SPECIALS) -> PreTrainedTokenizerFast:
    return PreTrainedTokenizerFast(tokenizer_object=backend, **special)


def wordpiece(pieces: list[str] | None = None, lowercase: bool = True, size: int = 160) -> PreTrainedTokenizerFast:
    """WordPiece of these pieces, or learned from TEXT."""
    words = {token: i for i, token in enumerate([*SPECIALS.values(), *(pieces or [])])}
    backend = Tokenizer(models.WordPiece(words if pieces else None, unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.decoder = decoders.WordPiece()
    if not pieces:
        specials = list(SPECIALS.values())
        backend.train_from_iterator(TEXT, trainers.WordPieceTrainer(vocab_size=size, special_tokens=specials))
    return wrapped(backend)


def byte_bpe(size: int = 340, special: dict[str, str] = HUGGING) -> PreTrainedTokenizerFast:
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=list(special.values()),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    backend.train_from_iterator(TEXT, trainer)
    return wrapped(backend, special)


def unigram(pieces: list[str] | None = None) -> PreTrainedTokenizerFast:
    if pieces is None:
        backend = Tokenizer(models.Unigram())
    else:
        listed = [*HUGGING.values(), *pieces, *"abcdefghijklmnopqrstuvwxyz▁,"]
        scores = [(piece, -0.1 * i) for i, piece in enumerate(dict.fromkeys(listed))]
        backend = Tokenizer(models.Unigram(scores, unk_id=listed.index("<unk>"), byte_fallback=False))
    backend.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Metaspace(), pre_tokenizers.Punctuation()])
    backend.decoder = decoders.Metaspace()
    if pieces is None:
        backend.train_from_iterator(
            TEXT, trainers.UnigramTrainer(vocab_size=110, special_tokens=list(HUGGING.values()), unk_token="<unk>")
        )
    return wrapped(backend, HUGGING)


def pieces_of(new, old, token: str) -> list[str]:
    return old.convert_ids_to_tokens(sources(new, old)[new.get_vocab()[token]])


@pytest.mark.parametrize(
    ("token", "wanted"),
    [
        ("walk", ["walk"]),  # shared
        ("##ing", ["##ing"]),
        ("walking", ["walk", "##ing"]),  # at the beginning of a word
        ("##king", ["##k", "##ing"]),  # inside one: not ["k", "##ing"]
        ("king", ["k", "##ing"]),
        ("##walking", []),  # no piece of it stands inside a word
        ("Walking", ["walk", "##ing"]),  # as the old tokenizer folds case
        ("zebra", []),  # unknown letters only
        (",", [","]),
        ("know-how", ["know", "-", "how"]),
        ("[MASK]", ["[MASK]"]),
    ],
)
def test_pieces_keep_their_place_in_the_word(token, wanted):
    old = wordpiece(["walk", "##ing", "##k", "k", "know", "how", "-", ",", "##,"])
    new = wordpiece([token, "##other"] if token != "[MASK]" else ["walk"], lowercase=False)
    assert pieces_of(new, old, token) == wanted


@pytest.mark.parametrize(
    ("token", "wanted"),
    [
        ("the", ["▁the"]),
        ("##the", ["the"]),
        ("##ing", ["ing"]),
        ("walking", ["▁walk", "ing"]),
        ("##walking", ["walk", "ing"]),
        (",", ["▁", ","]),  # at the beginning of a word, as far as the new vocabulary tells
        ("[MASK]", ["<mask>"]),
        ("[CLS]", ["<s>"]),
        ("[SEP]", ["</s>"]),
        ("[PAD]", ["<pad>"]),
    ],
)
def test_wordpiece_from_unigram(token, wanted):
    old = unigram(["▁the", "the", "▁walk", "walk", "ing", "▁b"])
    new = wordpiece([token] if not token.startswith("[") else ["x"])
    assert pieces_of(new, old, token) == wanted


@pytest.mark.parametrize(
    ("token", "wanted"),
    [
        ("Ġthe", ["the"]),
        ("Ġwalking", ["walk", "##ing"]),
        ("ing", ["##ing"]),
        (",", [","]),  # the old tokenizer cuts before a comma, so "##," is never the one it sees
        ("Ġ,", [","]),
        ("Ġ", []),
        ("Ã", []),  # half a character
        ("<mask>", ["[MASK]"]),
        ("<s>", ["[CLS]"]),
        ("</s>", ["[SEP]"]),
    ],
)
def test_byte_bpe_from_wordpiece(token, wanted):
    old = wordpiece(["the", "walk", "##ing", ",", "##,"])
    vocabulary = {name: i for i, name in enumerate(dict.fromkeys([*HUGGING.values(), token, "a"]))}
    backend = Tokenizer(models.BPE(vocabulary, []))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    assert pieces_of(wrapped(backend, HUGGING), old, token) == wanted


@pytest.mark.parametrize("make", [wordpiece, byte_bpe, unigram])
def test_the_same_vocabulary_maps_every_token_to_itself(make):
    new = make()
    assert sources(new, new) == [[id_] for id_ in range(len(new))]


@pytest.mark.parametrize(
    "old", [wordpiece(lowercase=False, size=120), byte_bpe(300), unigram()], ids=["wp", "bpe", "uni"]
)
@pytest.mark.parametrize("new", [wordpiece(lowercase=False), byte_bpe(), unigram()], ids=["wp", "bpe", "uni"])
def test_pieces_spell_the_token(new, old):
    """Over learned vocabularies of every kind: the old tokenizer's own decoder makes the token of the pieces."""
    found, checked = sources(new, old), 0
    for token, id_ in new.get_vocab().items():
        ids = found[id_]
        if token in new.all_special_tokens or not ids or old.unk_token_id in ids:
            continue
        text = new.backend_tokenizer.decoder.decode([token]).strip().removeprefix("##")
        back = old.backend_tokenizer.decoder.decode(old.convert_ids_to_tokens(ids)).strip()
        assert back.replace(" ##", "").replace("##", "").replace(" ", "") == text.replace(" ", ""), token
        checked += 1
    assert checked > 0.6 * len(new.get_vocab()) or (checked > 70 and new.get_vocab().get("Ġ"))


@pytest.mark.parametrize(
    "old", [wordpiece(lowercase=False, size=120), byte_bpe(300), unigram()], ids=["wp", "bpe", "uni"]
)
def test_a_word_is_split_as_the_old_tokenizer_splits_it_in_text(old):
    new = wordpiece(lowercase=False)
    found = sources(new, old)
    for word in ("walking", "fox", "the", "sleeps", "unknown"):
        if word in new.get_vocab():
            ids = old(" " + word, add_special_tokens=False)["input_ids"]
            assert found[new.get_vocab()[word]] == ids


def test_a_bpe_that_marks_word_ends_is_refused():
    backend = Tokenizer(models.BPE({"a</w>": 0, "[PAD]": 1}, [], end_of_word_suffix="</w>"))
    with pytest.raises(RecipeError, match="marks the ends of words"):
        sources(wordpiece(), wrapped(backend, {"pad_token": "[PAD]"}))


@pytest.fixture(scope="module")
def olds():
    return wordpiece(size=150)


@pytest.fixture
def checkpoint(olds, recipes, tmp_path):
    """`checkpoint(name)`: a tiny network of the family over the old vocabulary, its bias not zero, and its folder."""

    def make(name: str, tokenizer=olds):
        torch.manual_seed(5)
        recipe = ModelRecipe(**recipes[name])
        net = recipe.build(tokenizer, 24, recipe.heads[0]).eval()
        with torch.no_grad():
            for value in net.hf.parameters():
                if value.shape == (len(tokenizer),):
                    value.normal_()
        return net, str(export(net, tokenizer, tmp_path / name))

    return make


def by_token(net, tokenizer) -> dict[str, torch.Tensor]:
    return {key: value for key, value in net.hf.state_dict().items() if value.shape[:1] == (len(tokenizer),)}


@torch.no_grad()
@pytest.mark.parametrize("name", FAMILIES)
def test_rows_are_copied_or_averaged_and_the_rest_is_unchanged(name, checkpoint, olds, tmp_path):
    old_net, folder = checkpoint(name)
    new = byte_bpe(401)  # another pad id too, which moves RoBERTa's positions
    assert new.pad_token_id != olds.pad_token_id
    recipe = ModelRecipe(name, init_from=folder, transplant=True)
    net = recipe.build(new, 24, recipe.heads[0]).eval()
    found, before, after = sources(new, olds), by_token(old_net, olds), by_token(net, new)
    assert before.keys() == after.keys() and len(after) >= 1
    assert net.word_embeddings.num_embeddings == net.config.vocab_size == len(new)
    shared = [(i, ids[0]) for i, ids in enumerate(found) if len(ids) == 1]
    pairs = [(i, ids) for i, ids in enumerate(found) if len(ids) == 2]
    assert len(shared) > 30 and len(pairs) > 5 and [] in found
    for key, rows in after.items():
        for i, j in shared:
            assert torch.equal(rows[i], before[key][j]), (key, i)
        for i, (first, second) in pairs:
            assert torch.equal(rows[i], (before[key][first] + before[key][second]) / 2), (key, i)
        for i, ids in enumerate(found):
            if len(ids) > 2:
                torch.testing.assert_close(rows[i], before[key][ids].mean(0))
    table = net.word_embeddings.weight
    fresh = table[[i for i, ids in enumerate(found) if not ids]]
    assert fresh.std() > 0.05 and fresh.unique(dim=0).shape == fresh.shape, "drawn as the family draws initial weights"
    positions = f"{net.family.body_name}.{net.family.position_table}.weight"
    for key, value in old_net.hf.state_dict().items():
        if key not in before and not (
            key == positions and net.family.first_position(0) != net.family.first_position(1)
        ):
            assert torch.equal(net.hf.state_dict()[key], value), key
    if "decoder.weight" in " ".join(before) and net.config.tie_word_embeddings:
        assert net.hf.get_output_embeddings().weight is table or name.startswith("deberta")
    # The body is the old one: the same embeddings give the same hidden states, bit for bit.
    embeddings_BLE = torch.randn(2, 20, table.shape[1])
    theirs_BLD = old_net.encode(None, embeddings_BLE=embeddings_BLE, padded=False)
    assert torch.equal(net.encode(None, embeddings_BLE=embeddings_BLE, padded=False), theirs_BLD)
    assert net.config._attn_implementation == old_net.config._attn_implementation == recipe.attention
    assert f"of {len(new):,} tokens {len(shared):,} have an old token's row" in net.start


@torch.no_grad()
@pytest.mark.parametrize("name", [name for name in FAMILIES if name != "llama"])
def test_a_transplanted_network_goes_through_export(name, checkpoint, tmp_path):
    _, folder = checkpoint(name)
    new = unigram()
    net = ModelRecipe(name, init_from=folder, transplant=True).build(new, 24).eval()
    place = export(net, new, tmp_path / "new")
    model = transformers.AutoModelForMaskedLM.from_pretrained(place).eval()
    ids_BL = torch.randint(5, len(new), (2, 16))
    assert torch.equal(model(ids_BL).logits, net.predict(net.encode(ids_BL, padded=False)))
    assert model.config.pad_token_id == new.pad_token_id and model.config.vocab_size == len(new)
    again = ModelRecipe(name, init_from=str(place)).build(new, 24)
    assert all(torch.equal(a, b) for a, b in zip(again.state_dict().values(), net.state_dict().values(), strict=True))


def test_the_tie_survives_training(checkpoint):
    _, folder = checkpoint("bert")
    new = byte_bpe()
    net = ModelRecipe("bert", init_from=folder, transplant=True).build(new, 24)
    assert net.hf.cls.predictions.decoder.weight is net.word_embeddings.weight
    assert net.hf.cls.predictions.decoder.bias is net.hf.cls.predictions.bias
    assert net.training


@torch.no_grad()
@pytest.mark.parametrize("name", FAMILIES)
def test_added_tokens_grow_the_table(name, checkpoint, olds, tmp_path):
    old_net, folder = checkpoint(name)
    new = transformers.AutoTokenizer.from_pretrained(folder)
    new.add_special_tokens({"additional_special_tokens": ["[DATE]", "[PLACE]"]})
    new.add_tokens([AddedToken(f"[Y{i}]") for i in range(62)])
    recipe = ModelRecipe(name, init_from=folder)
    net = recipe.build(new, 24, recipe.heads[0]).eval()
    table, before = net.word_embeddings.weight, old_net.word_embeddings.weight
    assert table.shape[0] == net.config.vocab_size == len(olds) + 64 == len(new)
    for key, value in by_token(old_net, olds).items():
        assert torch.equal(net.hf.state_dict()[key][: len(olds)], value), key
    extra = table[len(olds) :]
    # 64 draws per column: the mean within 4 standard errors, the spread within a third
    assert ((extra.mean(0) - before.mean(0)).abs() < 4 * before.std(0) / 8).all()
    assert (extra.std(0) / before.std(0)).mean().item() == pytest.approx(1, abs=0.1)
    ids_BL = torch.randint(5, len(olds), (2, 16))
    hidden_BLD = net.encode(ids_BL, padded=False)
    assert torch.equal(hidden_BLD, old_net.encode(ids_BL, padded=False))
    grown_BLV, old_BLV = net.predict(hidden_BLD), old_net.predict(hidden_BLD)
    torch.testing.assert_close(grown_BLV[..., : len(olds)], old_BLV)
    assert "64 added tokens have new rows" in net.start
    place = export(net, new, tmp_path / "grown")
    again = ModelRecipe(name, init_from=str(place)).build(new, 24, recipe.heads[0])
    assert torch.equal(again.word_embeddings.weight, table)


def test_the_spare_rows_of_a_padded_table_are_used_first(checkpoint, olds, recipes, tmp_path):
    torch.manual_seed(0)
    net = ModelRecipe(**recipes["bert"]).build(olds, 24)
    net.hf.resize_token_embeddings(192)
    folder = export(net, olds, tmp_path / "padded")
    new = transformers.AutoTokenizer.from_pretrained(folder)
    new.add_tokens(["[A]", "[B]"])
    made = ModelRecipe("bert", init_from=str(folder)).build(new, 24)
    assert made.config.vocab_size == 192
    same = (made.word_embeddings.weight == net.word_embeddings.weight).all(1)
    assert same.nonzero().flatten().tolist() == [i for i in range(192) if i not in (len(olds), len(olds) + 1)]


def test_a_vocabulary_that_only_looks_grown_is_another_one(olds, tokenizers):
    assert grown(tokenizers(100), tokenizers(91)) is None, "its extra words belong to its model"
    assert grown(olds, olds) == [[i] for i in range(len(olds))]


def test_what_cannot_be_transplanted_is_refused(checkpoint, recipes, tmp_path):
    _, folder = checkpoint("bert")
    new = byte_bpe()
    with pytest.raises(RecipeError, match=r"another vocabulary .* or model.transplant=true to carry it over"):
        ModelRecipe("bert", init_from=folder).build(new, 24)
    with pytest.raises(RecipeError, match="model.transplant is true without a checkpoint"):
        ModelRecipe(**recipes["bert"], transplant=True)
    with pytest.raises(RecipeError, match="model.transplant is maybe; give true or false"):
        ModelRecipe("bert", init_from=folder, transplant="maybe")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / "bert" / name).unlink()
    with pytest.raises(RecipeError, match="holds no tokenizer; save the tokenizer"):
        ModelRecipe("bert", init_from=folder, transplant=True).build(new, 24)


def test_another_head_follows_too(checkpoint):
    """ELECTRA's discriminator over another vocabulary: the table moves, the fresh head needs none."""
    old_net, folder = checkpoint("electra")
    new = unigram()
    net = ModelRecipe("electra", init_from=folder, transplant=True).build(new, 24, "detect")
    assert net.word_embeddings.num_embeddings == len(new)
    assert torch.equal(net.word_embeddings.weight[new.mask_token_id], old_net.word_embeddings.weight[4])
