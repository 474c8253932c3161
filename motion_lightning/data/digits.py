"""Handwritten digits as one-frame clips: scikit-learn's 8 × 8 pictures, or MNIST from a folder of the user."""

import gzip
import hashlib
import math
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

import numpy as np

from motion_lightning.data.clip import Clip
from motion_lightning.errors import UserError

VERSION = 1  # of pictures and captions
NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
CAPTIONS = (
    "the digit {name}", "the digit {digit}", "a handwritten {digit}", "a handwritten {name}", "the number {name}",
    "the number {digit}, written by hand", "a picture of the digit {name}", "{name}, drawn with a pen",
    "somebody wrote {digit} here", "the numeral {digit}",
)  # fmt: skip
LARGEST = 1 << 30  # bytes of an idx file; MNIST's largest has 47 million
FILES = {"train": ("train-images", "train-labels"), "test": ("t10k-images", "t10k-labels")}


class DigitsCorpus:
    """The 1,797 digits of scikit-learn: (1, 1, 8, 8) uint8, the original's 0 … 16 spread over 0 … 255.

    About a tenth each is val and test, drawn by a hash of the picture, so that equal pictures are in one split.
    ``tags`` hold the ``label``.

    Args:
        only: one digit, 0 to 9, or None for all.
        texts: captions of a clip.

    Raises UserError for a wrong ``only``.
    """

    name, representation, skeleton, fps, min_frames = "digits", "image", None, 1.0, 1
    about: ClassVar = {
        "title": "Optical Recognition of Handwritten Digits, as in scikit-learn",
        "source": "E. Alpaydin, C. Kaynak; UCI Machine Learning Repository, doi:10.24432/C50P49",
        "licence": "CC BY 4.0",
        "notes": "8 × 8 pictures; the splits here are not the original's.",
    }

    def __init__(self, only: int | None = None, texts: int = 3):
        from sklearn.datasets import load_digits

        _check(only, texts)
        self.only, self.texts = only, texts
        digits = load_digits()
        self.pictures = np.rint(digits.images * (255 / 16)).astype(np.uint8)  # (N, 8, 8)
        self.labels = digits.target
        self.rows = _rows(self.labels, only)

    def __len__(self) -> int:
        return len(self.rows)

    def fingerprint(self) -> dict[str, Any]:
        digest = hashlib.sha256(self.pictures.tobytes() + self.labels.astype(np.uint8).tobytes()).hexdigest()
        return {"corpus": self.name, "version": VERSION, "pictures": digest, "only": self.only, "texts": self.texts}

    def clips(self, start: int = 0) -> Iterator[Clip]:
        for i in self.rows[start:].tolist():
            share = _share(self.pictures[i])
            split = "test" if share < 0.1 else "val" if share < 0.2 else "train"
            yield _clip(f"digit_{i:04}", self.pictures[i], self.labels[i], split, self.texts, i)


class MnistCorpus:
    """MNIST, or anything in its four files: (1, 1, 32, 32) uint8, the pictures with a border of zeros.

    The folder holds ``train-images``, ``train-labels``, ``t10k-images`` and ``t10k-labels``, each followed by
    ``-idx3-ubyte`` or ``.idx1-ubyte`` and so on, packed as ``.gz`` or not. The 10k are test; a twelfth of the rest
    is val, drawn by a hash of the picture.

    Args:
        source: the folder.
        only: one digit, 0 to 9, or None for all.
        size: sides of the pictures with their border.
        texts: captions of a clip.

    Raises UserError for a missing or broken file, and for pictures larger than ``size``.
    """

    name, representation, skeleton, fps, min_frames = "mnist", "image", None, 1.0, 1
    about: ClassVar = {
        "title": "MNIST handwritten digits",
        "source": "Y. LeCun, C. Cortes, C. Burges; files of the user",
        "licence": "as the user obtained it",
    }

    def __init__(self, source: str | Path | None, only: int | None = None, size: int = 32, texts: int = 3):
        _check(only, texts)
        if not source or not Path(source).expanduser().is_dir():
            raise UserError(f"data.source: {source} is no folder; give the one with MNIST's four idx files")
        self.only, self.size, self.texts = only, size, texts
        folder = Path(source).expanduser()
        self.parts = {split: self._part(folder, *names) for split, names in FILES.items()}

    def _part(self, folder: Path, images: str, labels: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Pictures (N, size, size), labels (N,) and the rows that are wanted."""
        image_file, label_file = _find(folder, images), _find(folder, labels)
        pictures, labels = read_idx(image_file), read_idx(label_file)
        if pictures.ndim != 3 or labels.ndim != 1 or len(pictures) != len(labels):
            shapes = f"{pictures.shape} and {labels.shape}"
            raise UserError(f"{image_file}, {label_file.name}: shapes {shapes} are not those of pictures and labels")
        if len(labels) and labels.max() > 9:
            raise UserError(f"{label_file}: label {labels.max()} at {labels.argmax()} is no digit")
        spare = [self.size - side for side in pictures.shape[1:]]
        if min(spare) < 0:
            raise UserError(f"{image_file}: pictures of {pictures.shape[1:]} do not fit into size={self.size}")
        border = [(0, 0), *((left, n - left) for left, n in zip((s // 2 for s in spare), spare, strict=True))]
        return np.pad(pictures, border), labels, _rows(labels, self.only)

    def __len__(self) -> int:
        return sum(len(rows) for *_, rows in self.parts.values())

    def fingerprint(self) -> dict[str, Any]:
        digest = hashlib.sha256()
        for pictures, labels, _ in self.parts.values():
            digest.update(pictures.tobytes() + labels.tobytes())
        settings = {"only": self.only, "size": self.size, "texts": self.texts}
        return {"corpus": self.name, "version": VERSION, "pictures": digest.hexdigest(), **settings}

    def clips(self, start: int = 0) -> Iterator[Clip]:
        jobs = [(part, i) for part, (*_, rows) in self.parts.items() for i in rows.tolist()]
        for part, i in jobs[start:]:
            pictures, labels, _ = self.parts[part]
            split = "val" if part == "train" and _share(pictures[i]) < 1 / 12 else part
            yield _clip(f"{part}_{i:05}", pictures[i], labels[i], split, self.texts, i)


def read_idx(path: Path) -> np.ndarray:
    """The array of an idx file of unsigned bytes, packed with gzip or not. UserError says what is wrong with it."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            return parse_idx(file, str(path))
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error})") from None


def parse_idx(file: BinaryIO, where: str) -> np.ndarray:
    """The array of an open idx file; ``where`` names it in errors.

    Format: two zero bytes, 8 for unsigned bytes, the number of axes, their sizes as big-endian 32-bit numbers, the
    data.
    """
    try:
        head = file.read(4)
        if len(head) < 4 or head[:3] != b"\0\0\x08" or not 1 <= head[3] <= 4:
            raise UserError(f"{where}: starts with {head.hex(' ') or 'nothing'}, idx bytes with 00 00 08 and 01 to 04")
        sizes = file.read(4 * head[3])
        if len(sizes) < 4 * head[3]:
            raise UserError(f"{where}: ends at byte {4 + len(sizes)}, among the sizes of its axes")
        shape = struct.unpack(f">{head[3]}I", sizes)
        count = math.prod(shape)
        if count > LARGEST:
            raise UserError(f"{where}: claims {shape}, {count} bytes; more than {LARGEST} are not read")
        data = bytearray()
        while len(data) <= count and (block := file.read(min(1 << 20, count + 1 - len(data)))):
            data += block  # block by block: the claim alone must not take memory
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise UserError(f"{where}: broken gzip ({error})") from None
    if len(data) != count:
        found = f"more than {count}" if len(data) > count else str(len(data))
        raise UserError(f"{where}: its axes {shape} want {count} bytes, but {found} follow")
    return np.frombuffer(bytes(data), np.uint8).reshape(shape)


def _find(folder: Path, stem: str) -> Path:
    for path in sorted(folder.iterdir()):
        if path.name.startswith(stem) and path.name.removesuffix(".gz").endswith("ubyte"):
            return path
    raise UserError(f"{folder}: no {stem}-idx…-ubyte, packed as .gz or not")


def _check(only: int | None, texts: int) -> None:
    if only is not None and only not in range(10):
        raise UserError(f"only={only} should be a digit from 0 to 9, or null for all")
    if not 1 <= texts <= len(CAPTIONS):
        raise UserError(f"texts={texts}: a clip has 1 to {len(CAPTIONS)} captions")


def _rows(labels: np.ndarray, only: int | None) -> np.ndarray:
    return np.flatnonzero(labels == only) if only is not None else np.arange(len(labels))


def _share(picture: np.ndarray) -> float:
    """A number in [0, 1) that only the picture decides."""
    return int.from_bytes(hashlib.sha256(picture.tobytes()).digest()[:8], "big") / 2**64


def _clip(name: str, picture: np.ndarray, label: int, split: str, texts: int, number: int) -> Clip:
    chosen = np.random.default_rng([13, number]).permutation(len(CAPTIONS))[:texts]
    captions = [CAPTIONS[k].format(digit=label, name=NAMES[label]) for k in chosen]
    return Clip(name, picture[None, None], captions, split, {"label": int(label)})
