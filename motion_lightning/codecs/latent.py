"""Latents of a trained VAE, which stays as it is, in the place of the data (Rombach et al. 2022)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from motion_lightning.data.batch import Batch
from motion_lightning.data.store import Store
from motion_lightning.errors import UserError
from motion_lightning.metrics.skill import masked_mean

TOLERANCE = 1e-3  # of the latents' unit variance


class Autoencoder(nn.Module):
    """A VAE with the codec of what it encodes: all that a checkpoint of the first stage holds."""

    def __init__(self, vae: nn.Module, codec: nn.Module):
        super().__init__()
        self.vae, self.codec = vae, codec

    def reconstruct(self, x: Tensor, mask: Tensor) -> Tensor:
        """x (B, T, *shape) of the codec, mask (B, T) → what the mean of its latents says of it, shaped like x."""
        return self.vae.decode(self.vae.encode(x, mask)[0].mean, mask)


class LatentCodec(nn.Module):
    """x is the mean of q(z | data), with mean 0 and variance 1 in every channel over the training clips.

    The VAE's weights and the statistics travel in the checkpoint of the model of latents. They get no gradient.

    Args:
        vae: as ``models.image_vae.ImageVAE``: ``shape``, ``sizes``, ``length``, ``encode`` and ``decode``.
        codec: of what the VAE encodes.
        run: folder of the run that trained both.
        checkpoint: "last" or "best" of it.
    """

    representation = None  # that of the codec within

    def __init__(self, vae: nn.Module, codec: nn.Module, run: str, checkpoint: str = "last"):
        super().__init__()
        self.vae, self.codec = vae.requires_grad_(False), codec
        self.file = Path(run) / "checkpoints" / f"{checkpoint}.ckpt"
        self.representation, self.fps = codec.representation, codec.fps
        self.shape, self.sizes = vae.shape, vae.sizes
        self.register_buffer("mean", torch.zeros(self.channel))
        self.register_buffer("std", torch.ones(self.channel))
        self.eval()

    @property
    def channel(self) -> tuple[int, ...]:
        """Shape of mean and deviation, which broadcasts over latents: a number for each channel."""
        return (self.shape[0], *[1] * (len(self.shape) - 1))

    def by_channel(self, latents: list[Tensor]) -> Tensor:
        """Valid latents, each (N_i, *shape) → their numbers by channel (channels, M), float64."""
        return torch.cat(latents).double().transpose(0, 1).flatten(1)

    def train(self, mode: bool = True) -> "LatentCodec":
        """Never: the VAE is trained already."""
        return super().train(False)

    def fit(self, store: Store) -> None:
        """Take the VAE's weights from its run, then mean and deviation of the latents of all training clips.

        UserError without that run, where it is of other data or does not fit, and for a channel that says nothing.
        """
        self.check(store)
        self.codec.fit(store)
        self.load()
        latents = [*map(self.latents, store.split("train").iter_batches(256, multiple_of=1))]
        z = self.by_channel([z[mask] for z, mask in latents])
        std = z.std(1, correction=0)
        if not (std > 1e-3).all():
            raise UserError(
                f"{self.file}: {int((std <= 1e-3).sum())} of {len(std)} channels of the latents do not vary; train the "
                "VAE with a smaller training.kl_weight, or with fewer of them (model.latent_channels, model.latent)"
            )
        self.mean.copy_(z.mean(1).view_as(self.mean))
        self.std.copy_(std.view_as(self.std))
        scaled = self.by_channel([self.standardise(z)[mask] for z, mask in latents])
        assert (scaled.var(1, correction=0) - 1).abs().max() < TOLERANCE, "latents have unit variance"

    def read(self) -> dict:
        """The checkpoint of the VAE's run; UserError where there is none."""
        if not self.file.is_file():
            raise UserError(
                f"codec._target_={type(self).__name__} makes a model of latents, and there is no VAE at "
                f"codec.run={self.file.parent.parent} ({self.file.name}): train one, or name its run"
            )
        return torch.load(self.file, map_location="cpu", weights_only=True)

    def check(self, store: Store) -> None:
        """UserError where the VAE says that it was trained on other clips."""
        config = self.read().get("config") or {}
        if others := differences(config.get("trained_on"), clips_of(store)):
            raise UserError(
                f"codec.run={self.file.parent.parent} is a VAE of other clips than {store.path}: {'; '.join(others)}; "
                "name a VAE of these data, or a new folder, where one is trained"
            )

    def load(self) -> None:
        """Take the weights of VAE and codec from their run."""
        state = self.read()["state_dict"]
        both = Autoencoder(self.vae, self.codec)
        weights = {key.removeprefix("model."): value for key, value in state.items() if key.startswith("model.")}
        try:
            both.load_state_dict(weights)
        except RuntimeError as error:
            raise UserError(f"{self.file} is not of this codec.vae: {' '.join(str(error).split())[:300]}") from error

    @torch.no_grad()
    def latents(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """A batch of the data → mean of q(z | data) (B, T', *shape), and its mask (B, T')."""
        q, mask = self.vae.encode(*self.codec.encode(batch))
        return q.mean.float(), mask

    def standardise(self, z: Tensor) -> Tensor:
        """Latents (..., *shape) as the VAE has them → x."""
        return (z - self.mean) / self.std

    def encode(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """A batch of the data → x (B, T', *shape), zero where its mask (B, T') is False."""
        z, mask = self.latents(batch)
        return self.standardise(z) * mask.view(*mask.shape, *[1] * len(self.shape)), mask

    def decode(self, x: Tensor) -> Tensor:
        """Clean x (T', *shape) or (B, T', *shape) → x of the codec within; gradients pass."""
        with torch.autocast(x.device.type, enabled=False):
            z = x.float() * self.std + self.mean
            return self.vae.decode(z) if z.ndim == len(self.shape) + 2 else self.vae.decode(z[None])[0]

    def length(self, frames: int) -> int:
        """Frames of a clip → frames of its x."""
        return self.vae.length(self.codec.length(frames))

    def errors(self, squared: Tensor, mask: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Squared errors (B, T', *shape) → their mean over valid frames (B,)."""
        return {"diffusion": masked_mean(squared, mask)}

    def pictures(self, x: Tensor) -> Tensor:
        """x of a VAE of pictures, (T', *shape) or (B, T', *shape) → bytes (..., T, C, H, W)."""
        return self.codec.pictures(self.decode(x))


def clips_of(store: Store) -> dict[str, Any]:
    """What the clips of a store are and how they were made, whatever reads their captions."""
    names = ("corpus", "representation", "skeleton", "fps", "source")
    return {name: store.manifest[name] for name in names} | {"features": store.manifest["features"]["shape"]}


def differences(found: Any, expected: Any, name: str = "it has") -> list[str]:
    """ "name X, expected Y" for each value that two nested dicts disagree on; nothing is found in None."""
    if found is None or found == expected:
        return []
    if isinstance(found, Mapping) and isinstance(expected, Mapping):
        keys = [*expected, *(key for key in found if key not in expected)]
        parts = (differences(found.get(key, "nothing"), expected.get(key, "nothing"), str(key)) for key in keys)
        return [one for part in parts for one in part]
    return [f"{name} {found}, expected {expected}"]
