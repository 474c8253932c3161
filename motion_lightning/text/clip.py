"""CLIP's text encoder (Radford et al. 2021), as MDM and StableMoFusion use it. Its weights are the user's to bring."""

from pathlib import Path

import torch
from torch import Tensor, nn

from motion_lightning.errors import UserError
from motion_lightning.text.encoders import FrozenEncoder

FILES = ("model.safetensors", "pytorch_model.bin")


class CLIP(FrozenEncoder):
    """A causal transformer over at most 77 tokens; a caption's vector is its end token's, projected.

    The projection into the space that texts share with pictures is used where the checkpoint has one.

    Args:
        model: name on the Hugging Face hub; taken from its cache on this machine, nothing is downloaded.
        folder: of a checkpoint (text encoder or whole CLIP) with its tokeniser, in place of ``model``.
        sha256: what the file of the weights must hash to; None takes any.
        max_tokens: at most the 77 that CLIP has positions for; MDM cuts to 22.
        batch_size, device: see :class:`~motion_lightning.text.encoders.FrozenEncoder`.
    """

    name, pooling = "clip", "end token, projected"

    def __init__(
        self,
        model: str = "openai/clip-vit-base-patch32",
        folder: str | Path | None = None,
        sha256: str | None = None,
        max_tokens: int = 77,
        batch_size: int = 64,
        device: str = "cpu",
    ):
        place = Path(folder) if folder else _cached(model)
        super().__init__(place, sha256, max_tokens, batch_size, device)
        if not any((place / name).is_file() for name in FILES):
            raise UserError(f"text encoder CLIP: no {' or '.join(FILES)} in {place}; give the folder of a checkpoint")
        if max_tokens > (most := self._config.max_position_embeddings):
            raise UserError(f"text_encoder.max_tokens={max_tokens}: this CLIP has positions for {most}")

    @property
    def _file(self) -> Path:
        return next(file for name in FILES if (file := self.folder / name).is_file())

    def load(self) -> nn.Module:
        from transformers import CLIPTextConfig, CLIPTextModelWithProjection

        config = CLIPTextConfig.from_pretrained(self.folder, local_files_only=True)
        model, report = CLIPTextModelWithProjection.from_pretrained(
            self.folder, config=config, local_files_only=True, output_loading_info=True
        )
        missing = {*report["missing_keys"]}
        if missing == {"text_projection.weight"}:
            model.text_projection = nn.Identity()
        elif missing:
            raise UserError(f"{self._file} holds no text encoder of CLIP: it lacks {min(missing)}, for one")
        elif config.projection_dim != config.hidden_size:
            raise UserError(
                f"{self.folder}: captions of {config.projection_dim} numbers beside tokens of {config.hidden_size}; "
                "take a CLIP where both are equal"
            )
        return model

    def pool(self, tokens: Tensor, mask: Tensor) -> Tensor:
        last = tokens[torch.arange(len(tokens)), mask.sum(1) - 1]  # (B, E)
        return self.model.text_projection(last.to(self.device)).cpu()


def _cached(model: str) -> Path:
    """Folder of a model in the hub's cache on this machine."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(model, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError):
        raise UserError(
            f"text encoder CLIP: {model} is not on this machine; download it once (hf download {model}), or name the "
            "folder of a checkpoint: text_encoder.folder=FOLDER"
        ) from None
