"""What a denoiser attends to in the text, recorded on demand; a denoiser that nobody watches pays nothing."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from motion_lightning.models.layers import CrossAttention, heads


@contextmanager
def recorded_attention(denoiser: nn.Module) -> Iterator[list[Tensor]]:
    """While it lasts, every call of the denoiser appends the weights of its cross-attention: (B', K, N, L) on the CPU.

    B' are the samples whose context holds their text and not the null (``ctx.null``): under guidance the conditional
    half, without the other half's weights on the null token. K are the layers, N tokens of x, L of the text; heads are
    averaged. A call on null conditions alone appends nothing.
    """
    calls: list[Tensor] = []
    layers: list[Tensor] = []

    def layer(module: CrossAttention, inputs: tuple[Tensor, Tensor, Tensor], output: Tensor) -> None:
        x, kv, mask = inputs
        q, k = heads(module.q(x), module.num_heads), heads(kv.chunk(2, dim=-1)[0], module.num_heads)
        score = q.float() @ k.float().mT * q.shape[-1] ** -0.5  # (B, H, N, L)
        layers.append(score.masked_fill(~mask[:, None, None], float("-inf")).softmax(-1).mean(1))

    def begin(module: nn.Module, inputs: tuple) -> None:
        layers.clear()  # how a context was read is no attention of x

    def call(module: nn.Module, inputs: tuple, output: Tensor) -> None:
        texts = ~inputs[2].null
        if texts.any():
            calls.append(torch.stack(layers, 1)[texts].detach().cpu())

    crosses = [module for module in denoiser.modules() if isinstance(module, CrossAttention)]
    hooks = [module.register_forward_hook(layer) for module in crosses]
    hooks += [denoiser.register_forward_pre_hook(begin), denoiser.register_forward_hook(call)]
    try:
        yield calls
    finally:
        for hook in hooks:
            hook.remove()
