"""Walks from noise to data.

A sampler sees a callable ``denoise(x_t (B, ...), t (B,) long) -> x0_hat (B, ...)`` and nothing of the
network behind it: guidance, in-painting and length masks are closures around that callable. Gradients
are the caller's affair (``torch.inference_mode``), and so is randomness: ``noise(x)`` returns unit noise
shaped like x and is called once for every step but the last.
"""

from collections.abc import Callable, Iterable
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from motion_lightning.diffusion.process import Process, over
from motion_lightning.errors import UserError

Denoise = Callable[[Tensor, Tensor], Tensor]
Noise = Callable[[Tensor], Tensor]
Progress = Callable[[list], Iterable]

SPACINGS = ("trailing", "leading", "offset", "linspace", "karras")


def ddpm(
    denoise: Denoise,
    x: Tensor,
    process: Process,
    timesteps: Tensor,
    noise: Noise,
    progress: Progress = iter,
    repeats: int = 1,
) -> Tensor:
    """Ancestral sampling (Ho et al. 2020, algorithm 2, with the posterior's own variance).

    x: noise (B, ...) at ``timesteps[0]``; timesteps: descending (n,). On a part of the chain the betas
    are those of the jumps. ``progress`` wraps the list of steps, for a progress bar. ``repeats``: times that every step
    but the last is taken, with its noise put back in between (Lugmayr et al. 2022, algorithm 1), which lets the rest
    of x agree with what an edit holds fixed.
    """
    for t, t_prev in progress(_jumps(timesteps, process)):
        for again in range(repeats if t_prev >= 0 else 1):
            if again:
                fresh = process.s(t) * process.fresh(t, t_prev).sqrt()
                x = over(process.a(t) / process.a(t_prev), x) * x + over(fresh, x) * noise(x)
            x0 = denoise(x, _batch(t, x)).to(x)
            mean, variance = process.q_posterior(x0, x, t, t_prev)
            x = mean if t_prev < 0 else mean + variance.sqrt() * noise(x)
    return x


def ddim(
    denoise: Denoise,
    x: Tensor,
    process: Process,
    timesteps: Tensor,
    eta: float = 0.0,
    noise: Noise | None = None,
    progress: Progress = iter,
) -> Tensor:
    """Implicit sampling (Song et al. 2021, eq. 12 and 16): deterministic at eta = 0, ancestral at eta = 1.

    Arguments as for `ddpm`; ``noise`` is needed, and called, only where eta > 0.
    """
    if eta and noise is None:
        raise UserError(f"DDIM with eta = {eta} adds noise, but got no source of it; pass noise=, or eta = 0")
    for t, t_prev in progress(_jumps(timesteps, process)):
        x0 = denoise(x, _batch(t, x)).to(x)
        eps = process.convert(x0, "x0", "eps", x, t)
        s = process.s(t_prev)
        spread = eta * s * process.fresh(t, t_prev).sqrt()  # at eta = 1 that of the posterior
        x = over(process.a(t_prev), x) * x0 + over((s**2 - spread**2).clamp(min=0).sqrt(), x) * eps
        if eta and t_prev >= 0:
            x = x + over(spread, x) * noise(x)
    return x


def euler(
    denoise: Denoise,
    x: Tensor,
    process: Process,
    timesteps: Tensor,
    noise: Noise | None = None,
    progress: Progress = iter,
) -> Tensor:
    """Straight steps along the probability flow (Karras et al. 2022, eq. 4; a flow's own equation on its path).

    In x / a over sigma the slope is eps, in x / (a + s) over s / (a + s) it is the velocity; a step along either
    leaves x0_hat and eps as they are, and so does DDIM at eta = 0: all three are one. Nothing is random.
    """
    for t, t_prev in progress(_jumps(timesteps, process)):
        x0 = denoise(x, _batch(t, x)).to(x)
        x = process.noise(x0, t_prev, process.convert(x0, "x0", "eps", x, t))
    return x


def heun(
    denoise: Denoise,
    x: Tensor,
    process: Process,
    timesteps: Tensor,
    along: str = "velocity",
    noise: Noise | None = None,
    progress: Progress = iter,
) -> Tensor:
    """Euler's step, and half the change of slope that it meets (Karras et al. 2022, algorithm 1, without churn).

    The denoiser is called twice a step, once in the last. ``along``: "eps" is theirs, in x / a over sigma, for paths
    whose sigma starts near 100 or below; "velocity", in x / (a + s) over s / (a + s), is the same equation in a time
    that has an end, and takes any path, from pure noise on.
    """
    if along not in ("eps", "velocity"):
        raise UserError(f"sampler.sampler.along={along} is unknown; choose velocity or eps")
    if along == "eps" and process.sigma(int(timesteps[0])).isinf():
        raise UserError("sampler.sampler.along=eps cannot start at pure noise, where sigma is infinite; take velocity")
    for t, t_prev in progress(_jumps(timesteps, process)):
        x0 = denoise(x, _batch(t, x)).to(x)
        ahead = process.noise(x0, t_prev, process.convert(x0, "x0", "eps", x, t))
        if t_prev >= 0:
            slope = process.convert(x0, "x0", along, x, t)
            there = process.convert(denoise(ahead, _batch(t_prev, x)).to(x), "x0", along, ahead, t_prev)
            scale, end = _straight(process, t_prev, along)
            ahead = ahead + over(scale * (end - _straight(process, t, along)[1]) / 2, x) * (there - slope)
        x = ahead
    return x


def dpmpp(
    denoise: Denoise,
    x: Tensor,
    process: Process,
    timesteps: Tensor,
    noise: Noise | None = None,
    progress: Progress = iter,
) -> Tensor:
    """DPM-Solver++(2M) (Lu et al. 2022, algorithm 2): x0_hat goes on as a line in log(a / s). Nothing is random.

    One call of the denoiser a step. The first step has no line yet; the last is infinitely long in log(a / s), and
    ends on x0_hat itself.
    """
    before = length_before = None
    for t, t_prev in progress(_jumps(timesteps, process)):
        x0 = denoise(x, _batch(t, x)).to(x)
        length = (process.sigma(t) / process.sigma(t_prev)).log()
        ahead = x0
        if before is not None and t_prev >= 0:
            ahead = x0 + over(length / length_before / 2, x) * (x0 - before)
        kept = process.s(t_prev) / process.s(t)
        x = over(kept, x) * x + over(process.a(t_prev) - kept * process.a(t), x) * ahead
        before, length_before = x0, length
    return x


def spaced(process: Process | int, n: int, spacing: str = "trailing", rho: float = 7.0) -> Tensor:
    """n timesteps of a process, descending, (n,) long (Lin et al. 2024, table 2).

    ``trailing`` starts at the last timestep, where x_t is noise; ``leading`` ends at 0 and starts below
    the last one, where the denoiser expects signal that pure noise does not have; ``offset`` is that one timestep up,
    as Stable Diffusion and MLD walk; ``linspace`` has both ends.
    ``karras`` has both ends, and steps between that are even in sigma^(1 / rho) (Karras et al. 2022, eq. 5), each
    moved to the timestep whose sigma is nearest in proportion. All but that ask for no more than the number of
    timesteps.
    """
    total = process if isinstance(process, int) else process.steps
    if not 1 <= n <= total:
        raise UserError(f"cannot walk {n} steps on a schedule of {total}; choose 1 to {total}")
    if spacing == "trailing":
        chosen = np.round(total - np.arange(n) * total / n) - 1
    elif spacing == "leading":
        chosen = np.arange(n)[::-1] * (total // n)
    elif spacing == "offset":
        chosen = np.arange(n)[::-1] * (total // n) + (n < total)
    elif spacing == "linspace":
        chosen = np.round(np.linspace(total - 1, 0, n))
    elif spacing == "karras" and isinstance(process, Process):
        chosen = _karras(process, n, rho)
    else:
        raise UserError(f"sampler.spacing={spacing} is unknown; choose one of {', '.join(SPACINGS)}")
    return torch.from_numpy(chosen.astype(np.int64))


def _karras(process: Process, n: int, rho: float) -> np.ndarray:
    sigma = process.sigma(torch.arange(process.steps)).cpu().clamp(max=2.0 * process.steps).numpy()  # finite, rising
    wanted = np.linspace(sigma[-1] ** (1 / rho), sigma[0] ** (1 / rho), n) ** rho
    nearest = np.abs(np.log(sigma) - np.log(wanted)[:, None]).argmin(1)
    order = np.arange(n)  # where sigmas are closer than timesteps, the next free ones
    return np.maximum(np.minimum.accumulate(nearest + order) - order, n - 1 - order)


def _straight(process: Process, t: int, along: str) -> tuple[Tensor, Tensor]:
    """Scale of x and time in which the probability flow has eps, or the velocity, for a slope."""
    a, s = process.a(t), process.s(t)
    scale = a if along == "eps" else a + s
    return scale, s / scale


def _jumps(timesteps: Tensor, process: Process) -> list[tuple[int, int]]:
    """Pairs (t, t_prev), the last one to clean data."""
    chain = [*timesteps.tolist(), -1]
    if len(chain) < 2 or chain[0] >= process.steps or any(t <= t_prev for t, t_prev in pairwise(chain)):
        raise UserError(
            f"timesteps {chain[:-1]} are no walk on a schedule of {process.steps}; "
            f"they must descend from at most {process.steps - 1} to at least 0"
        )
    return list(pairwise(chain))


def _batch(t: int, x: Tensor) -> Tensor:
    return torch.full((len(x),), t, dtype=torch.long, device=x.device)
