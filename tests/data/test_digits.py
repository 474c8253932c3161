"""Digits: scikit-learn's own, and idx files as MNIST has them, whole and broken."""

import gzip
import struct

import numpy as np
import pytest

from motion_lightning.data.digits import NAMES, DigitsCorpus, MnistCorpus, read_idx
from motion_lightning.data.store import Store
from motion_lightning.data.writer import prepare_store
from motion_lightning.errors import UserError


def idx(array: np.ndarray) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    for part, n in (("train", 48), ("t10k", 12)):
        images = rng.integers(0, 256, (n, 28, 28), np.uint8)
        (tmp_path / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(images)))
        (tmp_path / f"{part}-labels-idx1-ubyte").write_bytes(idx(np.arange(n, dtype=np.uint8) % 10))
    return tmp_path


def test_all_digits_with_splits_and_captions():
    clips = list(DigitsCorpus().clips())
    assert len(clips) == 1797 == len(DigitsCorpus())
    assert {c.features.shape for c in clips} == {(1, 1, 8, 8)}
    assert min(c.features.min() for c in clips) == 0 and max(c.features.max() for c in clips) == 255
    counts = {split: sum(c.split == split for c in clips) for split in ("train", "val", "test")}
    assert 1390 < counts["train"] < 1480 and min(counts["val"], counts["test"]) > 140
    for clip in clips[::50]:
        words = (str(clip.tags["label"]), NAMES[clip.tags["label"]])
        assert len(set(clip.captions)) == 3 and all(any(w in c for w in words) for c in clip.captions)
    assert {c.tags["label"] for c in clips if c.split == "test"} == set(range(10))
    pictures = {}
    assert all(pictures.setdefault(c.features.tobytes(), c.split) == c.split for c in clips)


def test_the_fours_alone_are_the_fours_of_all(make_encoder, tmp_path):
    fours = list(DigitsCorpus(only=4).clips())
    assert [c.id for c in fours] == [c.id for c in DigitsCorpus().clips() if c.tags["label"] == 4]
    assert len(fours) == 181 and DigitsCorpus(only=4).fingerprint() != DigitsCorpus().fingerprint()
    prepare_store(DigitsCorpus(only=4), make_encoder(), tmp_path / "fours", progress=False)
    batch = Store.open(tmp_path / "fours").split("val").collate([0, 1, 2], multiple_of=1)
    assert batch.x.shape == (3, 1, 1, 8, 8) and batch.x.min() == -1 and batch.x.max() == 1


def test_mnist_is_padded_and_split(folder):
    clips = list(MnistCorpus(folder).clips())
    assert len(clips) == 60 and sum(c.split == "test" for c in clips) == 12
    assert {c.split for c in clips} == {"train", "val", "test"}
    original = read_idx(folder / "train-images-idx3-ubyte.gz")
    picture = clips[5].features
    assert picture.shape == (1, 1, 32, 32) and np.array_equal(picture[0, 0, 2:30, 2:30], original[5])
    assert picture.sum() == original[5].sum() and clips[5].tags["label"] == 5
    assert [c.tags["label"] for c in MnistCorpus(folder, only=4).clips()] == [4] * 6


def test_what_is_missing_is_named(folder):
    (folder / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(UserError, match="no t10k-labels"):
        MnistCorpus(folder)
    with pytest.raises(UserError, match="is no folder"):
        MnistCorpus(folder / "nowhere")
    with pytest.raises(UserError, match="only=11"):
        DigitsCorpus(only=11)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "starts with nothing"),
        (b"\0\0\x0d\x03" + bytes(12), "00 00 0d 03"),
        (b"\0\0\x08\x03\0\0", "ends at byte 6"),
        (b"\0\0\x08\x01\xff\xff\xff\xff", "are not read"),
        (b"\0\0\x08\x01\x20\0\0\0abc", "but 3 follow"),
        (b"\0\0\x08\x01\0\0\0\x02abc", "more than 2"),
    ],
)
def test_wrong_idx_files(tmp_path, data, says):
    for name, content in (("a-ubyte", data), ("a-ubyte.gz", gzip.compress(data))):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match=says) as error:
            read_idx(tmp_path / name)
        assert name in str(error.value)
