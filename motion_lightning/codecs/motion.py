"""Motions: HumanML3D's features ↔ normalised x ↔ joints in metres."""

from collections.abc import Iterable
from itertools import accumulate

import torch
from torch import Tensor, nn

from motion_lightning.data.batch import Batch
from motion_lightning.data.store import Store
from motion_lightning.errors import UserError
from motion_lightning.metrics.skill import masked_mean
from motion_lightning.motion.features import SLICES, features_to_joints, layout
from motion_lightning.motion.reconcile import hold, reconcile, velocities_in_world
from motion_lightning.motion.skeleton import load_skeleton

PARTS = {
    "essential": ["root_yaw_velocity", "root_velocity", "root_height", "positions"],
    "no_rotations": [name for name in SLICES if name != "rotations"],
    "all": [*SLICES],
}


def _consecutive(sizes: Iterable[int]) -> list[slice]:
    ends = list(accumulate(sizes))
    return [slice(start, end) for start, end in zip([0, *ends], ends, strict=False)]


class FeatureCodec(nn.Module):
    """Normaliser of a choice of HumanML3D's features. Its statistics are buffers and travel in the checkpoint.

    F features of a frame, 12 J - 1 for the J joints of the skeleton.

    Args:
        parts: "essential" (root and local positions: 67 numbers of 22 joints), "no_rotations" (137) or "all" (263).
        root_gain: factor on the normalised root numbers: four of 137 numbers carry the whole path.
        velocity_gain: the same on joint velocities, half of the numbers, which repeat what positions say.
        stand_speed: metres a second below which a foot stands. HumanML3D's contacts are on up to 0.9 m/s, which
            holds for most of a swing; x carries these instead, since a standing foot is what keeps a sample from
            sliding. None: x carries HumanML3D's, as published models do.
        skeleton: name of the skeleton that the joints belong to.
    """

    representation = "motion"  # of the corpora that it encodes

    def __init__(
        self,
        parts: str = "no_rotations",
        root_gain: float = 1.0,
        velocity_gain: float = 1.0,
        stand_speed: float | None = 0.2,
        skeleton: str = "humanml22",
    ):
        super().__init__()
        if parts not in PARTS:
            raise UserError(f"codec.parts={parts} is unknown; choose one of {', '.join(PARTS)}")
        self.names = PARTS[parts]
        self.skeleton = load_skeleton(skeleton)
        self.layout = layout(len(self.skeleton.joints))
        self.root_gain, self.velocity_gain, self.stand_speed = root_gain, velocity_gain, stand_speed
        columns = [torch.arange(self.layout[name].start, self.layout[name].stop) for name in self.names]
        self.slices = dict(zip(self.names, _consecutive(map(len, columns)), strict=True))  # where each part lies in x
        self.register_buffer("kept", torch.cat(columns), persistent=False)  # (D,) columns of the F
        kept = self.kept
        self.register_buffer("mean", torch.zeros(len(kept)))
        self.register_buffer("std", torch.ones(len(kept)))
        self.shape, self.fps = (len(kept),), self.skeleton.fps
        self.sizes = {"features": len(kept)}

    def length(self, frames: int) -> int:
        """Frames of x of so many frames of a clip."""
        return frames

    def fit(self, store: Store) -> None:
        """Mean and deviation of all training frames; those of the contacts, which x has anew, of 2000 clips.

        UserError where the store's motions have another number of features.
        """
        mean, std = (torch.as_tensor(v, dtype=torch.float64) for v in (store.stats.mean, store.stats.std))
        if len(mean) != (needed := self.layout["contacts"].stop):
            raise UserError(
                f"{store.path}: {len(mean)} features a frame, skeleton {self.skeleton.name} has {needed}; "
                "set codec.skeleton"
            )
        train = store.split("train")
        self.take(mean, std, torch.cat([torch.from_numpy(train.features(i).copy()) for i in train.some()]))

    def take(self, mean: Tensor, std: Tensor, frames: Tensor) -> None:
        """Statistics from mean and std (F,) in metric units, and a sample of frames (N, F) for the contacts."""
        kept, frames = self.kept, self._stand(frames)[..., self.kept].double()
        self.mean.copy_(mean[kept])
        self.std.copy_(std[kept].clamp(min=1e-4))  # a constant column stays constant, not infinite
        if "contacts" in self.names and self.stand_speed is not None:
            contacts = self.slices["contacts"]
            self.mean[contacts] = frames[:, contacts].mean(0).float()
            self.std[contacts] = frames[:, contacts].std().clamp(min=1e-4).float()
        self.std[: self.slices["root_height"].stop] /= self.root_gain
        if "velocities" in self.names:
            self.std[self.slices["velocities"]] /= self.velocity_gain

    def _stand(self, features: Tensor) -> Tensor:
        """Features with contacts that mean a standing foot, where they are to."""
        if self.stand_speed is None:
            return features
        feet = [j for side in ("left", "right") for j in self.skeleton.feet[side]]
        velocity = features[..., self.layout["velocities"]].unflatten(-1, (-1, 3))[..., feet, :]  # a frame
        stands = velocity.norm(dim=-1) * self.skeleton.metre_per_unit * self.skeleton.fps < self.stand_speed
        return torch.cat([features[..., : self.layout["contacts"].start], stands.to(features)], dim=-1)

    def encode(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """A batch of metric features (B, T, F) → x (B, T, D), zero where the mask (B, T) is False, and that mask."""
        return self.normalise(batch.x, batch.mask), batch.mask

    def errors(self, squared: Tensor, mask: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Squared errors (B, T, D) → their mean over valid frames (B,)."""
        return {"diffusion": masked_mean(squared, mask)}

    def normalise(self, features: Tensor, mask: Tensor) -> Tensor:
        """Metric features (B, T, F) → x (B, T, D), zero where the mask (B, T) is False."""
        return (self._stand(features)[..., self.kept] - self.mean) / self.std * mask[..., None]

    def metric(self, x: Tensor) -> dict[str, Tensor]:
        """x (..., T, D) → its parts in the features' units, by name, in float32."""
        features = x.float() * self.std + self.mean
        return {name: features[..., part] for name, part in self.slices.items()}

    def of_parts(self, parts: dict[str, Tensor]) -> Tensor:
        """The inverse of :meth:`metric`: parts in the features' units, which may be more than x has, → x."""
        return (torch.cat([parts[name] for name in self.names], dim=-1) - self.mean) / self.std

    def joints(self, x: Tensor) -> Tensor:
        """x (..., T, D) → joints (..., T, J, 3) in metres, differentiable, in float32."""
        parts = self.metric(x)
        essential = torch.cat([parts[name] for name in PARTS["essential"]], dim=-1)
        return features_to_joints(essential, len(self.skeleton.joints)) * self.skeleton.metre_per_unit

    def reconciled(self, x: Tensor, keep: Tensor | None = None) -> Tensor:
        """x (T, D) of one clip → joints (T, J, 3) that also agree with its velocities and contacts.

        Without velocities in x ("essential"), or with contacts that do not mean standing, the joints are returned as
        they are, and so are those whose root and positions are True in ``keep`` (T, D): an edit leaves them where they
        were.
        """
        joints, parts = self.joints(x), self.metric(x)
        if "velocities" not in parts or self.stand_speed is None:
            return joints
        yaw = torch.cumsum(parts["root_yaw_velocity"][..., 0], -1).roll(1)
        yaw[0] = 0
        velocities = velocities_in_world(parts["velocities"].unflatten(-1, (-1, 3)), yaw) * self.skeleton.metre_per_unit
        fused = reconcile(joints, velocities, parts["contacts"], self.skeleton)
        if keep is None:
            return fused
        root = keep[:, : self.slices["root_height"].stop].all(-1, keepdim=True)
        return hold(
            fused, joints, torch.cat([root, keep[:, self.slices["positions"]].unflatten(-1, (-1, 3)).all(-1)], 1)
        )
