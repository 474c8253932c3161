"""Damaged episodes: the parent lives, nothing hangs, no NaN comes through, and every refusal names the file.

    python tests/data/tracks/test_fuzz.py --count 20000

Case ``i`` is a function of (seed, i). Damage is of bytes, mostly in the metadata (the pictures are tiny), and of what
the file says: other numbers, types, shapes, names.
"""

import argparse
import io
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import h5py
import numpy as np
import pytest

from motion_lightning.data.tracks.episodes import Episode, Hands, Window, write_episode
from motion_lightning.data.tracks.reader import EpisodeReader
from motion_lightning.errors import UserError

SECONDS = 10  # that a file may take


def samples() -> list[bytes]:
    """The same tiny episode in the library's old and new file format, and with filters."""
    rng = np.random.default_rng(0)
    hands = Hands.none(2)
    hands.present[:] = True
    windows = []
    for start in (0, 1):
        moved = np.stack([np.zeros((3, 3)), rng.normal(size=(3, 3)) * 0.01]).astype(np.float32)
        windows.append(
            Window(start, rng.uniform(0.2, 0.8, (3, 3)).astype(np.float32), moved, hands, np.int16([0, 1, -1]))
        )
    video, depth = rng.integers(0, 255, (3, 4, 4, 3), dtype=np.uint8), np.ones((3, 4, 4), np.float32)
    episode = Episode("tiny", video, depth, ["a hand pushes the red block"], windows, [{"action": "push"}])
    files = []
    with tempfile.TemporaryDirectory() as folder:
        write_episode(path := Path(folder) / "tiny.hdf5", episode)
        files.append(path.read_bytes())
        for version in ("earliest", "latest"):
            buffer = io.BytesIO()
            with h5py.File(path) as old, h5py.File(buffer, "w", libver=version) as new:
                for name in ("depth", "text", "tracks"):
                    old.copy(name, new)
                new["video"], new.attrs["program"] = video, "[]"
            files.append(buffer.getvalue())
    return files


# ---- damage


def damaged(files: list[bytes], rng: np.random.Generator) -> bytes:
    data = files[rng.integers(len(files))]
    if rng.random() < 0.4:
        data = retold(data, rng)
        if rng.random() < 0.7:
            return data
    out = bytearray(data)
    for _ in range(int(rng.choice([1, 1, 2, 4, 16]))):
        if not out:
            break
        at, kind = int(rng.integers(len(out))), rng.integers(8)
        size = int(rng.choice([1, 2, 4, 8, 64, 600]))
        if kind < 3:
            out[at] ^= 1 << int(rng.integers(8))
        elif kind == 3:
            out[at : at + size] = rng.bytes(len(out[at : at + size]))
        elif kind == 4:
            out[at : at + size] = bytes([int(rng.choice([0, 255]))]) * len(out[at : at + size])
        elif kind == 5:
            piece = out[at : at + size]
            to = int(rng.integers(len(out)))
            out[to : to + len(piece)] = piece
        elif kind == 6:
            del out[at : at + size]
        else:
            del out[at:]
    return bytes(out)


NUMBERS = [np.nan, np.inf, -np.inf, 1e38, -1e38, 1e-45, -1.0, 2.0, 1e5, 0.0]


def retold(data: bytes, rng: np.random.Generator) -> bytes:
    """A sound file that says something else."""
    buffer = io.BytesIO(data)
    with h5py.File(buffer, "r+") as file:
        names = []
        file.visit(names.append)
        name = names[rng.integers(len(names))]
        item, kind = file[name], rng.integers(6)
        if kind == 0 or isinstance(item, h5py.Group):
            del file[name]
        elif kind == 1 or item.dtype.kind == "O":
            del file[name]
            file[name] = [["x", "\ud7ff" * 20, ""], 3.0, b"\xff\xfe", np.zeros((2, 0)), h5py.Empty("f4")][
                rng.integers(5)
            ]
        elif kind == 2:
            del file[name]
            file[name] = rng.normal(size=tuple(rng.integers(0, 5, rng.integers(0, 5))))
        elif kind == 3 and item.dtype.kind == "f":
            values = item[()].reshape(-1).astype(np.float64)
            values[rng.integers(len(values))] = rng.choice(NUMBERS)
            shape = item.shape
            del file[name]
            with np.errstate(over="ignore"):
                file[name] = values.reshape(shape).astype([np.float64, np.float32, np.float16][rng.integers(3)])
        elif kind == 4:
            values = item[()]
            del file[name]
            file[name] = values.astype(["i1", "u8", ">f4", "f8", "bool", "c8"][rng.integers(6)], casting="unsafe")
        else:
            file.move(name, f"{name}{rng.choice(['x', '9', '_é'])}")
    return buffer.getvalue()


# ---- verdict


def outcome(reader: EpisodeReader, path: Path) -> str:
    try:
        check(reader.read(path))
        return "read"
    except UserError as error:
        text = str(error)
        assert text.startswith(f"{path.name}: ") and "\n" not in text and len(text) > len(path.name) + 10, text
        return next((word for word in ("crashed", "not read within", "not an HDF5") if word in text), "place named")


def check(episode: Episode) -> None:
    """All that a reader's caller counts on."""
    assert episode.video.dtype == np.uint8 and episode.video.ndim == 4 and episode.video.shape[-1] == 3
    assert episode.captions and all(episode.captions)
    assert episode.depth is None or (np.isfinite(episode.depth) & (episode.depth >= 0)).all()
    assert episode.windows
    for window in episode.windows:
        assert 0 <= window.start < len(episode.video)
        arrays = [window.query, window.displacements, *vars(window.hands).values()]
        assert all(np.isfinite(array).all() for array in arrays)
        assert window.displacements.shape[1:] == window.query.shape and not window.displacements[0].any()
        assert ((window.query[:, :2] >= 0) & (window.query[:, :2] <= 1)).all()
        assert abs(window.displacements).max() <= 1e3


def fuzz(count: int, seed: int, folder: Path) -> Counter:
    """Outcomes of so many cases; AssertionError with the case's number for a bad one."""
    files, told = samples(), Counter()
    path = folder / "case.hdf5"
    with EpisodeReader(timeout=SECONDS) as reader:
        for data in files:
            path.write_bytes(data)
            assert outcome(reader, path) == "read"
        for i in range(count):
            path.write_bytes(damaged(files, np.random.default_rng([seed, i])))
            try:
                told[outcome(reader, path)] += 1
            except AssertionError as error:
                raise AssertionError(f"case {i} of seed {seed}: {error}") from error
    return told


def test_damaged_episodes_are_refused_by_name_or_sound(tmp_path):
    told = fuzz(150, 1, tmp_path)
    assert sum(told.values()) == 150 and told["place named"] > 25 and told["read"] > 10


@pytest.mark.slow
def test_many_damaged_episodes(tmp_path):
    assert sum(fuzz(5000, 2, tmp_path).values()) == 5000


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as work:
        result = fuzz(args.count, args.seed, Path(work))
    print(f"{args.count} damaged episodes, {time.monotonic() - began:.0f} s: {dict(result.most_common())}")
    sys.exit(0)
