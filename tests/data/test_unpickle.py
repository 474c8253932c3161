"""Pickles of others: what is plain is read, what is not is named and never run."""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from motion_lightning.data.unpickle import read_plain
from motion_lightning.errors import UserError


class Trap:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: Path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.fixture
def file(tmp_path) -> Path:
    return tmp_path / "words.pkl"


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("content", [["sos", "eos", "größer"], {"sos": 0, "a": 70000, "b": -(2**40)}, [], {}])
def test_lists_and_dicts_are_read(file, content, protocol):
    file.write_bytes(pickle.dumps(content, protocol))
    assert read_plain(file) == content


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_nothing_is_run(file, tmp_path, protocol):
    file.write_bytes(pickle.dumps(["a", Trap(tmp_path / "sprung")], protocol))
    with pytest.raises(UserError, match=r"(posix|nt)\.mkdir, which is not run"):
        read_plain(file)
    assert not (tmp_path / "sprung").exists()
    pickle.loads(file.read_bytes())
    assert (tmp_path / "sprung").exists()  # the trap does work


@pytest.mark.parametrize(
    ("content", "named"),
    [(np.int64(3), r"numpy"), ((1, 2), "tuple2"), (b"raw", "binbytes"), ({1}, "set"), (None, "none"), (1.5, "float")],
)
def test_what_is_not_plain_is_named(file, content, named):
    file.write_bytes(pickle.dumps([content], 4))
    with pytest.raises(UserError, match=named):
        read_plain(file)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no pickle",
        pickle.dumps(["a", "b"])[:-2],
        b"\x80\x03]r\xff\xff\xff\xff.",  # a place in the memory that would reserve 64 GB
        b"\x80\x03" + b"(" * 100_000 + b".",
        b"\x80\x03X\x01\x00\x00\x00\xff.",  # no UTF-8
        b"\x80\x03h\x07.",  # a place that nothing was put to
    ],
)
def test_damaged_pickles_are_refused(file, data):
    file.write_bytes(data)
    with pytest.raises(UserError, match=r"words\.pkl"):
        read_plain(file)


def test_missing_files_are_named(tmp_path):
    with pytest.raises(UserError, match="gone"):
        read_plain(tmp_path / "gone.pkl")
