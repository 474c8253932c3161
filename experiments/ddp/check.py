"""Does every model train on two processes as it does on one? Prints the README's table.

python experiments/ddp/check.py                    every model, ten times each
python experiments/ddp/check.py vivit --times 1    one of them, once

On CPUs, through gloo, at tiny sizes: two epochs of four steps, a validation and samples after each, by the training
command itself. Figures of ten runs come in about ten minutes a model on two cores.
"""

import argparse
import csv
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

FEW = ["train=24", "val=6", "test=4"]
CORPUS = [f"data.corpus.{few}" for few in FEW]
MOTIONS = [*CORPUS, "data.corpus.workers=0"]
BY_LOSS = [  # every timestep has a loss after the first step
    "training.timesteps._target_=motion_lightning.diffusion.timesteps.LossAware",
    *("+training.timesteps.history=1", "diffusion.process.schedule=cosine", "diffusion.process.steps=4"),
]
MODELS = {
    "dit": ["model=dit_xs", *MOTIONS],
    "dit, timesteps by loss": ["model=dit_xs", *BY_LOSS, *MOTIONS],
    "mdm": ["model=mdm", "model.width=32", "model.depth=2", "model.ff=64", *MOTIONS],
    "unet1d": ["model=unet1d", "model.width=32", "model.multiples=[1,1]", *MOTIONS],
    "unet": ["model=unet", "model.width=16", *(f"data.motions.corpus.{few}" for few in [*FEW, "workers=0"])],
    "track_dit": ["model=track_dit", "model.width=32", "model.depth=1", *MOTIONS],
    "vivit": ["model=vivit", "model.width=32", "model.pairs=1", *CORPUS],
    "pose2video": ["model=pose2video", "model.width=32", "model.pairs=1", *CORPUS],
    "sign_pose": ["experiment=sign_pose", *CORPUS],
    "unet2d": ["model=unet2d", "loader.val_batch_size=64"],
    "image_vae": ["model=image_vae", "loader.val_batch_size=64"],
    # Its principal components take more clips than they are. The next two train such a VAE first, in the same folder.
    "motion_vae": ["model=motion_vae", "model.width=32", "model.ff=64", *MOTIONS, "data.corpus.train=300"],
    "lead_diffusion": ["experiment=lead_diffusion", "model.width=32", "model.ff=64", *MOTIONS, "data.corpus.train=300"],
    "projector": ["experiment=lead_projector", "model.width=32", "model.ff=64", *MOTIONS, "data.corpus.train=300"],
    "evaluator": ["model=evaluator", "model.width=32", "model.ff=64", *MOTIONS],
}
# Plain descent: Adam would blow up the rounding of a gradient that is nearly zero.
DESCENT = ["optimizer._target_=torch.optim.SGD", "~optimizer.betas", "optimizer.lr=0.01"]
SHORT = [
    *("trainer.accelerator=cpu", "trainer.precision=32-true", "trainer.max_epochs=2", "trainer.log_every_n_steps=1"),
    *("loader.steps_per_epoch=4", "loader.batch_size=4", "loader.val_batch_size=2", "logger=csv", "evaluate=null"),
    *("training.warmup=2", "sampler.steps=2"),
]
SAMPLED = ["callbacks.samples.every=1", "callbacks.samples.seconds=1"]
NOT_SAMPLED = ("image_vae", "motion_vae", "projector", "evaluator")


class Outcome(NamedTuple):
    """What one run left."""

    status: int  # of the command; 0 is well
    said: str
    curve: list[float]  # training loss of every step
    validation: list[float]
    seconds: float


def train(model: str, processes: int, folder: Path, timeout: float = 300) -> Outcome:
    """Train in ``folder``, which also holds the store, on so many processes."""
    shutil.rmtree(folder / "runs" / "x", ignore_errors=True)
    devices = ["trainer=ddp", f"trainer.devices={processes}"] if processes > 1 else []
    settings = [*SHORT, *DESCENT, *([] if model in NOT_SAMPLED else SAMPLED), *devices, *MODELS[model]]
    command = [sys.executable, "-m", "motion_lightning.train", "name=x", *settings]
    root = Path(__file__).parents[2]
    env = os.environ | {"OMP_NUM_THREADS": "1", "MOTION_LIGHTNING_HOME": str(folder / "home")}
    env["PYTHONPATH"] = os.pathsep.join([str(root), *filter(None, [os.environ.get("PYTHONPATH")])])
    begun = time.perf_counter()
    try:
        done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=timeout)
    except subprocess.TimeoutExpired:
        return Outcome(124, f"hangs for {timeout:g} s", [], [], timeout)
    seconds = time.perf_counter() - begun
    metrics = folder / "runs" / "x" / "metrics.csv"
    rows = list(csv.DictReader(metrics.open())) if metrics.is_file() else []
    curve, validation = ([float(row[name]) for row in rows if row.get(name)] for name in ("train/loss", "val/loss"))
    return Outcome(done.returncode, done.stdout + done.stderr, curve, validation, seconds)


def clean(model: str, outcome: Outcome, folder: Path) -> bool:
    """Eight steps, two validations, samples, status 0, and nobody who complains at the end."""
    samples = folder / "runs" / "x" / "samples"
    return (
        outcome.status == 0
        and len(outcome.curve) == 8
        and len(outcome.validation) == 2
        and (model in NOT_SAMPLED or any(samples.glob("step_*")))
        and not any(word in outcome.said for word in ("Traceback", "Aborted", "terminate called", "SIGABRT"))
    )


def difference(a: list[float], b: list[float]) -> float:
    """Largest difference, relative to the largest value; infinite where one is cut short."""
    if len(a) != len(b) or not a:
        return float("inf")
    return max(abs(x - y) for x, y in zip(a, b, strict=True)) / max(map(abs, a))


def check(model: str, times: int) -> str:
    """One row of the table."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        one = train(model, 1, folder)
        if not clean(model, one, folder):
            print(one.said[-2000:], file=sys.stderr)
            return f"| {model} | one process alone ends with {one.status} | | | |"
        ended, curves, validations, seconds = 0, [], [], []
        for _ in range(times):
            two = train(model, 2, folder)
            if clean(model, two, folder):
                ended += 1
            else:
                print(two.said[-2000:], file=sys.stderr)
            curves.append(difference(one.curve, two.curve))
            validations.append(difference(one.validation, two.validation))
            seconds.append(two.seconds)
    return f"| {model} | {ended} of {times} | {max(curves):.1e} | {max(validations):.1e} | {max(seconds):.0f} |"


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("models", nargs="*", choices=[*MODELS, []], help="default: all")
    parser.add_argument("--times", type=int, default=10)
    asked = parser.parse_args()
    print("| model | ends cleanly | training loss, max difference | validation loss | seconds |")
    print("|---|---|---|---|---|")
    for chosen in asked.models or MODELS:
        print(check(chosen, asked.times), flush=True)
