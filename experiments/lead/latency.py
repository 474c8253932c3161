"""How long a sample takes: latents and frames, with the samplers that they are used with, by turns on one machine.

    python experiments/lead/latency.py runs/lead_compare            # the folder of compare.py

MDM stands beside them at a like size, with weights that were not trained: they make no difference to the time. What is
timed is all from a text's embedding to joints in metres; embedding a sentence comes on top for every one of them.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch

from motion_lightning.assemble import build_model, load_run, open_data
from motion_lightning.config import compose, instantiate, to_plain
from motion_lightning.pipeline import Diffusion, Sampling

LIKE = ["model=mdm", "model.width=288", "model.ff=1152"]
SAMPLERS = {"DDIM 50": ("ddim", 50), "DPM-Solver++ 10": ("dpmpp", 10), "DDIM 10": ("ddim", 10)}


def sampling(name: str) -> Sampling:
    sampler, steps = SAMPLERS[name]
    return instantiate(to_plain(compose("train", [f"sampler={sampler}"]).sampler)).but(
        {"steps": steps, "guidance": 2.5}
    )


def seconds(model: Diffusion, cond, frames: int, how: Sampling) -> float:
    """Of one batch, to joints."""
    began = time.perf_counter()
    for x in model.sample(cond, [frames] * len(cond.pooled), how):
        model.sample_codec.reconciled(x)
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--frames", type=int, default=80)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 32])
    given = parser.parse_args()
    runs = {name: load_run(given.folder / f"{name}_0") for name in ("latent", "lead", "dit")}
    store = open_data(runs["dit"].config, runs["dit"].config["store"])
    models = {name: run.model for name, run in runs.items()}
    models["mdm"] = build_model(to_plain(compose("train", LIKE)), store.texts.width).eval().requires_grad_(False)
    models["mdm"].codec = models["dit"].codec  # with statistics
    print(
        f"{torch.get_num_threads()} threads, {given.frames} frames, guidance 2.5; ms a sample, median of {given.rounds}"
    )
    print(f"| | million parameters | sampler | {' | '.join(f'batch of {n}' for n in given.batches)} |")
    print("|" + "---|" * (3 + len(given.batches)))
    times: dict[tuple, list[float]] = {}
    cells = [(name, how, n) for name in models for how in SAMPLERS for n in given.batches]
    for _ in range(given.rounds + 1):  # by turns: what else the machine does falls on all of them
        for name, how, n in cells:
            cond = store.split("test").collate(range(n)).cond
            times.setdefault((name, how, n), []).append(seconds(models[name], cond, given.frames, sampling(how)) / n)
    for name, model in models.items():
        size = sum(p.numel() for p in model.parameters()) / 1e6
        for how in SAMPLERS:
            row = [f"{1000 * np.median(times[name, how, n][1:]):.0f}" for n in given.batches]
            print(f"| {name} | {size:.1f} | {how} | {' | '.join(row)} |")


if __name__ == "__main__":
    main()
