"""Sequences of unequal length in two flat files: the bytes one after another, and where each one ends."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

DATA, ENDS = ".bin", ".ends"  # ends: int64, in bytes


class RaggedWriter:
    """Appends to ``folder/name``; an unfinished file is taken up again, up to ``truncate``."""

    def __init__(self, folder: Path, name: str):
        self._data, self._ends = ((folder / (name + end)).open("ab") for end in (DATA, ENDS))
        self.ends = np.fromfile(folder / (name + ENDS), np.int64).tolist()
        size = self._data.tell()
        while self.ends and self.ends[-1] > size:  # the machine went down between two writes
            self.ends.pop()
        self.truncate(len(self.ends))

    def __len__(self) -> int:
        return len(self.ends)

    def append(self, item: np.ndarray | bytes) -> None:
        data = item if isinstance(item, bytes) else np.ascontiguousarray(item).tobytes()
        self.ends.append((self.ends[-1] if self.ends else 0) + len(data))
        self._data.write(data)
        self._ends.write(np.int64(self.ends[-1]).tobytes())

    def truncate(self, count: int) -> None:
        """Forgets all but the first ``count`` items."""
        del self.ends[count:]
        self._data.truncate(self.ends[-1] if self.ends else 0)
        self._ends.truncate(8 * len(self.ends))

    def flush(self) -> None:
        self._data.flush()
        self._ends.flush()

    def close(self) -> None:
        self._data.close()
        self._ends.close()


class Ragged:
    """Reads what a ``RaggedWriter`` wrote, memory-mapped: ``ragged[i]`` is a view, (n, *shape)."""

    def __init__(self, folder: Path, name: str, dtype: type | str, shape: Sequence[int] = ()):
        path = folder / (name + DATA)
        # a plain array on top of the mapping: slicing np.memmap itself is slow
        data = np.asarray(np.memmap(path, dtype, "r")) if path.stat().st_size else np.empty(0, dtype)
        self.data = data.reshape(-1, *shape)
        ends = np.fromfile(folder / (name + ENDS), np.int64) // (data.itemsize * math.prod(shape))
        self.offsets = np.concatenate([np.zeros(1, np.int64), ends])  # (count + 1,) in rows

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, i: int) -> np.ndarray:
        return self.data[self.offsets[i] : self.offsets[i + 1]]

    def text(self, i: int) -> str:
        return self[i].tobytes().decode()

    @property
    def lengths(self) -> np.ndarray:
        """Rows of each item, (count,) int64."""
        return np.diff(self.offsets)
