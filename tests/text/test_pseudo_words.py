"""Learned words in a frozen encoder: where they stand, what changes, and the files that hold them."""

import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from motion_lightning.errors import UserError
from motion_lightning.text.clip import CLIP
from motion_lightning.text.encoders import MiniLM
from motion_lightning.text.pseudo_words import (
    LearnedWord,
    PseudoWords,
    first_vectors,
    load_word,
    load_words,
    save_word,
    with_words,
)

TEXTS = ["a person walks", "someone waves , then a person walks in a circle"]


@pytest.fixture(scope="module")
def bert(tiny_bert) -> MiniLM:
    return MiniLM(tiny_bert)


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> CLIP:
    """Every letter is a token of it."""
    from transformers import CLIPTextConfig, CLIPTextModelWithProjection, CLIPTokenizerFast

    path = tmp_path_factory.mktemp("clip")
    letters = sorted({*" ".join(TEXTS)} - {" "})
    tokens = [*letters, *(letter + "</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    (path / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(tokens)}))
    (path / "merges.txt").write_text("#version: 0.2\n")
    CLIPTokenizerFast.from_pretrained(path).save_pretrained(path)
    size = {"hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    ends = {"bos_token_id": len(tokens) - 2, "eos_token_id": len(tokens) - 1, "initializer_factor": 20.0}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = CLIPTextModelWithProjection(CLIPTextConfig(vocab_size=len(tokens), projection_dim=8, **ends, **size))
    model.save_pretrained(path)
    return CLIP(folder=path)


@pytest.fixture(params=["bert", "clip"])
def encoder(request):
    return request.getfixturevalue(request.param)


def vectors(encoder, count: int = 1, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, encoder.dim, generator=torch.Generator().manual_seed(seed))


def test_texts_without_a_word_are_encoded_as_before_to_the_bit(encoder):
    words = PseudoWords(encoder, {"my-walk": vectors(encoder)})
    before = encoder.encode(TEXTS)
    assert all(torch.equal(a, b) for a, b in zip(words.encode(TEXTS), before, strict=True))
    mixed = words.encode([TEXTS[0], "a person <my-walk> in a circle", TEXTS[1]])
    for row, of in ((0, 0), (2, 1)):
        n = int(before.mask[of].sum())
        assert torch.equal(mixed.tokens[row, :n], before.tokens[of, :n]) and int(mixed.mask[row].sum()) == n
        assert torch.equal(mixed.pooled[row], before.pooled[of]) and not mixed.tokens[row, n:].any()
    assert all(torch.equal(a, b) for a, b in zip(encoder.encode(TEXTS), before, strict=True))


@pytest.mark.parametrize("count", [1, 3])
def test_a_word_with_the_vectors_of_known_tokens_is_these_tokens(encoder, count):
    """So positions, start and end, and the places of the vectors are what the tokeniser makes of any other word."""
    known = " ".join(["w", ",", "s"][:count] if encoder.name == "clip" else ["walks", ",", "hop"][:count])
    ids = encoder.tokeniser(known, add_special_tokens=False)["input_ids"]
    word = encoder.model.get_input_embeddings().weight[ids].clone()
    got = PseudoWords(encoder, {"w": word}).encode(["a person <w> in a circle"])
    want = encoder.encode([f"a person {known} in a circle"])
    assert len(ids) == count and torch.equal(got.mask, want.mask)
    torch.testing.assert_close(got.tokens, want.tokens, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(got.pooled, want.pooled, rtol=1e-4, atol=1e-5)


def test_two_words_in_one_text_and_next_to_commas(bert):
    one, two = vectors(bert, 1, 1), vectors(bert, 2, 2)
    words = PseudoWords(bert, {"one": one, "Two-2": two})
    cond = words.encode(["a person <one>, then <Two-2>"])
    assert int(cond.mask.sum()) == 1 + 2 + 1 + 2 + 2 + 1  # start, a person, one, ", then", two, end
    swapped = PseudoWords(bert, {"one": one, "Two-2": two.flip(0)}).encode(["a person <one>, then <Two-2>"])
    assert (swapped.pooled - cond.pooled).abs().max() > 1e-3


def test_the_gradient_reaches_the_vectors_and_nothing_else(encoder):
    learned = vectors(encoder, 2).requires_grad_()
    other = vectors(encoder, 1, 1).requires_grad_()
    before = {name: value.clone() for name, value in encoder.model.state_dict().items()}
    cond = PseudoWords(encoder, {"w": learned, "unsaid": other}).encode(["a person <w>", TEXTS[0]])
    cond.pooled[0].square().sum().backward()
    assert (learned.grad.abs().amax(1) > 0).all() and not other.grad.any()
    assert all(p.grad is None and not p.requires_grad for p in encoder.model.parameters())
    after = encoder.model.state_dict()
    assert after.keys() == before.keys() and all(torch.equal(after[name], before[name]) for name in before)


def test_the_gradient_is_the_slope(bert):
    bert64 = MiniLM(bert.folder)
    bert64.model.double()
    start = vectors(bert64).double()

    def loss(word):
        return PseudoWords(bert64, {"w": word}).encode(["a person <w> in a circle"]).pooled.square().sum()

    word = start.clone().requires_grad_()
    loss(word).backward()
    direction = torch.ones_like(start)
    numeric = (loss(start + 1e-2 * direction) - loss(start - 1e-2 * direction)) / 2e-2
    torch.testing.assert_close((word.grad * direction).sum().float(), numeric.float(), rtol=2e-2, atol=1e-3)


def test_where_learning_starts(bert):
    table = bert.model.get_input_embeddings().weight
    torch.testing.assert_close(first_vectors(bert, 2), table.mean(0).expand(2, -1))
    hops = bert.tokeniser.convert_tokens_to_ids(["hop", "##s"])
    torch.testing.assert_close(first_vectors(bert, 1, "hops")[0], table[hops].mean(0))
    assert not first_vectors(bert, 1).requires_grad
    with pytest.raises(UserError, match="has no token"):
        first_vectors(bert, 1, " ")


def test_what_cannot_be_a_word_is_refused(bert, tiny_encoder):
    words = PseudoWords(bert, {"my-walk": vectors(bert)})
    with pytest.raises(UserError, match=r"<my-run> is no word that was learned, known: <my-walk>; add tokens="):
        words.encode(["a person <my-run>"])
    with pytest.raises(UserError, match="a name is a letter"):
        PseudoWords(bert, {"my walk": vectors(bert)})
    with pytest.raises(UserError, match=r"vectors \(1, 9\), expected 1 to 16 of 8"):
        PseudoWords(bert, {"w": torch.zeros(1, 9)})
    with pytest.raises(UserError, match="tiny has no table of tokens"):
        with_words(tiny_encoder, [], "a person <my-walk>")
    assert with_words(tiny_encoder, [], "a person walks, 1 < 2 > 0") is tiny_encoder


def test_long_texts_are_cut_with_their_words(tiny_bert):
    encoder = MiniLM(tiny_bert, max_tokens=6)
    with pytest.warns(UserWarning, match="cut to 6"):
        cond = PseudoWords(encoder, {"w": vectors(encoder)}).encode(["a person <w> in a circle"])
    assert cond.mask.shape == (1, 6)


# ------------------------------------------------------------------------------------------------ files


def about(encoder) -> dict:
    return {"encoder": encoder.fingerprint(), "mode": "vae", "exemplars": ["ü.bvh"], "run": "r", "loss": [2.0, 1.0]}


def test_a_file_gives_back_what_was_learned(bert, tmp_path):
    word = LearnedWord("my-walk", vectors(bert, 2).requires_grad_(), about(bert))
    path = save_word(tmp_path / "new" / "w.safetensors", word)
    back = load_word(path, bert)
    assert torch.equal(back.vectors, word.vectors) and not back.vectors.requires_grad
    assert (back.name, back.about) == (word.name, word.about)
    assert [p.name for p in path.parent.iterdir()] == ["w.safetensors"] and path.stat().st_size < 4000
    with safe_open(path, "pt") as file:  # anybody can read it
        assert json.loads(file.metadata()["word"])["exemplars"] == ["ü.bvh"]


def test_a_file_of_another_encoder_is_refused_by_name(bert, clip, tmp_path):
    path = save_word(tmp_path / "w.safetensors", LearnedWord("w", vectors(bert), about(bert)))
    expected, found = (e.fingerprint()["weights"][:12] for e in (clip, bert))
    with pytest.raises(UserError, match=f"another text encoder: expected clip {expected}, found minilm {found}"):
        load_word(path, clip)
    cut = MiniLM(bert.folder, max_tokens=9)  # the same table of tokens
    assert load_word(path, cut).name == "w"


def test_files_that_are_none_are_refused(bert, tmp_path):
    path = tmp_path / "w.safetensors"
    with pytest.raises(UserError, match="there is no file"):
        load_word(path, bert)
    save_word(path, LearnedWord("w", vectors(bert), about(bert)))
    whole = path.read_bytes()
    for broken in (b"", b"{}", whole[:40], whole[:-3]):
        path.write_bytes(broken)
        with pytest.raises(UserError, match="is no token file"):
            load_word(path, bert)
    save_file({"vectors": vectors(bert)}, path)
    with pytest.raises(UserError, match="is no token file"):
        load_word(path, bert)
    save_word(path, LearnedWord("w", torch.full((1, 8), torch.nan), about(bert)))
    with pytest.raises(UserError, match="no finite numbers"):
        load_word(path, bert)


def test_two_files_of_one_name_are_refused(bert, tmp_path):
    paths = [save_word(tmp_path / f"{i}.safetensors", LearnedWord("w", vectors(bert), about(bert))) for i in (1, 2)]
    assert load_words(paths[:1], bert).encode(["a <w>"]).mask.sum() == 4
    with pytest.raises(UserError, match="holds <w>, which another file holds"):
        load_words(paths, bert)
