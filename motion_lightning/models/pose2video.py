"""Pose → video: a ViViT that is given the picture of a skeleton for every frame of the video."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from motion_lightning.models.layers import sinusoid
from motion_lightning.models.vivit import Context, ViViT
from motion_lightning.models.vivit_parts import Pair, space_places


class Pose2Video(nn.Module):
    """Denoiser of videos along a sequence of poses.

    The skeleton's pictures become tokens on the grid of the video's and are added to them. Without a branch that is a
    concatenation of their channels to those of x_t, whose first layer is linear: its part for the pose does not depend
    on x_t and so is computed once per sampling run. With one, the tokens of the pose first go through blocks of their
    own and a last layer that starts at zero (L. Zhang et al., Adding Conditional Control to Text-to-Image Diffusion
    Models, 2023). The outline stays that of the text: one of the pose too, drawn square by square, put more into a
    linear skip than there is to estimate (diffusion loss 1.2 to 1.5, where 1 is to say nothing).

    The null condition knows neither text nor pose: a learned vector stands where tokens of the pose would.

    Args:
        channels, size, frames: C, H = W and T of the videos.
        text_dim: E, width of the text embeddings.
        branch: pairs of blocks for the pose alone; 0: it is concatenated.
        pose_channels: of the skeleton's pictures.
        vivit: everything else, of :class:`~motion_lightning.models.vivit.ViViT`.
    """

    drops = ("text", "pose")  # what the null takes the place of

    def __init__(
        self,
        channels: int,
        size: int,
        frames: int,
        text_dim: int,
        branch: int = 0,
        pose_channels: int = 3,
        **vivit,
    ):
        super().__init__()
        self.video = ViViT(channels, size, frames, text_dim, **vivit)
        width, heads = self.video.width, vivit.get("heads", 4)
        step, patch = self.video.features.tubelet, self.video.features.patch
        self.pose = nn.Conv3d(pose_channels, width, (step, patch, patch), (step, patch, patch))
        self.null_pose = nn.Parameter(torch.zeros(width))
        self.branch = nn.ModuleList(Pair(width, heads, vivit.get("mlp", 4.0), 1.0) for _ in range(branch))
        self.join = nn.Linear(width, width) if branch else nn.Identity()
        self.initialise()

    def initialise(self) -> None:
        """As in the ViViT: blocks begin as the identity; with a branch the pose adds nothing yet."""
        nn.init.xavier_uniform_(self.pose.weight.flatten(1))
        nn.init.zeros_(self.pose.bias)
        for module in self.branch.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
        for pair in self.branch:
            for block in (pair.spatial, pair.temporal):
                nn.init.zeros_(block.modulation[-1].weight)
        if isinstance(self.join, nn.Linear):
            nn.init.zeros_(self.join.weight)
            nn.init.zeros_(self.join.bias)

    def encode(self, cond, mask: Tensor, drop: Tensor) -> Context:
        """Text and pose → the context of a ViViT.

        Args:
            cond: ``text``, and ``pose`` (B, T or more, C, H, W) in [-1, 1].
            mask: (B, T), True where a frame is valid.
            drop: (B,) bool, True where the learned null takes the place of text and pose.
        """
        ctx = self.video.encode(cond.text, mask, drop)
        features, frames = self.video.features, mask.shape[1]
        pose = F.pad(cond.pose, (0, 0) * 3 + (0, max(0, frames - cond.pose.shape[1])))[:, :frames]
        pose = F.pad(pose * mask[..., None, None, None], (0, 0) * 3 + (0, -frames % features.tubelet))
        h = self.pose(pose.transpose(1, 2)).flatten(3).permute(0, 2, 3, 1)  # (B, F, S, W)
        h = torch.where(drop[:, None, None, None], self.null_pose, h)
        if self.branch:
            h = h + space_places(features.rows, self.video.width, h.device)
            h = h + sinusoid(torch.arange(h.shape[1], device=h.device), self.video.width)[:, None]
        for pair in self.branch:
            h = pair(h, ctx.pooled, self.video.steps(mask))
        return ctx._replace(plan=ctx.plan + self.join(h))

    def forward(self, x: Tensor, t: Tensor, ctx: Context, mask: Tensor) -> Tensor:
        """Noisy videos (B, T, C, H, W) → the network's raw output of the same shape; the rest as in the ViViT."""
        return self.video(x, t, ctx, mask)
