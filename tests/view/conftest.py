"""A body of known proportions that walks towards +Z with its arms spread."""

import numpy as np
import pytest

from motion_lightning.motion.skeleton import Skeleton, load_skeleton
from motion_lightning.view import ClipView


@pytest.fixture(scope="session")
def skeleton() -> Skeleton:
    return load_skeleton("humanml22")


@pytest.fixture(scope="session")
def walk(skeleton):
    """frames → (T, J, 3): T-pose that glides forward at 1 m/s, 20 fps."""
    pose = np.zeros((len(skeleton.joints), 3))
    for joint, parent in skeleton.bones:
        offset = skeleton.offsets[joint]
        if skeleton.joints[joint].endswith(("shoulder", "elbow", "wrist")):
            offset = (np.linalg.norm(offset) * (1 if "left" in skeleton.joints[joint] else -1), 0, 0)
        pose[joint] = pose[parent] + offset
    pose[:, 1] -= pose[:, 1].min()

    def make(frames: int) -> np.ndarray:
        return pose + np.arange(frames)[:, None, None] * (0, 0, 0.05)

    return make


@pytest.fixture
def clip(walk):
    """(frames, caption, …) → ClipView."""
    return lambda frames=30, caption="a person walks", **more: ClipView(walk(frames), caption, **more)
