"""Checkpoints as their authors save them, with random weights; encoders and statistics in small."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from motion_lightning.config import compose
from motion_lightning.prepare import ensure_store
from motion_lightning.zoo.__main__ import main

SMALL = {"intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "projection_dim": 16}


@pytest.fixture(scope="session")
def tiny_clip(tmp_path_factory) -> Path:
    """CLIP's text encoder, 16 wide, whose tokens are letters."""
    from transformers import CLIPTextConfig, CLIPTextModelWithProjection, CLIPTokenizerFast

    path = tmp_path_factory.mktemp("clip")
    letters = [*"abcdefghijklmnopqrstuvwxyz,.'-"]
    tokens = [*letters, *(letter + "</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    (path / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(tokens)}))
    (path / "merges.txt").write_text("#version: 0.2\n")
    CLIPTokenizerFast.from_pretrained(path).save_pretrained(path)
    count = len(tokens)
    special = {"vocab_size": count, "bos_token_id": count - 2, "eos_token_id": count - 1}
    torch.manual_seed(0)
    config = CLIPTextConfig(hidden_size=16, initializer_factor=20.0, **special, **SMALL)
    CLIPTextModelWithProjection(config).save_pretrained(path)
    return path


@pytest.fixture(scope="session")
def stats(tmp_path_factory) -> Callable[[int], str]:
    """Folder of Mean.npy and Std.npy of so many features."""

    def stats(features: int = 263) -> str:
        folder, random = tmp_path_factory.mktemp("stats"), np.random.default_rng(features)
        np.save(folder / "Mean.npy", random.normal(size=features).astype(np.float32))
        np.save(folder / "Std.npy", random.uniform(0.1, 1, features).astype(np.float32))
        return str(folder)

    return stats


@pytest.fixture(scope="session")
def drawn() -> Callable[[dict], dict[str, torch.Tensor]]:
    """A state dict of such shapes: small matrices, and norms near one."""

    def drawn(shapes: dict[str, tuple]) -> dict[str, torch.Tensor]:
        generator = torch.Generator().manual_seed(0)
        state = {key: 0.05 * torch.randn(shape, generator=generator) for key, shape in shapes.items()}
        return {key: value + ("norm" in key and key.endswith("weight")) for key, value in state.items()}

    return drawn


def attention(name: str, width: int) -> dict[str, tuple]:
    """torch's MultiheadAttention."""
    return {
        f"{name}.in_proj_weight": (3 * width, width),
        f"{name}.in_proj_bias": (3 * width,),
        f"{name}.out_proj.weight": (width, width),
        f"{name}.out_proj.bias": (width,),
    }


@pytest.fixture(scope="session")
def layer() -> Callable[..., dict[str, tuple]]:
    """Keys and shapes of a TransformerEncoderLayer, or of a TransformerDecoderLayer, of torch."""

    def layer(name: str, width: int, ff: int, reads: bool = False) -> dict[str, tuple]:
        shapes = attention(f"{name}.self_attn", width)
        if reads:
            shapes |= attention(f"{name}.multihead_attn", width)
        shapes |= {f"{name}.linear1.weight": (ff, width), f"{name}.linear1.bias": (ff,)}
        shapes |= {f"{name}.linear2.weight": (width, ff), f"{name}.linear2.bias": (width,)}
        for i in range(1, 4 if reads else 3):
            shapes |= {f"{name}.norm{i}.weight": (width,), f"{name}.norm{i}.bias": (width,)}
        return shapes

    return layer


@pytest.fixture(scope="session")
def clip_store(tmp_path_factory, tiny_clip) -> Path:
    """A prepared store of ten clips of the embedded corpus, whose texts the small CLIP has read, 22 tokens of each."""
    sizes = ["data.corpus.train=6", "data.corpus.val=2", "data.corpus.test=2", "data.corpus.workers=0"]
    encoder = ["text_encoder=clip", f"text_encoder.folder={tiny_clip}", "text_encoder.max_tokens=22"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOTION_LIGHTNING_HOME", str(tmp_path_factory.mktemp("stores")))
        return ensure_store(compose("prepare", [*sizes, *encoder]))


@pytest.fixture(scope="session")
def zoo() -> Callable[..., None]:
    """The command, as from the command line; a UserError comes through."""
    return lambda *arguments: main([str(argument) for argument in arguments])


@pytest.fixture(scope="module", autouse=True)
def own_cache(home) -> None:
    """For every test here."""
