"""From rotations to joints."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


def forward_kinematics(
    offsets: Tensor | np.ndarray, parents: Sequence[int], rotations: Tensor | np.ndarray, root: Tensor | np.ndarray
) -> Tensor:
    """Joints of a posed skeleton, as BVH and SMPL understand it: a joint's rotation turns the bones below it.

    offsets (J, 3) from the parent in the rest pose; parents (J,), -1 for the root, parents first;
    rotations (..., J, 3, 3) relative to the parent joint's; root (..., 3) position of joint 0.
    Returns (..., J, 3) in the units of root and offsets. Differentiable.
    """
    rotations = torch.as_tensor(rotations)
    root = torch.as_tensor(root, dtype=rotations.dtype, device=rotations.device)
    offsets = torch.tensor(np.array(offsets)) if isinstance(offsets, np.ndarray) else offsets
    offsets = offsets.to(rotations)
    turns, joints = [], []
    for j, parent in enumerate(parents):
        if parent < 0:
            turns.append(rotations[..., j, :, :])  # (..., 3, 3)
            joints.append(root)  # (..., 3)
        else:
            turns.append(turns[parent] @ rotations[..., j, :, :])
            joints.append(joints[parent] + turns[parent] @ offsets[j])
    return torch.stack(joints, dim=-2)  # (..., J, 3)
