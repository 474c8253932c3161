"""Bodies that a store holds, as joints."""

import numpy as np
import torch

from motion_lightning.motion.features import features_to_joints
from motion_lightning.motion.skeleton import Skeleton


def joints_of(features: np.ndarray, skeleton: Skeleton, representation: str) -> np.ndarray:
    """Joints (T, J, 3) in metres of the features of a motion or pose; a pose stands with its lowest joint at 0."""
    count = len(skeleton.joints)
    if representation == "pose":
        joints = features.reshape(len(features), -1, 3)
        joints = np.pad(joints, ((0, 0), (count - joints.shape[1], 0), (0, 0)))  # the root, but for a slice of features
        joints = joints - joints[..., 1].min(1)[:, None, None] * (0, 1, 0)
    else:
        joints = features_to_joints(torch.from_numpy(np.array(features, np.float32)), count).numpy()
    return joints * skeleton.metre_per_unit
