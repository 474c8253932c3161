"""Stores of other things than motions: pictures, several axes a frame, arrays beside the clip."""

import numpy as np
import pytest
import torch

from motion_lightning.data.clip import Clip
from motion_lightning.data.store import Store
from motion_lightning.data.writer import prepare_store
from motion_lightning.errors import UserError


class Scenes:
    """Clips of (T, N, 2) displacements with a picture and a query beside each; ``spoil`` changes one."""

    name, representation, skeleton, fps, min_frames = "scenes", "tracks", None, 10.0, 1
    about = {"title": "Scenes", "source": "this test", "licence": "MIT"}  # noqa: RUF012

    def __init__(self, spoil=lambda clip: None, stop_at: int = -1):
        self.spoil, self.stop_at = spoil, stop_at

    def fingerprint(self):
        return {}

    def __len__(self):
        return 12

    def clips(self):
        for i in range(12):
            if i == self.stop_at:
                raise KeyboardInterrupt
            rng = np.random.default_rng(i)
            clip = Clip(
                f"s{i}",
                rng.normal(size=(4 + i % 3, 5, 2)),
                ["the ball goes left", "it goes"],
                ("train", "train", "val")[i % 3],
                pos=["the/DET ball/NOUN go/VERB left/ADV", "it/PRON go/VERB"],
                extras={
                    "frames": rng.integers(0, 256, (2, 3, 8, 8), dtype=np.uint8),
                    "query": rng.random((5, 2)),
                },
            )
            if i == 4:
                self.spoil(clip)
            yield clip


@pytest.fixture
def open_store(tmp_path, make_encoder):
    def open_store(corpus) -> Store:
        prepare_store(corpus, make_encoder(), tmp_path / "s", progress=False)
        return Store.open(tmp_path / "s")

    return open_store


def test_every_array_comes_back_in_its_shape_and_type(open_store):
    store = open_store(Scenes())
    expected = [clip for clip in Scenes().clips() if clip.split == "train"]
    split = store.split("train")
    for i, clip in enumerate(expected):
        assert split.features(i).dtype == np.float32
        np.testing.assert_array_equal(split.features(i), clip.features.astype(np.float32))
        assert split.extras(i).keys() == clip.extras.keys()
        assert split.extras(i)["frames"].dtype == np.uint8
        for name, extra in clip.extras.items():
            np.testing.assert_array_equal(split.extras(i)[name], extra.astype(split.extras(i)[name].dtype))
    assert [store.texts.pos(i) for i in range(2)] == ["the/DET ball/NOUN go/VERB left/ADV", "it/PRON go/VERB"]
    frames = np.concatenate([clip.features.reshape(len(clip.features), -1) for clip in expected])
    np.testing.assert_allclose(store.stats.mean, frames.astype(np.float32).mean(0), atol=1e-6)
    store.verify()


def test_a_batch_with_a_condition_of_its_own(open_store):
    store = open_store(Scenes())
    split = store.split("train")

    def condition(split, clips, text):
        return torch.from_numpy(np.stack([split.extras(i)["query"] for i in clips])), text

    batch = store.with_condition(condition).split("train").collate([2, 0], multiple_of=1)
    assert batch.x.shape == (2, max(split.lengths[[2, 0]]), 5, 2)
    np.testing.assert_array_equal(batch.cond[0][0], split.extras(2)["query"])
    assert batch.cond[1].pooled.shape[0] == 2


def test_bytes_become_numbers_from_minus_one_to_one(tmp_path, make_encoder):
    class Pictures(Scenes):
        def clips(self):
            for clip in super().clips():
                clip.features, clip.extras = np.arange(256, dtype=np.uint8).reshape(1, 1, 16, 16), {}
                yield clip

    prepare_store(Pictures(), make_encoder(), tmp_path / "p", progress=False)
    store = Store.open(tmp_path / "p")
    x = store.split("val").collate([0, 1], multiple_of=1).x
    assert x.shape == (2, 1, 1, 16, 16) and x.min() == -1 and x.max() == 1
    np.testing.assert_allclose(x[1].flatten(), np.linspace(-1, 1, 256), atol=1e-6)
    with pytest.raises(UserError, match="no statistics"):
        _ = store.stats


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda c: c.extras["query"].__setitem__((0, 0), np.nan), "NaN or infinity in the query"),
        (lambda c: c.extras.pop("query"), r"extras are frames uint8 \(2, 3, 8, 8\), not frames .*, query"),
        (lambda c: setattr(c, "features", c.features[:, :4]), r"features are float32 \(4, 2\) a frame, not"),
        (lambda c: setattr(c, "features", c.features.astype(np.int64)), "floating point or bytes"),
    ],
)
def test_clips_that_do_not_fit_are_left_out(open_store, spoil, reason):
    store = open_store(Scenes(spoil))
    (left_out,) = store.manifest["rejected"]
    assert left_out["id"] == "s4"
    with pytest.raises(UserError, match=reason):
        raise UserError(left_out["reason"])


def test_an_interrupted_preparation_goes_on_with_its_extras(tmp_path, make_encoder):
    with pytest.raises(KeyboardInterrupt):
        prepare_store(Scenes(stop_at=7), make_encoder(), tmp_path / "s", progress=False)
    for name in ("s", "whole"):
        prepare_store(Scenes(), make_encoder(), tmp_path / name, progress=False)
    one, other = ({f.name: f.read_bytes() for f in (tmp_path / name).iterdir()} for name in ("s", "whole"))
    assert one == other
