"""Weights of the loss over t. They multiply the squared error in the target's own space.

At a given x_t the errors of all targets are one error on several scales (``Process.gain``), so that a weight which is
meant for one target is carried to the others.
"""

import torch
from torch import Tensor

from motion_lightning.diffusion.process import TARGETS, Process
from motion_lightning.errors import UserError


def uniform(snr: Tensor) -> Tensor:
    """1 for every t: for eps, the simple loss of Ho et al. 2020, eq. 14."""
    return torch.ones_like(snr)


def inverse_snr_clamped(snr: Tensor, low: float = 0.1, high: float = 10.0) -> Tensor:
    """1 / SNR within bounds: 100 times more at the noisiest timesteps than at the cleanest."""
    return 1 / snr.clamp(low, high)


def snr_clamped(snr: Tensor, low: float = 0.1, high: float = 10.0) -> Tensor:
    """SNR within bounds: 100 times more at the cleanest timesteps than at the noisiest."""
    return snr.clamp(low, high)


def min_snr(snr: Tensor, gamma: float = 5.0) -> Tensor:
    """min(SNR, gamma) on the x0 error (Hang et al. 2023, sec. 3.4)."""
    return snr.clamp(max=gamma)


def capped_v(snr: Tensor, gamma: float = 20.0) -> Tensor:
    """The unit weight on the v error, SNR + 1 on that of x0 (Salimans & Ho 2022, sec. 4), with SNR capped at gamma."""
    return snr.clamp(max=gamma) + 1


def p2(snr: Tensor, gamma: float = 1.0, k: float = 1.0) -> Tensor:
    """1 / (k + SNR)^gamma on the eps error (Choi et al. 2022, eq. 8), that times SNR on the x0 error."""
    return (k + snr) ** -gamma * snr


def edm(snr: Tensor, sigma_data: float = 1.0) -> Tensor:
    """The unit weight on the target of ``precondition.Karras``, SNR + 1 / sigma_data² on the x0 error."""
    return snr + sigma_data**-2


OF_TARGET = {"uniform": uniform, "inverse_snr_clamped": inverse_snr_clamped, "snr_clamped": snr_clamped}
OF_X0 = {"min_snr": min_snr, "capped_v": capped_v, "p2": p2, "edm": edm}
WEIGHTS = {**OF_TARGET, **OF_X0}


def loss_weights(
    process: Process, target: str, name: str = "uniform", normalise: bool = False, **parameters: float
) -> Tensor:
    """Weight of every t, (T,) float64; ``normalise`` scales it to mean 1 over t.

    target: eps, x0, v, velocity, or "residual", what a preconditioned network predicts: that has unit variance at
    every t, and is weighted by 1 (``uniform`` and ``edm``) or by SNR within bounds.
    parameters: of the weight's function.
    """
    if name not in WEIGHTS or target not in (*TARGETS, "residual"):
        raise UserError(
            f"no loss weight {name!r} for target {target!r}; "
            f"choose one of {', '.join(WEIGHTS)} and a target of {', '.join(TARGETS)}"
        )
    if target == "residual" and name in OF_X0 and name != "edm":
        raise UserError(
            f"training.weight={name} is for errors of x0, eps, v or velocity, and the network predicts a residual of "
            "unit variance; take training.space=x0, or training.weight=uniform"
        )
    t = torch.arange(process.steps)
    snr = process.snr(t)
    if name in OF_TARGET or target == "residual":
        weight = (uniform if name == "edm" else WEIGHTS[name])(snr, **parameters)
    else:
        weight = OF_X0[name](snr, **parameters) / process.gain(target, t).to(snr)
    if not weight.isfinite().all():
        raise UserError(f"training.weight={name} of target {target} is infinite where no signal is left; take another")
    return weight / weight.mean() if normalise else weight
