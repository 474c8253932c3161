"""Backbones: pictures → a map of features. A small one that learns with its denoiser, and a frozen pretrained one."""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from motion_lightning.errors import UserError

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))  # mean and deviation of pixels in [0, 1]


class ConvBackbone(nn.Module):
    """Three convolutions, trained from scratch: (B, C, H, W) in [-1, 1] → (B, width, H/8, W/8).

    Args:
        channels: 3; with 4 the depth in metres goes along.
        width: channels of the map.
    """

    def __init__(self, channels: int = 4, width: int = 96):
        super().__init__()
        self.channels, self.width = channels, width
        sizes = (channels, width // 2, width, width)
        self.layers = nn.Sequential(
            *(
                nn.Sequential(nn.Conv2d(inp, out, 4, stride=2, padding=1), nn.GroupNorm(8, out), nn.SiLU())
                for inp, out in pairwise(sizes)
            )
        )

    def forward(self, pictures: Tensor) -> Tensor:
        return self.layers(pictures)


class FrozenViT(nn.Module):
    """Patch tokens of a pretrained vision transformer (ViT, DINO, DINOv2): (B, 3, H, W) → (B, width, h, w).

    It is no registered submodule: so it stays as it is under ``train()``, gets no gradient, and is in no checkpoint,
    optimizer or average. It is read from ``folder`` again wherever the model is built.

    Args:
        folder: as ``save_pretrained`` writes it, or a name that transformers knows.
        size: pixels a side that pictures are resized to; None takes what the transformer was made for.
        mean, std: of pixels in [0, 1] in its training.
    """

    channels = 3

    def __init__(self, folder: str, size: int | None = None, mean: tuple = IMAGENET[0], std: tuple = IMAGENET[1]):
        super().__init__()
        from transformers import AutoModel

        try:
            model = AutoModel.from_pretrained(folder)
        except (OSError, ValueError) as error:
            raise UserError(f"model.backbone.folder={folder}: {' '.join(str(error).split())[:200]}") from None
        if not hasattr(model.config, "patch_size"):
            raise UserError(f"model.backbone.folder={folder}: {type(model).__name__} has no patches; take a ViT")
        self._frozen = (model.eval().requires_grad_(False),)  # in a tuple no module is registered
        self.width, self.size = model.config.hidden_size, size or model.config.image_size
        self.grid = self.size // model.config.patch_size
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(3, 1, 1), persistent=False)

    def _apply(self, fn, recurse: bool = True):
        """Goes to another device with the rest."""
        self._frozen[0]._apply(fn)
        return super()._apply(fn, recurse)

    @torch.no_grad()
    def forward(self, pictures: Tensor) -> Tensor:
        x = F.interpolate(pictures, (self.size, self.size), mode="bilinear", antialias=True)
        x = ((x + 1) / 2 - self.mean) / self.std
        tokens = self._frozen[0](pixel_values=x, interpolate_pos_encoding=True).last_hidden_state
        patches = tokens[:, -(self.grid**2) :]  # class and register tokens come first
        return patches.mT.unflatten(-1, (self.grid, self.grid))
