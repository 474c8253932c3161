"""Weights of the loss over t. They multiply the squared error in the target's own space.

At a given x_t the errors of the three targets are one error on three scales,
d_eps² = SNR d_x0² and d_v² = (SNR + 1) d_x0²: a weight that is meant for one is carried to the others.
"""

import torch
from torch import Tensor

from motion_lightning.diffusion.process import TARGETS, Process
from motion_lightning.errors import UserError


def uniform(snr: Tensor, target: str) -> Tensor:
    """1 for every t: for eps, the simple loss of Ho et al. 2020, eq. 14."""
    return snr.new_ones(snr.shape)


def min_snr(snr: Tensor, target: str, gamma: float = 5.0) -> Tensor:
    """min(SNR, gamma) on the x0 error (Hang et al. 2023, sec. 3.4)."""
    of_x0 = snr.clamp(max=gamma)
    return {"x0": of_x0, "eps": of_x0 / snr, "v": of_x0 / (snr + 1)}[target]


def capped_v(snr: Tensor, target: str, gamma: float = 20.0) -> Tensor:
    """The unit weight on the v error, SNR + 1 on that of x0 (Salimans & Ho 2022, sec. 4), with SNR capped at gamma."""
    of_x0 = snr.clamp(max=gamma) + 1
    return {"x0": of_x0, "eps": of_x0 / snr, "v": of_x0 / (snr + 1)}[target]


def p2(snr: Tensor, target: str, gamma: float = 1.0, k: float = 1.0) -> Tensor:
    """1 / (k + SNR)^gamma on the eps error (Choi et al. 2022, eq. 8)."""
    of_eps = (k + snr) ** -gamma
    return {"eps": of_eps, "x0": of_eps * snr, "v": of_eps * snr / (snr + 1)}[target]


WEIGHTS = {"uniform": uniform, "min_snr": min_snr, "capped_v": capped_v, "p2": p2}


def loss_weights(
    process: Process, target: str, name: str = "uniform", normalise: bool = False, **parameters: float
) -> Tensor:
    """Weight of every t, (T,) float64; ``normalise`` scales it to mean 1 over t.

    target: eps, x0 or v. parameters: ``gamma`` of min_snr and capped_v, ``gamma`` and ``k`` of p2.
    """
    if name not in WEIGHTS or target not in TARGETS:
        raise UserError(
            f"no loss weight {name!r} for target {target!r}; "
            f"choose one of {', '.join(WEIGHTS)} and a target of {', '.join(TARGETS)}"
        )
    snr = process.snr(torch.arange(process.steps))
    weight = WEIGHTS[name](snr, target, **parameters)
    return weight / weight.mean() if normalise else weight
