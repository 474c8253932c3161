"""A skeleton is data: a YAML file names its joints, and nothing else knows a joint's number."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import yaml

from motion_lightning.errors import UserError
from motion_lightning.paths import conf_dir

METRES = {"m": 1.0, "cm": 0.01, "mm": 0.001}
KEYS = {"name", "fps", "unit", "up", "joints", "chains", "feet", "contact", "pairs", "facing", "legs"}
OPTIONAL = {"feature_unit", "t_pose"}
# What PyYAML raises besides its own errors: for a month 13, for !!bool maybe, for a thousand brackets.
NOT_YAML = (yaml.YAMLError, ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)


@dataclass(frozen=True, eq=False)
class Skeleton:
    """Joints in an order where parents come first. Y is up, the body faces +Z, its left is +X.

    ``metre_per_unit`` is 1 but for KIT-ML, whose features keep a unit of their own: a length in joints, features and
    offsets times it are metres.
    """

    name: str
    joints: tuple[str, ...]
    parents: tuple[int, ...]  # -1 for the root, which is joint 0
    chains: tuple[tuple[int, ...], ...]  # every bone lies on exactly one
    feet: dict[str, tuple[int, int]]  # "left" and "right": ankle, foot
    contact: float  # units^2: a foot stands when its squared step within a frame of this fps is below
    pairs: tuple[tuple[int, int], ...]  # (left, right), swapped by a mirror
    facing: tuple[int, int, int, int]  # right hip, left hip, right shoulder, left shoulder
    legs: tuple[int, int]  # the bones ending here measure the leg
    offsets: np.ndarray  # (J, 3) units, from the parent, in the rest pose; read-only
    t_pose: np.ndarray  # (J, 3) directions of length 1, from the parent, of a body with its arms spread; read-only
    fps: float
    metre_per_unit: float = 1.0

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
    def lower_body(self) -> frozenset[int]:
        """The root and the joints of the chains that end in a foot."""
        feet = {foot for _, foot in self.feet.values()}
        return frozenset({0}.union(*(chain for chain in self.chains if feet & {*chain})))

    @property
    def bone_lengths(self) -> np.ndarray:
        """(J,) units from each joint to its parent; 0 for the root."""
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
        return _parse(parse_yaml(read_text(path), path))
    except _Wrong as error:
        raise UserError(f"{path}: {error}") from None


def read_text(path: Path) -> str:
    """Content of a text file; UserError where it is none."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 at byte {error.start}") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror or error})") from None


def parse_yaml(text: str, path: Path) -> object:
    """What a YAML text says; UserError names the file and the place that is no YAML."""
    try:
        return yaml.safe_load(text)
    except NOT_YAML as error:
        raise UserError(f"{path} is not YAML: {' '.join(str(error).split())}") from None


def is_number(value: object) -> bool:
    """Whether a value of a YAML file is a number that can be squared; yes and no are numbers to Python only."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e9


class _Wrong(Exception):
    """What is wrong in a skeleton file, before the file's name is put in front."""


def _parse(spec: object) -> Skeleton:
    if not isinstance(spec, dict):
        raise _Wrong(f"a skeleton is a mapping with the keys {', '.join(sorted(KEYS))}")
    if missing := KEYS - spec.keys():
        raise _Wrong(f"a skeleton also needs {', '.join(sorted(missing))}")
    if unknown := [key for key in spec if key not in KEYS | OPTIONAL]:
        raise _Wrong(f"unknown key {short(unknown[0])}; known are {', '.join(sorted(KEYS | OPTIONAL))}")
    if not isinstance(spec["name"], str):
        raise _Wrong(f"name is {short(spec['name'])}, should be a text")
    metre, feature_metre = (_metres(key, spec.get(key, "m")) for key in ("unit", "feature_unit"))
    if spec["up"] != "y":
        raise _Wrong(f"up is {short(spec['up'])}, but features need y up: rotate the skeleton's offsets")
    for key in ("fps", "contact"):
        if not is_number(spec[key]) or spec[key] <= 0:
            raise _Wrong(f"{key} is {short(spec[key])}, should be a positive number")

    parents, offsets = _tree(spec["joints"])
    names = tuple(spec["joints"])
    number = {name: j for j, name in enumerate(names)}

    def group(where: str, joints: object, size: int | None = None) -> tuple[int, ...]:
        if not isinstance(joints, list) or (size and len(joints) != size):
            raise _Wrong(f"{where} should be a list of {size or 'all its'} joints, got {short(joints)}")
        if wrong := [j for j in joints if not isinstance(j, str) or j not in number]:
            raise _Wrong(f"{where} names {short(wrong[0])}, which is not a joint")
        return tuple(number[j] for j in joints)

    def groups(where: str, size: int | None = None) -> tuple[tuple[int, ...], ...]:
        if not isinstance(spec[where], list):
            raise _Wrong(f"{where} should be a list of lists of joints, got {short(spec[where])}")
        return tuple(group(f"{where}[{i}]", g, size) for i, g in enumerate(spec[where]))

    chains, pairs = groups("chains"), groups("pairs", 2)
    on_chains = [link for chain in chains for link in zip(chain[1:], chain[:-1], strict=True)]
    bones = [(j, p) for j, p in enumerate(parents) if p >= 0]
    if sorted(on_chains) != bones:
        child, parent = sorted(set(on_chains) ^ set(bones) or {b for b in bones if on_chains.count(b) > 1})[0]
        raise _Wrong(f"chains must hold every bone once and nothing else; look at {names[parent]} - {names[child]}")
    reached = {0}
    for i, chain in enumerate(chains):
        if chain and chain[0] not in reached:
            raise _Wrong(f"chains[{i}] starts at {names[chain[0]]}, which no chain before it reaches: reorder them")
        reached.update(chain)
    sides = [j for pair in pairs for j in pair]
    if twice := [j for j in sides if sides.count(j) > 1]:
        raise _Wrong(f"pairs name {names[twice[0]]} twice")
    legs = group("legs", spec["legs"], 2)
    if 0 in legs:
        raise _Wrong(f"legs name {names[0]}, the root, where no bone ends")
    feet = spec["feet"]
    if not isinstance(feet, dict) or feet.keys() != {"left", "right"}:
        raise _Wrong(f"feet should give left and right, got {short(feet)}")
    return Skeleton(
        name=spec["name"],
        joints=names,
        parents=parents,
        chains=chains,
        feet={side: group(f"feet.{side}", feet[side], 2) for side in ("left", "right")},
        pairs=pairs,
        facing=group("facing", spec["facing"], 4),
        legs=legs,
        offsets=_frozen(offsets * (metre / feature_metre)),
        t_pose=_frozen(_t_pose(spec.get("t_pose", {}), names, offsets)),
        fps=float(spec["fps"]),
        contact=float(spec["contact"]),
        metre_per_unit=feature_metre,
    )


def _metres(key: str, unit: object) -> float:
    if isinstance(unit, str) and unit in METRES:
        return METRES[unit]
    if not is_number(unit) or unit < 1e-9:
        raise _Wrong(f"{key} is {short(unit)}, should be one of {', '.join(METRES)} or a number of metres")
    return float(unit)


def _tree(joints: object) -> tuple[tuple[int, ...], np.ndarray]:
    if not isinstance(joints, dict) or len(joints) < 2:
        raise _Wrong("joints should map every joint to {parent: ..., offset: [x, y, z]}")
    number, parents, offsets = {}, [], []
    for j, (name, entry) in enumerate(joints.items()):
        if not isinstance(name, str) or not name:
            raise _Wrong(f"joint {short(name)} should be called by a text: put it in quotes")
        if not isinstance(entry, dict) or entry.keys() != {"parent", "offset"}:
            raise _Wrong(f"joint {name} should be {{parent: ..., offset: [x, y, z]}}, got {short(entry)}")
        parent, offset = entry["parent"], entry["offset"]
        if j == 0 and parent is not None:
            raise _Wrong(f"the first joint, {name}, is the root: its parent should be null, not {short(parent)}")
        if j and (not isinstance(parent, str) or parent not in number):
            raise _Wrong(f"the parent of {name} is {short(parent)}, which is no joint above it")
        if not isinstance(offset, list) or len(offset) != 3 or not all(map(is_number, offset)):
            raise _Wrong(f"the offset of {name} should be three finite numbers, got {short(offset)}")
        if j and max(map(abs, offset)) < 1e-9:
            raise _Wrong(f"the bone that ends in {name} has no length")
        number[name] = j
        parents.append(number[parent] if j else -1)
        offsets.append(offset)
    return tuple(parents), np.array(offsets, dtype=np.float64)


def _t_pose(directions: object, names: tuple[str, ...], offsets: np.ndarray) -> np.ndarray:
    """Directions of the bones, which are those of the offsets where the file gives no other."""
    if not isinstance(directions, dict):
        raise _Wrong(f"t_pose should map joints to directions [x, y, z], got {short(directions)}")
    vectors = offsets.copy()
    for joint, vector in directions.items():
        if not isinstance(joint, str) or joint not in names[1:]:
            raise _Wrong(f"t_pose names {short(joint)}, which is not a joint with a bone")
        if not isinstance(vector, list) or len(vector) != 3 or not all(map(is_number, vector)) or not any(vector):
            raise _Wrong(f"t_pose.{joint} should be three numbers that are not all 0, got {short(vector)}")
        vectors[names.index(joint)] = vector
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-30)


def short(value: object) -> str:
    """A wrong value of a YAML file on part of a line."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # an integer of thousands of digits, a list within itself
        text = f"a {type(value).__name__}"
    return text if len(text) <= 60 else text[:59] + "…"


def _frozen(array: np.ndarray) -> np.ndarray:
    array.setflags(write=False)
    return array
