"""A rig tells where a skeleton's joints are in the joints of a motion file."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from motion_lightning.errors import UserError
from motion_lightning.motion.bvh import Bvh
from motion_lightning.motion.skeleton import METRES, is_number, parse_yaml, read_text, short

KEYS = {"name", "unit", "up", "joints"}
OPTIONAL = {"lead_in"}
UP = {
    "y": np.eye(3),
    "z": np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]]),  # (x, y, z) to (x, z, -y)
}


@dataclass(frozen=True, eq=False)
class Rig:
    """Every target joint is a weighted sum of joints of the file; ``NAME:END`` is the end site of a joint."""

    name: str
    unit: float  # metres per unit of the file
    up: str  # axis of the file that points up
    joints: dict[str, dict[str, float]]  # target -> {joint of the file: weight}; weights add up to 1
    lead_in: int = 0  # frames that the converter smoothed from the rest pose into the motion

    def map(self, bvh: Bvh, targets: Sequence[str]) -> np.ndarray:
        """Positions (T, J, 3) of the target joints in metres, Y up; UserError names a missing joint."""
        number = {name: j for j, name in enumerate(bvh.names)}
        positions, rotations = bvh.global_transforms()

        def place(source: str, target: str) -> np.ndarray:
            name, is_end = (source[:-4], True) if source.endswith(":END") else (source, False)
            if name not in number or (is_end and number[name] not in bvh.end_sites):
                raise UserError(
                    f"{bvh.source}: no joint {source}, which rig {self.name} needs for {target}; "
                    f"the file has {', '.join(bvh.names[:8])}, ..."
                )
            j = number[name]
            return positions[:, j] + rotations[:, j] @ bvh.end_sites[j] if is_end else positions[:, j]

        if missing := [target for target in targets if target not in self.joints]:
            raise UserError(f"rig {self.name} does not say where {missing[0]} is, only {', '.join(self.joints)}")
        joints = [sum(w * place(s, t) for s, w in self.joints[t].items()) for t in targets]
        return self.unit * np.stack(joints, axis=1) @ UP[self.up].T


def load_rig(name_or_path: str | Path) -> Rig:
    """Rig of a YAML file, or of ``conf/rig/<name>.yaml``; UserError says what a file got wrong."""
    path = rig_file(name_or_path)
    return _parse(read_text(path), path)


def rig_file(name_or_path: str | Path) -> Path:
    """The YAML file of a rig; UserError lists the known rigs."""
    path = Path(name_or_path)
    path = path if path.suffix in (".yaml", ".yml") else _folder() / f"{name_or_path}.yaml"
    if not path.is_file():
        raise UserError(f"no rig {str(name_or_path)!r}; known are {', '.join(rigs())}, and paths of YAML files")
    return path


def rigs() -> list[str]:
    """Names of the known rigs."""
    return sorted(path.stem for path in _folder().glob("*.yaml"))


def _folder() -> Path:
    package = Path(__file__).resolve().parents[1]
    return next((f for f in (package / "conf/rig", package.parent / "conf/rig") if f.is_dir()), package)


@lru_cache
def _parse(text: str, path: Path) -> Rig:
    spec = parse_yaml(text, path)
    if not isinstance(spec, dict):
        raise UserError(f"{path}: a rig is a mapping with the keys {', '.join(sorted(KEYS))}")
    if missing := KEYS - spec.keys():
        raise UserError(f"{path}: a rig also needs {', '.join(sorted(missing))}")
    if unknown := [key for key in spec if key not in KEYS | OPTIONAL]:
        raise UserError(f"{path}: unknown key {short(unknown[0])}; known are {', '.join(sorted(KEYS | OPTIONAL))}")

    def expect(right: bool, key: str, value: object, what: str) -> None:
        if not right:
            raise UserError(f"{path}: {key} is {short(value)}, should be {what}")

    expect(isinstance(spec["name"], str), "name", spec["name"], "a text")
    unit, up, lead_in, joints = spec["unit"], spec["up"], spec.get("lead_in", 0), spec["joints"]
    unit = METRES.get(unit, unit) if isinstance(unit, str) else unit
    expect(is_number(unit) and unit >= 1e-9, "unit", unit, f"{', '.join(METRES)} or a number of metres")
    expect(isinstance(up, str) and up in UP, "up", up, f"one of {', '.join(UP)}")
    whole = isinstance(lead_in, int) and not isinstance(lead_in, bool)
    expect(whole and 0 <= lead_in < 100_000, "lead_in", lead_in, "a number of frames to drop")
    expect(isinstance(joints, dict) and joints, "joints", joints, "a mapping from target joints to those of the file")
    weights = {}
    for target, sources in joints.items():
        expect(isinstance(target, str), "a key of joints", target, "the name of a target joint, in quotes")
        weights[target] = {sources: 1.0} if isinstance(sources, str) else sources
        right = isinstance(sources, str) or (
            isinstance(sources, dict)
            and all(isinstance(name, str) and is_number(weight) for name, weight in sources.items())
            and math.isclose(sum(sources.values()), 1, abs_tol=1e-6)
        )
        what = "a joint of the file, or {joint: weight, ...} with weights that add up to 1"
        expect(right, f"joints.{target}", sources, what)
    return Rig(spec["name"], float(unit), up, weights, lead_in)
