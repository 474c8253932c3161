"""A corpus of poses: one frame of every clip of a motion corpus, without place and heading."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from motion_lightning.data.clip import Clip, Corpus, Rejected, items_after
from motion_lightning.errors import UserError
from motion_lightning.motion.features import features_to_joints, layout
from motion_lightning.motion.kinematics import facing, yaw
from motion_lightning.motion.rotations import rotate_y
from motion_lightning.motion.skeleton import Skeleton, load_skeleton

VERSION = 1  # of the poses: another one makes prepared stores out of date
MODES = ("first", "middle", "extreme")


class PoseCorpus:
    """Poses of a motion corpus, as a corpus that ``prepare`` reads: 3 (J - 1) numbers in one frame, 63 of 22 joints.

    A pose is in metres, y up, its pelvis at the origin and left out, its body facing +Z in the very frame (the
    features' own heading is smoothed over seconds), so that its left is +X. Captions, splits and tags are those of
    the clip; ``tags["pose"]`` says which of its frames this is. Clips that the motion corpus would leave out as too
    short are left out.

    Args:
        corpus: of motions.
        mode: "first" frame (mostly near neutral), "middle" frame, or "extreme": the one that is farthest from the
            clip's mean pose.
        sliced: instead of the pose the first 3 J of the frame's features, as if these were joints: four numbers of
            the root and the other joints' positions but for one number. It is there to show what comes of that.

    Raises UserError for an unknown mode and a corpus of something else.
    """

    name, representation, min_frames = "poses", "pose", 1

    def __init__(self, corpus: Corpus, mode: str = "extreme", sliced: bool = False):
        if mode not in MODES:
            raise UserError(f"mode={mode} is unknown; a pose is the {', '.join(MODES)} frame of its clip")
        if corpus.representation != "motion":
            raise UserError(f"poses are frames of motions, and {corpus.name} holds {corpus.representation}")
        self.corpus, self.mode, self.sliced = corpus, mode, sliced
        self.skeleton, self.fps = corpus.skeleton, corpus.fps

    @property
    def about(self) -> dict[str, str]:
        """That of the motions."""
        title = f"{self.corpus.about['title']}, the {self.mode} pose of each clip"
        title += ", a slice of its features" if self.sliced else ""
        return self.corpus.about | {"title": title}

    def __len__(self) -> int:
        return len(self.corpus)

    def fingerprint(self) -> dict[str, Any]:
        motions = {
            "corpus": self.corpus.name,
            "source": self.corpus.fingerprint(),
            "min_frames": self.corpus.min_frames,
        }
        sliced = {"sliced": True} if self.sliced else {}
        return {"version": VERSION, "mode": self.mode, "motions": motions} | sliced

    def clips(self, start: int = 0) -> Iterator[Clip | Rejected]:
        """A pose for each clip, in the order of the motions."""
        skeleton = load_skeleton(self.skeleton)
        for clip in items_after(self.corpus, start):
            yield clip if isinstance(clip, Rejected) else self._pose(clip, skeleton)

    def _pose(self, clip: Clip, skeleton: Skeleton) -> Clip | Rejected:
        frames = len(clip.features)
        if frames < max(1, self.corpus.min_frames):
            return Rejected(clip.id, clip.split, f"shorter than {self.corpus.min_frames} frames")
        if not np.isfinite(clip.features).all():
            return Rejected(clip.id, clip.split, "NaN or infinity in the features")
        poses = poses_of(clip.features, skeleton)
        frame = choose_frame(poses, self.mode)
        tags = clip.tags | {"pose": {"frame": frame, "of": frames, "mode": self.mode}}
        if self.sliced:
            features = clip.features[frame : frame + 1, : poses[frame].size].astype(np.float32)
        else:
            features = poses[frame, 1:].reshape(1, -1).astype(np.float32)
        return Clip(clip.id, features, clip.captions, clip.split, tags, clip.pos)


def poses_of(features: np.ndarray, skeleton: Skeleton) -> np.ndarray:
    """Poses (T, J, 3), float64, of features (T, 12 J - 1): pelvis at the origin, each facing +Z."""
    joints = len(skeleton.joints)
    if features.ndim != 2 or features.shape[1] != (width := layout(joints)["contacts"].stop):
        raise UserError(f"features {features.shape}: poses on {skeleton.name} are frames of (T, {width})")
    # Each frame as a motion of its own, so that no root path is summed up to be taken off again.
    poses = features_to_joints(torch.from_numpy(features.astype(np.float64))[:, None], joints)[:, 0]
    poses = poses - poses[:, :1]  # (T, J, 3)
    heading = yaw(facing(poses.numpy(), skeleton))
    return rotate_y(torch.from_numpy(-heading)[:, None], poses).numpy()


def choose_frame(poses: np.ndarray, mode: str) -> int:
    """The frame of poses (T, J, 3) that ``mode`` means; of several the first."""
    if mode == "first":
        return 0
    if mode == "middle":
        return len(poses) // 2
    return int(np.square(poses - poses.mean(0)).sum((1, 2)).argmax())
