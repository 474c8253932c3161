"""Fixtures shared by all tests: real data where there is some; a store, an encoder and a model in small."""

import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from motion_lightning.data.clip import Clip
from motion_lightning.data.digits import DigitsCorpus
from motion_lightning.data.store import Store
from motion_lightning.data.writer import prepare_store
from motion_lightning.pipeline import Diffusion
from motion_lightning.text.condition import TextCond

torch.set_num_threads(1)  # the tests' matrices are small: threads would only wait for each other


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder with real motions and reference arrays; their licences keep them out of this repository."""
    folder = os.environ.get("MOTION_LIGHTNING_TEST_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("MOTION_LIGHTNING_TEST_DATA does not name a folder of real motions")
    return Path(folder)


@pytest.fixture
def recordings(tmp_path, shared_data) -> Path:
    """A folder of eight real recordings, their archive still missing."""
    folder = tmp_path / "recordings"
    folder.mkdir()
    lines = (shared_data / "captions.jsonl").read_text().splitlines()
    few = [line for line in lines if json.loads(line)["archive"] == "bandai_bvh.zip"][:8]
    (folder / "captions.jsonl").write_text("\n".join(few))
    return folder


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Iterator[Path]:
    """A cache of its own, so that no test touches the user's."""
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOTION_LIGHTNING_HOME", str(folder))
        yield folder


@pytest.fixture(scope="session")
def call() -> Callable[..., int]:
    """Run a command in this process with arguments, as from the command line; its exit status."""

    def call(command: Callable[[], None], *arguments: str) -> int:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", ["command", *arguments])
            patch.setenv("HYDRA_FULL_ERROR", "0")
            try:
                command()
            except SystemExit as stop:
                return stop.code
        return 0

    return call


class TinyEncoder:
    """Text encoder without a network: a word's vector is drawn from its hash."""

    name, dim, max_tokens = "tiny", 8, 16

    def fingerprint(self) -> dict:
        return {"name": self.name, "dim": self.dim}

    def encode(self, texts) -> TextCond:
        rows = [torch.stack([self.word(word) for word in text.split()]) for text in texts]
        tokens = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)  # (B, L, E)
        lengths = torch.tensor([len(row) for row in rows])
        mask = torch.arange(tokens.shape[1]) < lengths[:, None]
        return TextCond(tokens, mask, tokens.sum(1) / lengths[:, None])

    def word(self, word: str) -> torch.Tensor:
        seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:4], "little")
        return torch.from_numpy(np.random.default_rng(seed).standard_normal(self.dim)).float()


class SmoothCorpus:
    """Clips of 24–48 frames whose features are slow waves; the caption says which wave."""

    name, representation, skeleton, fps, min_frames = "smooth", "motion", "humanml22", 20.0, 20
    about = {"title": "Waves", "source": "this test", "licence": "MIT"}  # noqa: RUF012
    words = ("slow", "wide", "low", "fast")

    def __init__(self, train: int = 16, val: int = 5, test: int = 3):
        self.splits = ["train"] * train + ["val"] * val + ["test"] * test

    def fingerprint(self) -> dict:
        return {"splits": self.splits}

    def __len__(self) -> int:
        return len(self.splits)

    def clips(self):
        wave = np.random.default_rng(0)
        amplitude, phase = wave.normal(size=(4, 263)) * 0.05, wave.uniform(0, 2 * np.pi, (4, 263))
        for i, split in enumerate(self.splits):
            own, kind = np.random.default_rng([1, i]), i % 4
            time = np.arange(own.integers(24, 49))[:, None] / 20
            angle = phase[kind] + 2 * np.pi * (0.5 + 0.2 * kind) * time + 0.3 * own.normal()
            word = self.words[kind]
            yield Clip(
                f"{i:03}",
                (amplitude[kind] * np.sin(angle)).astype(np.float32),
                [f"a {word} wave", f"someone waves in a {word} way"],
                split,
                {"program": {"segments": [{"action": word, "start": 0, "end": len(time)}]}},
            )


@pytest.fixture(scope="session")
def tiny_encoder() -> TinyEncoder:
    return TinyEncoder()


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory) -> Path:
    """Folder of a BERT of random weights, as wide as the tiny encoder and as published ones are saved."""
    from transformers import BertConfig, BertModel, BertTokenizerFast

    path = tmp_path_factory.mktemp("bert")
    words = ["a", "person", "someone", "waves", "walks", "in", "circle", "then", ",", "wave", "hop", "##s"]
    (path / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]))
    BertTokenizerFast(str(path / "vocab.txt")).save_pretrained(path)
    size = {"hidden_size": TinyEncoder.dim, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        BertModel(BertConfig(vocab_size=len(words) + 5, initializer_range=0.5, **size)).save_pretrained(path)
    return path


@pytest.fixture(scope="session")
def tiny_store(tmp_path_factory, tiny_encoder) -> Store:
    """A prepared store of 16 + 5 + 3 smooth clips."""
    path = tmp_path_factory.mktemp("stores") / "tiny"
    prepare_store(SmoothCorpus(), tiny_encoder, path, progress=False)
    return Store.open(path)


@pytest.fixture(scope="session")
def sign_store(tmp_path_factory, tiny_encoder) -> Store:
    """Signed sentences as keypoints, 160 + 8 + 24 of them."""
    pytest.importorskip("pose_format")
    from motion_lightning.data.signs.pose_corpus import SignPoseCorpus

    path = tmp_path_factory.mktemp("stores") / "sign_poses"
    prepare_store(SignPoseCorpus(train=160, val=8, test=24), tiny_encoder, path, progress=False)
    return Store.open(path)


@pytest.fixture(scope="session")
def video_store(tmp_path_factory, tiny_encoder) -> Store:
    """Drawn sign videos, 40 + 6 + 8 of 16 frames of 24 pixels."""
    from motion_lightning.data.signs.corpus import SignVideoCorpus

    path = tmp_path_factory.mktemp("stores") / "signs"
    prepare_store(SignVideoCorpus(train=40, val=6, test=8, size=24), tiny_encoder, path, progress=False)
    return Store.open(path)


@pytest.fixture(scope="session")
def fours(tmp_path_factory, tiny_encoder) -> Store:
    """A prepared store of scikit-learn's 181 fours."""
    path = tmp_path_factory.mktemp("stores") / "fours"
    prepare_store(DigitsCorpus(only=4), tiny_encoder, path, progress=False)
    return Store.open(path)


@pytest.fixture(scope="session")
def walk() -> np.ndarray:
    """Joints (61, 22, 3) of a walk on a circle, with planted feet and the skeleton's own bones."""
    from motion_lightning.data.programs.program import Program, Segment
    from motion_lightning.data.programs.synthesis import perform

    program = Program((Segment("walk", direction="forward", path="circle", turn="left", end=60),))
    return perform(program, np.random.default_rng(0))


@pytest.fixture(scope="session")
def randomise() -> Callable:
    """Gives every parameter a value, since what starts at zero hides what it would do."""

    def randomise(module: torch.nn.Module, seed: int = 0, scale: float = 0.2) -> torch.nn.Module:
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * scale)
        return module

    return randomise


@pytest.fixture(scope="session")
def make_model(tiny_store) -> Callable[..., Diffusion]:
    """A model of width 32 and depth 2, fitted to the statistics of ``tiny_store``."""
    from motion_lightning.assemble import build_model, fit_statistics

    def make_model(seed: int = 0, parts: str = "no_rotations", steps: int = 100, **model) -> Diffusion:
        torch.manual_seed(seed)
        package = "motion_lightning."
        config = {
            "codec": {"_target_": package + "codecs.motion.FeatureCodec", "parts": parts},
            "diffusion": {
                "process": {"_target_": package + "diffusion.process.Process", "steps": steps},
                "precondition": {"_target_": package + "diffusion.precondition.Wiener"},
            },
            "model": {
                "_target_": package + "models.dit.DiT", "width": 32, "depth": 2, "heads": 2, **model
            },
        }  # fmt: skip
        built = build_model(config, text_dim=TinyEncoder.dim)
        fit_statistics(built, tiny_store)
        return built

    return make_model
