"""How long a sentence's motion is: learned from captions, kept with the store."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from motion_lightning.data.clip import Clip
from motion_lightning.data.store import Store
from motion_lightning.data.writer import prepare_store
from motion_lightning.lengths import LengthModel, open_lengths


class Lengths:
    """Clips that are as long as their word says, give or take three frames; or as long as they like."""

    name, representation, skeleton, fps, min_frames = "lengths", "motion", "humanml22", 20.0, 20
    about = {"title": "Lengths", "source": "this test", "licence": "MIT"}  # noqa: RUF012
    words = {"short": 24, "middling": 40, "long": 70, "endless": 120}  # noqa: RUF012

    def __init__(self, told: bool, train: int = 160, val: int = 40):
        self.told, self.splits = told, ["train"] * train + ["val"] * val + ["test"] * 2

    def fingerprint(self) -> dict:
        return {"told": self.told, "splits": self.splits}

    def __len__(self) -> int:
        return len(self.splits)

    def clips(self):
        for i, split in enumerate(self.splits):
            rng, word = np.random.default_rng([1, i]), [*self.words][i % 4]
            frames = self.words[word] if self.told else rng.integers(24, 120)
            x = rng.normal(size=(frames + int(rng.integers(-3, 4)), 263)).astype(np.float32)
            yield Clip(f"{i:03}", x, [f"a {word} wave", f"someone waves in a {word} way"], split, {})


@pytest.fixture(scope="module")
def stores(tmp_path_factory, tiny_encoder):
    """Of clips whose captions tell their lengths, and of such whose captions do not."""

    def make(told: bool) -> Store:
        path = tmp_path_factory.mktemp("stores") / "lengths"
        prepare_store(Lengths(told), tiny_encoder, path, progress=False)
        return Store.open(path)

    return make(True), make(False)


@pytest.fixture
def store(stores):
    return stores[0]


def nats(model: LengthModel, store: Store) -> tuple[float, float]:
    """Of the model on validation clips, and of the training lengths alone."""
    val = store.split("val")
    target = model.bin(torch.tensor(val.lengths))
    pooled = store.texts.cond([val.text_ids(i)[0] for i in range(len(val))]).pooled
    shares = torch.bincount(model.bin(torch.tensor(store.split("train").lengths)), minlength=50) + 1.0
    prior = (shares / shares.sum()).log()
    with torch.no_grad():
        return F.cross_entropy(model(pooled), target).item(), -prior[target].mean().item()


def test_it_learns_what_captions_say_of_lengths(store):
    model = open_lengths(store)
    own, alone = nats(model, store)
    assert own < alone - 0.8  # of log 4 nats that the word tells
    for i in range(4):
        text = store.texts.cond([store.split("val").text_ids(i)[0]])
        assert abs(int(model.median(text.pooled)[0]) - Lengths.words[[*Lengths.words][i]]) <= 5


def test_captions_that_say_nothing_do_no_harm(stores):
    own, alone = nats(open_lengths(stores[1]), stores[1])
    assert own < alone + 0.02


def test_it_is_trained_once_and_the_same_every_time(store):
    one = open_lengths(store)
    file = store.path / "derived" / "lengths.pt"
    written = file.stat().st_mtime_ns
    torch.randn(7)
    again = open_lengths(store)
    assert file.stat().st_mtime_ns == written
    file.unlink()
    anew = open_lengths(store)
    for a, b, c in zip(*(model.state_dict().values() for model in (one, again, anew)), strict=True):
        assert torch.equal(a, b) and torch.equal(a, c)


def test_drawn_lengths_follow_the_distribution():
    model = LengthModel(8, unit=4, bins=3)
    model.typical.copy_(torch.tensor([4.0, 8.0, 12.0]))
    model.net[-1].weight.data.zero_()
    model.net[-1].bias.data.copy_(torch.tensor([0.2, 0.5, 0.3]).log())
    drawn = model.eval().draw(torch.randn(20_000, 8), seed=0)
    assert [float((drawn == n).float().mean()) for n in (4, 8, 12)] == pytest.approx([0.2, 0.5, 0.3], abs=0.02)
    assert model.median(torch.randn(2, 8)).tolist() == [8, 8]
    assert model.bin(torch.tensor([1, 4, 5, 12, 99])).tolist() == [0, 0, 1, 2, 2]
