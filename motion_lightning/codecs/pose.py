"""Poses: joints around the pelvis ↔ normalised x ↔ joints in metres. x is one frame."""

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from motion_lightning.data.batch import Batch
from motion_lightning.data.store import Store
from motion_lightning.errors import UserError
from motion_lightning.metrics.skill import masked_mean
from motion_lightning.motion.anatomy import bones, from_directions
from motion_lightning.motion.rotations import matrix_to_sixd, quat_between, quat_to_matrix, sixd_to_matrix
from motion_lightning.motion.skeleton import load_skeleton


class PoseCodec(nn.Module):
    """Normalised positions of all joints but the pelvis, which is the origin of every pose: 63 numbers of 22 joints.

    Its statistics are buffers and travel in the checkpoint.

    Args:
        skeleton: name of the skeleton that the joints belong to.
    """

    representation = "pose"
    each = 3  # numbers a joint

    def __init__(self, skeleton: str = "humanml22"):
        super().__init__()
        self.skeleton = load_skeleton(skeleton)
        self.fps = self.skeleton.fps
        joints = len(self.skeleton.joints)
        width = self.each * (joints - 1)
        self.shape, self.sizes = (width,), {"features": width, "joints": joints}
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("std", torch.ones(width))

    def length(self, frames: int) -> int:
        """A pose is one frame."""
        return 1

    def fit(self, store: Store) -> None:
        """Statistics of all training poses; UserError where they are not those of this skeleton."""
        train, have = store.split("train"), store.manifest["features"]["shape"]
        if have != [needed := self.stored]:
            raise UserError(
                f"{store.path}: {have} numbers a pose, {type(self).__name__} on {self.skeleton.name} reads {needed}; "
                "choose another codec or skeleton"
            )
        self.take(torch.cat([torch.from_numpy(train.features(i).copy()) for i in range(len(train))]))

    @property
    def stored(self) -> int:
        """Numbers of a pose in the data."""
        return 3 * (len(self.skeleton.joints) - 1)

    def take(self, poses: Tensor) -> None:
        """Statistics of poses (..., D) as the data have them."""
        numbers = self.numbers(poses).double().flatten(0, -2)
        self.mean.copy_(numbers.mean(0))
        self.std.copy_(numbers.std(0).clamp(min=1e-3))  # of metres: what moves less than a millimetre stays still

    def encode(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """A batch of poses, of which padding is left out → x (B, 1, D) and its mask (B, 1)."""
        poses, mask = batch.x[:, :1], batch.mask[:, :1]
        return (self.numbers(poses) - self.mean) / self.std * mask[..., None], mask

    def errors(self, squared: Tensor, mask: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Squared errors (B, 1, D) → their mean (B,)."""
        return {"diffusion": masked_mean(squared, mask)}

    def joints(self, x: Tensor) -> Tensor:
        """x (..., D) → joints (..., J, 3) in metres, pelvis at 0; differentiable, always float32."""
        with torch.autocast(x.device.type, enabled=False):
            return self.body(x.float() * self.std + self.mean)

    def numbers(self, poses: Tensor) -> Tensor:
        """Poses as the data have them (..., 3 (J - 1)) → what x is the normalised form of (..., D)."""
        return poses * self.skeleton.metre_per_unit

    def body(self, numbers: Tensor) -> Tensor:
        """The way back, (..., D) → joints (..., J, 3)."""
        joints = numbers.unflatten(-1, (-1, 3))
        return torch.cat([torch.zeros_like(joints[..., :1, :]), joints], dim=-2)


class RotationCodec(PoseCodec):
    """A rotation of each bone, six numbers (Zhou et al. 2019): any x has the skeleton's own bone lengths.

    Joints follow from the pelvis outward. A rotation is that of the bone in the body's frame and not relative to its
    parent, so that an error in the spine does not turn the arms with it. Joints know no twist: a bone is turned the
    shortest way from where it points on average in the training poses. There the opposite direction, at which the
    shortest way jumps, is as rare as can be; from a rest pose with hanging arms every arm that is raised overhead
    would be at the jump.
    """

    each = 6

    def __init__(self, skeleton: str = "humanml22"):
        super().__init__(skeleton)
        self.register_buffer("rest", torch.tensor(self.skeleton.t_pose[1:], dtype=torch.float32))  # (J - 1, 3)

    def take(self, poses: Tensor) -> None:
        directions = self.directions(poses).double()
        self.rest.copy_(normalize(directions.flatten(0, -3).mean(0), dim=-1))
        super().take(poses)

    def directions(self, poses: Tensor) -> Tensor:
        """Unit vectors (..., J - 1, 3) along the bones of poses as the data have them."""
        return normalize(bones(PoseCodec.body(self, poses), self.skeleton), dim=-1)

    def numbers(self, poses: Tensor) -> Tensor:
        turns = quat_to_matrix(quat_between(self.rest, self.directions(poses)))  # (..., J - 1, 3, 3)
        return matrix_to_sixd(turns).flatten(-2)

    def body(self, numbers: Tensor) -> Tensor:
        turns = sixd_to_matrix(numbers.unflatten(-1, (-1, 6)))  # (..., J - 1, 3, 3)
        return from_directions((turns * self.rest[:, None]).sum(-1), self.skeleton)


class SliceCodec(PoseCodec):
    """The first 3 J of a motion's features read as J joints, which they are not; to show what comes of it.

    Four numbers are the root's, the rest is shifted by one joint less one number and cut within the last: "bones"
    change their length by a quarter, where true ones keep it. Needs ``data.corpus.sliced=true``.
    """

    def __init__(self, skeleton: str = "humanml22"):
        super().__init__(skeleton)
        width = self.stored
        self.shape, self.sizes = (width,), self.sizes | {"features": width}
        self.mean, self.std = torch.zeros(width), torch.ones(width)

    @property
    def stored(self) -> int:
        return 3 * len(self.skeleton.joints)

    def body(self, numbers: Tensor) -> Tensor:
        joints = numbers.unflatten(-1, (-1, 3))
        return joints - joints[..., :1, :]
