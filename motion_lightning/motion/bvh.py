"""BVH files: read, write, and where every joint is.

What real files mean, beyond the format's one old description:

- the OFFSET of the root is added to its position channels;
- position channels of any other joint replace its OFFSET, axis by axis;
- rotation channels, in degrees, multiply in the order of their declaration: R = R_1 R_2 R_3.
"""

import os
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import numpy as np
from scipy.spatial.transform import Rotation

from motion_lightning.errors import UserError

AXES = "XYZ"


@dataclass(frozen=True, eq=False)
class Bvh:
    """A motion in the units of its file. Parents come before their children; joint 0 is the root."""

    names: tuple[str, ...]
    parents: tuple[int, ...]  # -1 for the root
    offsets: np.ndarray  # (J, 3)
    end_sites: dict[int, np.ndarray]  # leaf joint -> (3,) from it to its tip
    positions: np.ndarray  # (T, J, 3) from the parent, offsets included
    rotations: np.ndarray  # (T, J, 3, 3) relative to the parent
    frame_time: float  # seconds, as the header says: often wrong
    source: str = "BVH"  # what errors call this file

    def global_transforms(self) -> tuple[np.ndarray, np.ndarray]:
        """Position (T, J, 3) and orientation (T, J, 3, 3) of every joint in the world."""
        positions, rotations = self.positions.copy(), self.rotations.copy()
        for j, p in enumerate(self.parents):
            if p >= 0:
                positions[:, j] = positions[:, p] + (rotations[:, p] @ self.positions[:, j, :, None])[..., 0]
                rotations[:, j] = rotations[:, p] @ self.rotations[:, j]
        return positions, rotations

    def global_joints(self) -> np.ndarray:
        """Position (T, J, 3) of every joint in the world."""
        return self.global_transforms()[0]


def read_bvh(data: bytes | str, name: str = "BVH") -> Bvh:
    """Motion of a BVH file's content; ``name`` is the file's in errors.

    UserError tells the line and what was expected there: broken hierarchies, frames that are short or
    missing, and values that are no finite numbers.
    """
    text = data.decode("utf-8-sig", errors="replace") if isinstance(data, bytes) else data
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    start = next((i for i, line in enumerate(lines) if line.strip().upper() == "MOTION"), None)
    if start is None:
        raise UserError(f"{name} line {len(lines)}: expected MOTION before the end; is the file cut?")
    tree = _Tree(_words(lines[:start]), name)
    values, frame_time = _motion(lines, start, len(tree.channels), name)

    offsets = np.array(tree.offsets)
    shape = (len(values), len(tree.names), 3)
    positions = np.broadcast_to(offsets, shape).copy()
    orders = [""] * len(tree.names)
    angles = np.zeros(shape)
    for column, (joint, axis, kind) in zip(values.T, tree.channels, strict=True):
        if kind == "ROTATION":
            angles[:, joint, len(orders[joint])] = column
            orders[joint] += axis
        else:
            positions[:, joint, AXES.index(axis)] = column + (0 if joint else offsets[0, AXES.index(axis)])
    if not np.isfinite(positions).all():
        raise UserError(f"{name}: the root's offset and position add up to infinity")
    rotations = np.broadcast_to(np.eye(3), (*shape, 3)).copy()
    for order in {order for order in orders if order}:
        joints = [j for j, o in enumerate(orders) if o == order]
        turned = angles[:, joints, : len(order)].reshape(-1, len(order))
        matrices = Rotation.from_euler(order, turned, degrees=True).as_matrix()  # capitals: body axes
        rotations[:, joints] = matrices.reshape(len(values), len(joints), 3, 3)
    parents = tuple(tree.parents)
    return Bvh(tuple(tree.names), parents, offsets, tree.end_sites, positions, rotations, frame_time, name)


def write_bvh(path: str | Path, bvh: Bvh) -> None:
    """Write a motion so that reading it back gives the same positions and rotations.

    The root's OFFSET is written as zero. A joint whose position moves gets position channels, as the root
    does. Joints are written depth first, so a tree that is not in that order comes back in it.
    """
    children = {j: [c for c, p in enumerate(bvh.parents) if p == j] for j in range(-1, len(bvh.names))}
    header, columns = ["HIERARCHY"], []

    def joint(j: int, depth: int) -> None:
        tab = "\t" * depth
        moves = bool(j == 0 or (bvh.positions[:, j] != bvh.offsets[j]).any())
        channels = [*(f"{axis}position" for axis in AXES * moves), *(f"{axis}rotation" for axis in "ZXY")]
        header.append(f"{tab}{'JOINT' if j else 'ROOT'} {bvh.names[j]}")
        header.append(f"{tab}{{")
        header.append(f"{tab}\tOFFSET {_numbers(bvh.offsets[j] if j else np.zeros(3))}")
        header.append(f"{tab}\tCHANNELS {len(channels)} {' '.join(channels)}")
        if moves:
            columns.append(bvh.positions[:, j])
        turned = Rotation.from_matrix(bvh.rotations[:, j])
        columns.append(np.unwrap(turned.as_euler("ZXY", degrees=True), axis=0, period=360))
        for child in children[j]:
            joint(child, depth + 1)
        if j in bvh.end_sites:
            header.append(f"{tab}\tEnd Site")
            header.extend([f"{tab}\t{{", f"{tab}\t\tOFFSET {_numbers(bvh.end_sites[j])}", f"{tab}\t}}"])
        header.append(f"{tab}}}")

    with warnings.catch_warnings():  # at a gimbal lock any angles that give the rotation will do
        warnings.simplefilter("ignore", UserWarning)
        joint(0, 0)
    header.extend(["MOTION", f"Frames: {len(bvh.positions)}", f"Frame Time: {bvh.frame_time:.10g}"])
    path = Path(path)
    half = path.with_name(f".{path.name}.{os.getpid()}")
    half.write_text("\n".join([*header, *map(_numbers, np.concatenate(columns, axis=1))]) + "\n")
    half.replace(path)


def _numbers(row: np.ndarray) -> str:
    return " ".join(f"{v:.10g}" for v in row)


def _words(lines: list[str]) -> Iterator[tuple[str, int]]:
    """Words with their line numbers; braces are words of their own, wherever they stand."""
    for number, line in enumerate(lines, start=1):
        for word in re.findall(r"[{}]|[^\s{}]+", line):
            yield word, number


class _Tree:
    """The HIERARCHY section. Channels are (joint, axis, POSITION or ROTATION), one per column."""

    def __init__(self, words: Iterator[tuple[str, int]], file: str):
        self.words, self.file, self.line = words, file, 1
        self.names: list[str] = []
        self.parents: list[int] = []
        self.offsets: list[list[float]] = []
        self.channels: list[tuple[int, str, str]] = []
        self.end_sites: dict[int, np.ndarray] = {}
        self._literal("HIERARCHY")
        self._literal("ROOT")
        self._parse()

    def _parse(self) -> None:
        open_joints = [self._open(-1)]
        declared: set[int] = set()  # joints whose channels are known
        while open_joints:
            joint = open_joints[-1]
            match self._word("OFFSET, CHANNELS, JOINT, End Site or }").upper():
                case "OFFSET":
                    self.offsets[joint] = self._vector()
                case "CHANNELS" if joint not in declared:
                    declared.add(joint)
                    self._channels(joint)
                case "JOINT":
                    open_joints.append(self._open(joint))
                case "END":
                    while self._word("{") != "{":  # "Site", and whatever it is called
                        pass
                    self._literal("OFFSET")
                    self.end_sites[joint] = np.array(self._vector())
                    self._literal("}")
                case "}":
                    if not self.offsets[joint] or joint not in declared:
                        missing = "CHANNELS" if self.offsets[joint] else "OFFSET"
                        self._fail(f"joint {self.names[joint]} ends without {missing}")
                    open_joints.pop()
                case word:
                    self._fail(f"expected OFFSET, CHANNELS, JOINT, End Site or }}, found {word[:40]!r}")
        for word, line in self.words:
            self.line = line
            self._fail(f"expected MOTION after the root's last }}, found {word[:40]!r} (a file has one ROOT)")

    def _open(self, parent: int) -> int:
        """Start a joint, whose name may have blanks."""
        words = []
        while (word := self._word("a joint's name and {")) != "{":
            words.append(word)
        name = " ".join(words)
        if not name or name in self.names:
            self._fail(f"a second joint is called {name!r}" if name else "a joint without a name")
        self.names.append(name)
        self.parents.append(parent)
        self.offsets.append([])
        return len(self.names) - 1

    def _channels(self, joint: int) -> None:
        count = self._word("the number of channels")
        if count not in list("0123456"):
            self._fail(f"expected 0 to 6 channels, found {count[:40]!r}")
        for _ in range(int(count)):
            word = self._word("a channel")
            axis, kind = word[:1].upper(), word[1:].upper()
            if axis not in AXES or kind not in ("POSITION", "ROTATION"):
                self._fail(f"expected a channel such as Xposition or Zrotation, found {word[:40]!r}")
            if (joint, axis, kind) in self.channels[-6:]:
                self._fail(f"joint {self.names[joint]} has two channels {word}")
            self.channels.append((joint, axis, kind))

    def _vector(self) -> list[float]:
        return [self._number() for _ in AXES]

    def _number(self) -> float:
        word = self._word("a number")
        try:
            value = float(word)
        except ValueError:
            value = np.nan
        if not np.isfinite(value):
            self._fail(f"expected a finite number, found {word[:40]!r}")
        return value

    def _literal(self, expected: str) -> None:
        if (word := self._word(expected)).upper() != expected:
            self._fail(f"expected {expected}, found {word[:40]!r}")

    def _word(self, expected: str) -> str:
        word, self.line = next(self.words, ("", self.line))
        if not word:
            self._fail(f"expected {expected}, but the HIERARCHY section ends")
        return word

    def _fail(self, message: str) -> NoReturn:
        raise UserError(f"{self.file} line {self.line}: {message}")


def _motion(lines: list[str], start: int, width: int, name: str) -> tuple[np.ndarray, float]:
    """The numbers (T, width) after line index ``start``, and the frame time."""
    rows = [i for i in range(start + 1, len(lines)) if lines[i].strip()]
    last = len(lines) - 1
    where = [*rows[:2], last, last]
    frames = _field(lines, where[0], "Frames", name)
    if not frames.is_integer():
        raise UserError(f"{name} line {where[0] + 1}: expected a whole number of frames, found {frames:g}")
    frames, frame_time = int(frames), _field(lines, where[1], "Frame Time", name)
    rows = rows[2:]
    try:
        values = np.empty((0, width))
        if rows:
            values = np.loadtxt([lines[i] for i in rows], comments=None, ndmin=2)
        bad = values.shape[1] != width or not np.isfinite(values).all()
    except ValueError:
        bad = True
    if bad:
        _blame(lines, rows, width, name)
    if len(values) < frames:
        end = rows[-1] + 1 if rows else len(lines)
        raise UserError(f"{name} line {end}: the file ends after {len(values)} of {frames} frames; is it cut?")
    if len(values) > frames:
        raise UserError(f"{name} line {rows[frames] + 1}: expected the end after {frames} frames, found more")
    return values, frame_time


def _field(lines: list[str], i: int, label: str, name: str) -> float:
    """Positive number of a line such as ``Frames: 120``."""
    key, _, word = lines[i].partition(":")
    try:
        value = float(word) if "".join(key.upper().split()) == label.upper().replace(" ", "") else 0.0
    except ValueError:
        value = 0.0
    if not 0 < value < np.inf:
        raise UserError(f"{name} line {i + 1}: expected '{label}:' and a positive number, found {lines[i][:40]!r}")
    return value


def _blame(lines: list[str], rows: list[int], width: int, name: str) -> NoReturn:
    """Name the first line that is no frame of ``width`` finite numbers."""
    for i in rows:
        words, where = lines[i].split(), f"{name} line {i + 1}"
        if len(words) != width:
            raise UserError(f"{where}: expected {width} numbers, found {len(words)}")
        for k, word in enumerate(words, start=1):
            try:
                finite = np.isfinite(float(word))
            except ValueError:
                finite = False
            if not finite:
                raise UserError(f"{where}: expected a finite number as value {k}, found {word[:40]!r}")
    raise UserError(f"{name} line {rows[0] + 1}: expected {width} plain numbers a line")
