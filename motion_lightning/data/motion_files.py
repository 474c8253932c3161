"""One motion of a file: joints as .npy or .npz, or BVH."""

from pathlib import Path

import numpy as np

from motion_lightning.data.conversion import resample
from motion_lightning.data.joints_corpus import JointFile
from motion_lightning.data.npz import read_npz
from motion_lightning.errors import UserError
from motion_lightning.motion.bvh import Bvh, read_bvh
from motion_lightning.motion.features import joints_to_features
from motion_lightning.motion.rig import Rig, load_rig, rigs
from motion_lightning.motion.skeleton import Skeleton

SUFFIXES = (".npy", ".npz", ".bvh")


def read_features(path: Path, skeleton: Skeleton, rig: str | None = None) -> np.ndarray:
    """Features (T, 12 J - 1) of the motion in a file.

    ``.npy`` holds joints (T, J, 3) in the order of the skeleton, Y up, at its rate; ``.npz`` such ``joints`` as
    ``sample`` writes them, of which the first are taken; ``.bvh`` any skeleton that a rig maps to this one.

    Args:
        rig: of a BVH file; None takes the one whose joints the file has.

    Raises:
        UserError: no such file, another skeleton, or numbers that are none.
    """
    if path.suffix == ".npy":
        joints = JointFile(path.parent, path.name, skeleton.name, skeleton.fps).read()
    elif path.suffix == ".npz":
        arrays = read_npz(path, {"joints": (-1, -1, len(skeleton.joints), 3), "lengths": (-1,)})
        joints = arrays["joints"][0][: int(arrays["lengths"][0])]
    else:
        joints = _of_bvh(path, skeleton, rig)
    return joints_to_features(joints, skeleton)


def _of_bvh(path: Path, skeleton: Skeleton, wanted: str | None) -> np.ndarray:
    """Joints (T, J, 3) at the skeleton's rate."""
    try:
        bvh = read_bvh(path.read_bytes(), path.name)
    except OSError as error:
        raise UserError(f"cannot be read ({error.strerror or error})") from None
    rig = load_rig(wanted) if wanted else fitting_rig(bvh, skeleton)
    joints = rig.map(bvh, skeleton.joints)[rig.lead_in :]
    if len(joints) < 2:
        raise UserError(f"{len(joints)} frames, 2 are needed")
    if not np.isfinite(joints).all():
        raise UserError("joints beyond the range of numbers; are the offsets right?")
    return resample(joints, 1 / bvh.frame_time, skeleton.fps)


def fitting_rig(bvh: Bvh, skeleton: Skeleton) -> Rig:
    """The known rig whose joints are all in the file, or the skeleton itself; UserError where there is none."""
    if set(skeleton.joints) <= set(bvh.names):  # features are retargeted, so a unit does not matter
        return Rig(skeleton.name, 1.0, "y", {name: {name: 1.0} for name in skeleton.joints})
    for name in rigs():
        rig = load_rig(name)
        needed = {source.removesuffix(":END") for sources in rig.joints.values() for source in sources}
        if set(skeleton.joints) <= set(rig.joints) and needed <= set(bvh.names):
            return rig
    raise UserError(
        f"no known rig ({', '.join(rigs())}) maps joints {', '.join(bvh.names[:6])}, … to skeleton {skeleton.name}; "
        "write one and name its file: rig=FILE.yaml"
    )
