"""Which word drives which part of x: attention of a sampling run, by word."""

import re
from collections.abc import Sequence

import torch
from torch import Tensor

from motion_lightning.models.attention_maps import recorded_attention
from motion_lightning.pipeline import Diffusion, Sampling


def attention_maps(
    model: Diffusion, cond, lengths: Sequence[int], sampling: Sampling, seed: int = 0
) -> tuple[list[Tensor], Tensor]:
    """Samples, and what each token of x attends to in the text while they are made: (B, N, L), rows sum to 1.

    The mean over steps, layers and heads of the conditional half.
    """
    with recorded_attention(model.denoiser) as steps:
        samples = model.sample(cond, lengths, sampling, seed=seed)
    return samples, torch.stack(steps).mean((0, 2))


def by_word(attention: Tensor, text: str, spans: Sequence[tuple[int, int]]) -> tuple[list[str], Tensor]:
    """Attention (N, L) to tokens → words of the text, and attention (N, W) to them.

    Args:
        spans: characters of the text that each token stands for; empty ones (start, end) belong to no word, so that
            rows sum to what is left for words.
    """
    words = [*re.finditer(r"\S+", text)]
    columns = [
        sum(
            (attention[:, i] for i, (start, end) in enumerate(spans) if word.start() <= start < end <= word.end()),
            torch.zeros(len(attention)),
        )
        for word in words
    ]
    return [word[0] for word in words], torch.stack(columns, dim=1)
