"""What of the projector matters: its kind, its size, and the parts of its loss; several seeds of each.

    python experiments/lead/projectors.py runs/lead_vae                   # a minute a training
    python experiments/lead/projectors.py runs/lead_vae --only mlp transformer --seeds 5
    python experiments/lead/projectors.py runs/lead_vae --table           # of what is there already

What stopped goes on where it was. Figures are those of each run's space.json, on held-out clips.
"""

import argparse
import json
import sys
from pathlib import Path

from compare import cell

from motion_lightning.first_stage import is_complete, train_alone

STEPS = ["loader.steps_per_epoch=250", "trainer.max_epochs=2", "logger=csv"]
WEIGHT = "training.weights."
VARIANTS = {
    "transformer": ["model.kind=transformer"],
    "transformer, width 128, depth 2": ["model.kind=transformer", "model.width=128", "model.depth=2", "model.ff=256"],
    "transformer, without direct": ["model.kind=transformer", "model.direct=false"],
    "mlp": ["model.kind=mlp"],
    "mlp, width 128, depth 2": ["model.kind=mlp", "model.width=128", "model.depth=2", "model.ff=256"],
    "mlp, without direct": ["model.kind=mlp", "model.direct=false"],
    "mlp, without variance": ["model.kind=mlp", WEIGHT + "variance=0"],
    "mlp, reconstruction .01": ["model.kind=mlp", WEIGHT + "reconstruction=0.01"],
    "mlp, reconstruction .01, without variance": [
        "model.kind=mlp", WEIGHT + "reconstruction=0.01", WEIGHT + "variance=0",
    ],
    "mlp, reconstruction alone": ["model.kind=mlp", WEIGHT + "align=0", WEIGHT + "variance=0"],
}  # fmt: skip


def figures(run: Path) -> dict[str, float]:
    """Name → figure of one run."""
    space, log = json.loads((run / "space.json").read_text()), json.loads((run / "training.json").read_text())
    pure, found = space["purity"], space["retrieval"]
    return {
        "cosine, own": space["cosine"]["its own"],
        "a stranger's": space["cosine"]["a stranger's"],
        "lost": space["reconstruction"],
        "variance": space["variance"],
        "purity before": pure["VAE"]["mean"],
        "purity": pure["realigned"]["mean"],
        **{f"{way}, R@3": row["R@3"] for way, row in found.items()},
        "ms a step": 1000 * log["seconds_per_step"],
        "million parameters": log["parameters"] / 1e6,
    }


def table(folder: Path) -> str:
    """Means over seeds ± 1.96 standard errors."""
    lines = []
    for name in VARIANTS:
        rows = [figures(file.parent) for file in sorted(folder.glob(f"{slug(name)}_[0-9]/space.json"))]
        if not rows:
            continue
        if not lines:
            lines = [f"| projector | seeds | {' | '.join(rows[0])} |", "|" + "---|" * (2 + len(rows[0]))]
        cells = [cell([row[key] for row in rows], 0 if key.startswith("ms") else 3) for key in rows[0]]
        lines.append(f"| {name} | {len(rows)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def slug(name: str) -> str:
    return name.replace(",", "").replace(" ", "_").replace(".", "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("vae", type=Path, help="run of the VAE")
    parser.add_argument("--only", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=Path("runs/lead_projectors"))
    parser.add_argument("--table", action="store_true", help="of what is there already, nothing is made")
    given = parser.parse_args()
    for seed in [] if given.table else range(given.seeds):
        for name in given.only:
            run = given.folder / f"{slug(name)}_{seed}"
            settings = ["experiment=lead_projector", f"codec.run={given.vae}", f"name={run.name}", f"seed={seed}"]
            if not is_complete(run) and not train_alone(run, [*settings, *VARIANTS[name], *STEPS]):
                sys.exit(f"{run} was not trained: what stopped it is said above")
    print(table(given.folder))


if __name__ == "__main__":
    main()
