"""LEAD against latent diffusion without its projector, the DiT and MDM: one corpus, a like budget, several seeds.

    python experiments/lead/compare.py                    # 4 arms × 3 seeds, more than an hour of two cores
    python experiments/lead/compare.py --arms dit mdm --seeds 1
    python experiments/lead/compare.py --table            # of what is there already

The VAE is trained once. Latent diffusion and LEAD share it, and the diffusion of each seed: LEAD has a projector more.
What stopped goes on where it was, trainings as well as scores.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np

from motion_lightning.first_stage import is_complete, train_alone

QUIET = ["logger=csv", "evaluate=null", "callbacks.samples=null"]
# Steps of about five minutes on two AVX2 cores with nothing beside: .2 s a step of the DiT, .25 of MDM, .22 of the
# VAE, .12 of the diffusion of latents. The projector's come on top.
STEPS = {"vae": 300, "dit": 1500, "mdm": 1200, "latent": 1875, "lead": 500}
ARMS = ("dit", "mdm", "latent", "lead")
FIGURES = {
    "FID": 3, "R-precision 1": 3, "R-precision 3": 3, "MM-Dist": 3, "Diversity": 2, "action accuracy, single": 3,
    "action accuracy, compound": 3, "order accuracy": 3, "foot slide (m/s)": 3, "jitter (m/s³)": 0,
}  # fmt: skip


def settings(arm: str, seed: int, folder: Path) -> list[str]:
    """Of a training, for the command line."""
    vae, latent = f"codec.run={folder / 'vae'}", f"generator.run={folder / f'latent_{seed}'}"
    own = {
        "vae": ["experiment=lead_vae"],
        "dit": ["model=dit"],
        "mdm": ["model=mdm"],
        "latent": ["experiment=lead_diffusion", vae],
        "lead": ["experiment=lead_projector", vae, latent],
    }[arm]
    epochs = 3
    budget = [f"loader.steps_per_epoch={STEPS[arm] // epochs}", f"trainer.max_epochs={epochs}"]
    return [*own, *budget, f"seed={seed}", *(QUIET[:1] if arm == "vae" else QUIET)]


def run_of(arm: str, seed: int, folder: Path) -> Path:
    return folder / (arm if arm == "vae" else f"{arm}_{seed}")


def train(arm: str, seed: int, folder: Path) -> None:
    run = run_of(arm, seed, folder)
    if not is_complete(run) and not train_alone(run, [*settings(arm, seed, folder), f"name={run.name}"]):
        sys.exit(f"{run} was not trained: what stopped it is said above")


def evaluate(runs: list[Path], replications: int, out: Path) -> None:
    command = [
        sys.executable, "-m", "motion_lightning.evaluate", f"runs=[{','.join(map(str, runs))}]", "protocol=programs",
        f"protocol.replications={replications}", "protocol.multimodality=null", f"out={out}",
    ]  # fmt: skip
    if subprocess.run(command, check=False).returncode:
        sys.exit("the runs were not scored: what stopped it is said above")


def table(folder: Path) -> str:
    """Means over seeds ± 1.96 standard errors, of runs that are scored; the real motions last."""
    found = {arm: sorted(folder.glob(f"{arm}_*/protocol-programs.json")) for arm in ARMS}
    read = {arm: [json.loads(file.read_text()) for file in files] for arm, files in found.items() if files}
    lines = [f"| arm | seeds | {' | '.join(FIGURES)} |", "|" + "---|" * (2 + len(FIGURES))]
    for arm, results in read.items():
        cells = [cell([r["metrics"][name]["mean"] for r in results], digits) for name, digits in FIGURES.items()]
        lines.append(f"| {arm} | {len(results)} | {' | '.join(cells)} |")
    for real in [results[0]["real"] for results in read.values()][:1]:
        cells = [cell([real[name]["mean"]], digits) for name, digits in FIGURES.items()]
        lines.append(f"| real | | {' | '.join(cells)} |")
    return "\n".join(lines)


def cell(values: list[float], digits: int) -> str:
    """Mean ± 1.96 standard errors."""
    half = 1.96 * np.std(values, ddof=1) / len(values) ** 0.5 if len(values) > 1 else None
    return f"{np.mean(values):.{digits}f}" + (f" ± {half:.{digits}f}" if half is not None else "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=ARMS)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--replications", type=int, default=2, help="of each run's score; the intervals are of seeds")
    parser.add_argument("--folder", type=Path, default=Path("runs/lead_compare"))
    parser.add_argument("--table", action="store_true", help="of what is there already, nothing is made")
    given = parser.parse_args()
    if not given.table:
        if {"latent", "lead"} & {*given.arms}:
            train("vae", 0, given.folder)
        for seed in range(given.seeds):  # seeds outermost, so that all arms have as many of them when time is up
            for arm in ARMS:
                if arm in given.arms or (arm == "latent" and "lead" in given.arms):
                    train(arm, seed, given.folder)
        runs = [run_of(arm, seed, given.folder) for arm in ARMS if arm in given.arms for seed in range(given.seeds)]
        evaluate(runs, given.replications, given.folder / "evaluation")
    print(table(given.folder))


if __name__ == "__main__":
    main()
