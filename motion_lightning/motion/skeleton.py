"""A skeleton is data: a YAML file names its joints, and nothing else knows a joint's number."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import yaml

from motion_lightning.errors import UserError
from motion_lightning.paths import conf_dir

METRES = {"m": 1.0, "cm": 0.01, "mm": 0.001}
KEYS = {"name", "fps", "unit", "up", "joints", "chains", "feet", "pairs", "facing", "legs"}


@dataclass(frozen=True, eq=False)
class Skeleton:
    """Joints in an order where parents come first. Y is up, the body faces +Z, its left is +X."""

    name: str
    joints: tuple[str, ...]
    parents: tuple[int, ...]  # -1 for the root, which is joint 0
    chains: tuple[tuple[int, ...], ...]  # every bone lies on exactly one
    feet: dict[str, tuple[int, int]]  # "left" and "right": ankle, foot
    pairs: tuple[tuple[int, int], ...]  # (left, right), swapped by a mirror
    facing: tuple[int, int, int, int]  # right hip, left hip, right shoulder, left shoulder
    legs: tuple[int, int]  # the bones ending here measure the leg
    offsets: np.ndarray  # (J, 3) metres, from the parent, in the rest pose; read-only
    fps: float

    def index(self, joint: str) -> int:
        """Number of a joint; UserError for a name that the skeleton lacks."""
        if joint not in self.joints:
            raise UserError(f"no joint {joint!r} in skeleton {self.name}; it has {', '.join(self.joints)}")
        return self.joints.index(joint)

    @property
    def bones(self) -> list[tuple[int, int]]:
        """(child, parent) of every bone."""
        return [(j, p) for j, p in enumerate(self.parents) if p >= 0]

    @property
    def bone_lengths(self) -> np.ndarray:
        """(J,) metres from each joint to its parent; 0 for the root."""
        return np.linalg.norm(self.offsets, axis=-1)


def load_skeleton(name_or_path: str | Path = "humanml22") -> Skeleton:
    """Skeleton of a YAML file, or of ``conf/skeleton/<name>.yaml``; UserError says what a file got wrong."""
    path = Path(name_or_path)
    return _load(path if path.suffix in (".yaml", ".yml") else conf_dir() / "skeleton" / f"{name_or_path}.yaml")


@lru_cache
def _load(path: Path) -> Skeleton:
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in path.parent.glob("*.yaml")))
        raise UserError(f"no skeleton file {path}" + (f"; that folder has {known}" if known else ""))
    try:
        return _parse(yaml.safe_load(path.read_text()))
    except yaml.YAMLError as error:
        raise UserError(f"{path} is not YAML: {' '.join(str(error).split())}") from None
    except _Wrong as error:
        raise UserError(f"{path}: {error}") from None


class _Wrong(Exception):
    """What is wrong in a skeleton file, before the file's name is put in front."""


def _parse(spec: object) -> Skeleton:
    if not isinstance(spec, dict):
        raise _Wrong(f"a skeleton is a mapping with the keys {', '.join(sorted(KEYS))}")
    if missing := KEYS - spec.keys():
        raise _Wrong(f"a skeleton also needs {', '.join(sorted(missing))}")
    if unknown := spec.keys() - KEYS:
        raise _Wrong(f"unknown key {sorted(unknown)[0]!r}; known are {', '.join(sorted(KEYS))}")
    if spec["unit"] not in METRES:
        raise _Wrong(f"unit is {spec['unit']!r}, should be one of {', '.join(METRES)}")
    if spec["up"] != "y":
        raise _Wrong(f"up is {spec['up']!r}, but features need y up: rotate the skeleton's offsets")
    if not isinstance(spec["fps"], int | float) or spec["fps"] <= 0:
        raise _Wrong(f"fps is {spec['fps']!r}, should be a positive number")

    parents, offsets = _tree(spec["joints"])
    names = tuple(spec["joints"])
    number = {name: j for j, name in enumerate(names)}

    def group(where: str, joints: object, size: int | None = None) -> tuple[int, ...]:
        if not isinstance(joints, list) or (size and len(joints) != size):
            raise _Wrong(f"{where} should be a list of {size or 'all its'} joints, got {joints!r}")
        if wrong := [j for j in joints if not isinstance(j, str) or j not in number]:
            raise _Wrong(f"{where} names {wrong[0]!r}, which is not a joint")
        return tuple(number[j] for j in joints)

    def groups(where: str, size: int | None = None) -> tuple[tuple[int, ...], ...]:
        if not isinstance(spec[where], list):
            raise _Wrong(f"{where} should be a list of lists of joints, got {spec[where]!r}")
        return tuple(group(f"{where}[{i}]", g, size) for i, g in enumerate(spec[where]))

    chains = groups("chains")
    on_chains = [link for chain in chains for link in zip(chain[1:], chain[:-1], strict=True)]
    bones = [(j, p) for j, p in enumerate(parents) if p >= 0]
    if sorted(on_chains) != bones:
        child, parent = sorted(set(on_chains) ^ set(bones) or {b for b in bones if on_chains.count(b) > 1})[0]
        raise _Wrong(f"chains must hold every bone once and nothing else; look at {names[parent]} - {names[child]}")
    feet = spec["feet"]
    if not isinstance(feet, dict) or feet.keys() != {"left", "right"}:
        raise _Wrong(f"feet should give left and right, got {feet!r}")
    return Skeleton(
        name=str(spec["name"]),
        joints=names,
        parents=parents,
        chains=chains,
        feet={side: group(f"feet.{side}", feet[side], 2) for side in ("left", "right")},
        pairs=groups("pairs", 2),
        facing=group("facing", spec["facing"], 4),
        legs=group("legs", spec["legs"], 2),
        offsets=_frozen(offsets * METRES[spec["unit"]]),
        fps=float(spec["fps"]),
    )


def _tree(joints: object) -> tuple[tuple[int, ...], np.ndarray]:
    if not isinstance(joints, dict) or not joints:
        raise _Wrong("joints should map every joint to {parent: ..., offset: [x, y, z]}")
    number, parents, offsets = {}, [], []
    for j, (name, entry) in enumerate(joints.items()):
        if not isinstance(entry, dict) or entry.keys() != {"parent", "offset"}:
            raise _Wrong(f"joint {name} should be {{parent: ..., offset: [x, y, z]}}, got {entry!r}")
        parent, offset = entry["parent"], entry["offset"]
        if j == 0 and parent is not None:
            raise _Wrong(f"the first joint, {name}, is the root: its parent should be null, not {parent!r}")
        if j and (not isinstance(parent, str) or parent not in number):
            raise _Wrong(f"the parent of {name} is {parent!r}, which is no joint above it")
        if (
            not isinstance(offset, list)
            or len(offset) != 3
            or not all(isinstance(v, int | float) and np.isfinite(v) for v in offset)
        ):
            raise _Wrong(f"the offset of {name} should be three finite numbers, got {offset!r}")
        if j and not any(offset):
            raise _Wrong(f"the bone that ends in {name} has no length")
        number[name] = j
        parents.append(number[parent] if j else -1)
        offsets.append(offset)
    return tuple(parents), np.array(offsets, dtype=np.float64)


def _frozen(array: np.ndarray) -> np.ndarray:
    array.setflags(write=False)
    return array
