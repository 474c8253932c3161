"""Which precision a machine is fast at."""

import torch


def pick_precision(requested: str, accelerator: str = "auto") -> str:
    """``auto`` → "bf16-mixed" where matrix units for bfloat16 exist, else "32-true"; anything else is returned.

    Without such units bfloat16 is emulated: on an AVX2 CPU a matrix product took ten times as long as in float32.
    """
    if requested != "auto":
        return requested
    if torch.cuda.is_available() and accelerator not in ("cpu",):
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        fast = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return "bf16-mixed" if fast else "32-true"
