"""CLIP's text encoder, on a small one of random weights, saved the way published ones are."""

import json
import socket

import pytest
import torch

from motion_lightning.errors import UserError
from motion_lightning.text.clip import CLIP

SENTENCE = "a person walks forward slowly then kicks with the left leg and turns right while jumping"
WORDS = SENTENCE.split()
TEXTS = [" ".join(WORDS[: 2 + 5 * i % 13]) for i in range(11)] + ["A person"]
SIZES = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}


def save_tokeniser(path) -> int:
    """CLIP's tokeniser without a merge: every letter is a token."""
    from transformers import CLIPTokenizerFast

    letters = sorted({*SENTENCE} - {" "})
    tokens = [*letters, *(letter + "</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    (path / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(tokens)}))
    (path / "merges.txt").write_text("#version: 0.2\n")
    CLIPTokenizerFast.from_pretrained(path).save_pretrained(path)
    return len(tokens)


def config(vocabulary: int, **options):
    from transformers import CLIPTextConfig

    special = {"bos_token_id": vocabulary - 2, "eos_token_id": vocabulary - 1}
    return CLIPTextConfig(
        **{"vocab_size": vocabulary, "projection_dim": 32, "initializer_factor": 20.0, **special, **SIZES, **options}
    )


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """A text encoder with its projection."""
    from transformers import CLIPTextModelWithProjection

    path = tmp_path_factory.mktemp("clip")
    torch.manual_seed(0)
    CLIPTextModelWithProjection(config(save_tokeniser(path))).save_pretrained(path)
    return path


@pytest.fixture(scope="session")
def whole(tmp_path_factory):
    """A CLIP with eyes, its weights in the older file."""
    from transformers import CLIPConfig, CLIPModel, CLIPVisionConfig

    path = tmp_path_factory.mktemp("whole")
    torch.manual_seed(0)
    text = config(save_tokeniser(path))
    eyes = CLIPVisionConfig(image_size=8, patch_size=4, **SIZES)
    both = CLIPConfig(text_config=text.to_dict(), vision_config=eyes.to_dict(), projection_dim=32)
    model = CLIPModel(both)
    model.save_pretrained(path)
    (path / "model.safetensors").unlink()
    torch.save(model.state_dict(), path / "pytorch_model.bin")
    return path


@pytest.mark.parametrize("kind", ["folder", "whole"])
def test_it_says_what_transformers_says(kind, request):
    """The library's own model on one text at a time: causal attention, the end token, the projection."""
    from transformers import AutoTokenizer, CLIPTextConfig, CLIPTextModelWithProjection

    path = request.getfixturevalue(kind)
    text_config = CLIPTextConfig.from_pretrained(path)
    model = CLIPTextModelWithProjection.from_pretrained(path, config=text_config).eval()
    tokeniser = AutoTokenizer.from_pretrained(path)
    cond = CLIP(folder=path, batch_size=5).encode(TEXTS)
    assert cond.tokens.shape == (12, 63, 32) and cond.pooled.shape == (12, 32)
    for text, tokens, mask, pooled in zip(TEXTS, *cond, strict=True):
        with torch.no_grad():
            want = model(**tokeniser([text], return_tensors="pt"))
        assert mask.sum() == len(text.replace(" ", "")) + 2
        torch.testing.assert_close(tokens[mask], want.last_hidden_state[0], rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(pooled, want.text_embeds[0], rtol=1e-4, atol=1e-4)
        assert not tokens[~mask].any()
    torch.testing.assert_close(cond.pooled[-1], cond.pooled[TEXTS.index("a person")])  # capitals do not count
    assert (cond.pooled[0] - cond.pooled[1]).abs().max() > 0.01
    assert cond.tokens.dtype == cond.pooled.dtype == torch.float32


def test_without_a_projection_the_end_token_speaks(tmp_path):
    from transformers import CLIPTextModel

    torch.manual_seed(0)
    CLIPTextModel(config(save_tokeniser(tmp_path))).save_pretrained(tmp_path)
    cond = CLIP(folder=tmp_path).encode(TEXTS)
    ends = cond.mask.sum(1) - 1
    torch.testing.assert_close(cond.pooled, cond.tokens[torch.arange(12), ends])


def test_long_texts_are_cut_with_a_warning_that_shows_where(folder):
    with pytest.warns(UserWarning, match=r"68 tokens cut to 9: '…a person' \| cut: ' walks forward"):
        cut = CLIP(folder=folder, max_tokens=9).encode([" ".join(WORDS[:15])])
    want = CLIP(folder=folder).encode(["a person"])
    torch.testing.assert_close(cut.tokens, want.tokens)
    torch.testing.assert_close(cut.pooled, want.pooled)
    encoder = CLIP(folder=folder)
    assert encoder.max_tokens == 77
    with pytest.warns(UserWarning, match="102 tokens cut to 77"):
        assert encoder.encode(["a " * 100]).mask.sum() == 77


def test_the_fingerprint_follows_weights_and_settings(folder, whole):
    prints = [CLIP(folder=folder), CLIP(folder=whole), CLIP(folder=folder, max_tokens=22)]
    assert len({json.dumps(encoder.fingerprint()) for encoder in prints}) == 3
    assert prints[0].fingerprint() == CLIP(folder=folder).fingerprint() and prints[0].dim == 32


def test_a_missing_checkpoint_is_said_in_one_line_without_a_network(tmp_path, monkeypatch):
    def refuse(*_):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(UserError, match=r"hf download openai/clip-vit-base-patch32.*text_encoder\.folder") as error:
        CLIP()
    assert "\n" not in str(error.value)
    with pytest.raises(UserError, match=r"no model\.safetensors or pytorch_model\.bin"):
        CLIP(folder=tmp_path)


def test_bad_input(folder, tmp_path):
    from transformers import BertConfig, BertModel, CLIPTextModelWithProjection

    with pytest.raises(UserError, match="has positions for 77"):
        CLIP(folder=folder, max_tokens=78)
    with pytest.raises(UserError, match="max_tokens=2"):
        CLIP(folder=folder, max_tokens=2)
    with pytest.raises(UserError, match="is not the expected model"):
        CLIP(folder=folder, sha256="0" * 64).encode(["a person"])
    with pytest.raises(UserError, match="prompt 2 of 2 is empty"):
        CLIP(folder=folder).encode(["a person walks", "  "])
    CLIPTextModelWithProjection(config(save_tokeniser(tmp_path), projection_dim=16)).save_pretrained(tmp_path)
    with pytest.raises(UserError, match="16 numbers beside tokens of 32"):
        CLIP(folder=tmp_path).encode(["a person"])
    BertModel(BertConfig(vocab_size=60, **SIZES)).save_pretrained(tmp_path)
    with pytest.raises(UserError, match="holds no text encoder of CLIP"):
        CLIP(folder=tmp_path).encode(["a person"])
