"""A rig tells where a skeleton's joints are in the joints of a motion file."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import yaml

from motion_lightning.errors import UserError
from motion_lightning.motion.bvh import Bvh
from motion_lightning.motion.skeleton import METRES

KEYS = {"name", "unit", "up", "joints"}
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
    return _parse(path.read_text(encoding="utf-8", errors="replace"), path)


def rig_file(name_or_path: str | Path) -> Path:
    """The YAML file of a rig; UserError lists the known rigs."""
    package = Path(__file__).resolve().parents[1]
    folder = next((f for f in (package / "conf/rig", package.parent / "conf/rig") if f.is_dir()), package)
    path = Path(name_or_path)
    path = path if path.suffix in (".yaml", ".yml") else folder / f"{name_or_path}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in folder.glob("*.yaml")))
        raise UserError(f"no rig {str(name_or_path)!r}; known are {known}, and paths of YAML files")
    return path


@lru_cache
def _parse(text: str, path: Path) -> Rig:
    try:
        spec = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UserError(f"{path} is not YAML: {' '.join(str(error).split())}") from None
    keys = spec.keys() - {"lead_in"} if isinstance(spec, dict) else None
    if keys != KEYS or not isinstance(spec["joints"], dict):
        raise UserError(f"{path}: a rig has the keys name, unit, up, joints (target: joint of the file)")
    unit = METRES.get(spec["unit"], spec["unit"]) if isinstance(spec["unit"], str) else spec["unit"]
    if not isinstance(unit, int | float) or not 0 < unit < math.inf:
        raise UserError(f"{path}: unit is {unit!r}, should be {', '.join(METRES)} or a number of metres")
    if not isinstance(spec["up"], str) or spec["up"] not in UP:
        raise UserError(f"{path}: up is {spec['up']!r}, should be one of {', '.join(UP)}")
    lead_in = spec.get("lead_in", 0)
    if not isinstance(lead_in, int) or lead_in < 0:
        raise UserError(f"{path}: lead_in is {lead_in!r}, should be a number of frames to drop")
    joints = {target: {s: 1.0} if isinstance(s, str) else s for target, s in spec["joints"].items()}
    for target, sources in joints.items():
        numbers = isinstance(sources, dict) and all(isinstance(w, int | float) for w in sources.values())
        if not numbers or not math.isclose(sum(sources.values()), 1, abs_tol=1e-6):
            raise UserError(
                f"{path}: {target} should be a joint of the file, or {{joint: weight, ...}} with weights "
                f"that add up to 1, got {sources!r}"
            )
    return Rig(str(spec["name"]), float(unit), spec["up"], joints, lead_in)
