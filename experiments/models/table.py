"""The table of the README, from the folders of runs: one row a model, whatever its data.

python experiments/models/table.py runs/programs_dit runs/poses_unet …
"""

import sys

from motion_lightning.comparison import figures, read_entry
from motion_lightning.view.comparison import audit, markdown, skill, text


def row(folder: str) -> dict:
    """What one run is, took and scores; its headline figures in one cell."""
    entry = read_entry(folder)
    known = figures(entry)
    headline = "; ".join(f"{name} {text(value)}" for name, value in (entry.scores.get("headline") or {}).items())
    model = entry.config.get("model", {})
    return {
        "model": str(model.get("_target_", entry.folder.name)).rpartition(".")[2],
        "run": entry.folder.name,
        "on": known["data"],
        "skill, model / linear": skill(known),
        "right / null / wrong": audit(known),
        "scored": headline,
        "trained steps": known["steps"],
        **{name: known[name] for name in ("parameters", "seconds a step", "minutes")},
        "note": entry.trouble,
    }


if __name__ == "__main__":
    print(markdown([row(folder) for folder in sys.argv[1:]]))
