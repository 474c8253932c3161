"""The report of a run: one page made of what lies in its folder."""

import csv
import html
import json
import math
import shlex
from collections import defaultdict
from importlib import resources
from pathlib import Path

import yaml

from motion_lightning.motion.skeleton import Skeleton
from motion_lightning.view import sections
from motion_lightning.view.page import ClipView, page_html, viewer_assets, viewer_fragment, write_text
from motion_lightning.view.tables import missing, number, share, verdict


def write_report(
    run_dir: str | Path,
    *,
    clips: list[ClipView] | None = None,
    evaluation: dict | None = None,
    skeleton: Skeleton | None = None,
) -> Path:
    """Write ``run_dir/report.html`` and return its path.

    Figures come from the folder's config.yaml and metrics.csv and from ``evaluation`` (else evaluation.json).
    A section whose figures are missing says how to get them; a number that is not finite is shown as a dash.
    """
    run_dir = Path(run_dir)
    config, curves = read_config(run_dir), read_metrics(run_dir)
    if evaluation is None and (file := run_dir / "evaluation.json").is_file():
        evaluation = json.loads(file.read_text())
    evaluation = evaluation or {}
    skill = evaluation.get("skill") or logged_skill(curves)
    run = run_argument(run_dir)
    score = f"<code>python -m motion_lightning.evaluate {run}</code>"
    parts = [
        ("Samples", viewer_fragment(clips, skeleton) if clips else "", "samples", score),
        ("Training", sections.training(curves), "curves", "<code>logger=csv</code> writes metrics.csv"),
        ("Skill", sections.skill(skill), "skill against linear estimates", score),
        ("Does it listen?", sections.audit(evaluation.get("audit")), "conditioning audit", score),
        ("What the motions do", sections.attributes(evaluation.get("attributes")), "scores", score),
        ("Physics", sections.physical(evaluation), "jitter and foot slide", score),
        ("Configuration", sections.config(config), "settings", "training writes <code>config.yaml</code>"),
        ("Where figures come from", sections.provenance(evaluation.get("provenance")), "provenance", score),
        ("How to go on", sections.commands(run), "", ""),
    ]  # fmt: skip
    title = f"Run {run_dir.resolve().name}"
    body = f"<header><h1>{html.escape(title)}</h1>\n{_headline(curves, evaluation, skill)}</header>"
    for name, content, what, how in parts:
        body += f"\n<section><h2>{name}</h2>\n{content or missing(what, how)}</section>"
    style, script = viewer_assets()
    style += resources.files(__package__).joinpath("report.css").read_text(encoding="utf-8")
    return write_text(run_dir / "report.html", page_html(title, body, style, script if clips else ""))


def run_argument(run_dir: Path) -> str:
    """``run=…`` as a shell wants it and escaped; relative to the current folder where the run lies in it."""
    here, path = Path.cwd(), run_dir.resolve()
    return html.escape(shlex.quote(f"run={path.relative_to(here) if path.is_relative_to(here) else path}"))


def read_config(run_dir: Path) -> dict:
    """config.yaml, or {}."""
    file = run_dir / "config.yaml"
    config = yaml.safe_load(file.read_text()) if file.is_file() else None
    return config if isinstance(config, dict) else {}


def read_metrics(run_dir: Path) -> sections.Curves:
    """metrics.csv, where a row holds only what was logged together, and the other cells are empty."""
    file = run_dir / "metrics.csv"
    if not file.is_file():
        return {}
    curves = defaultdict(list)
    with file.open(newline="") as rows:
        for row in csv.DictReader(rows):
            for name in row.keys() - {"step", "epoch", None}:
                if row[name] and row["step"]:
                    curves[name].append((float(row["step"]), float(row[name])))
    return dict(curves)


def logged_skill(curves: sections.Curves) -> dict | None:
    """Skill at the last validation, from ``val/skill/model_0`` and ``val/skill/frame_0`` on; no verdict."""
    keys = {name: [f"val/skill/{name}_{i}" for i in range(10)] for name in ("model", "frame")}
    if not all(key in curves for row in keys.values() for key in row):
        return None
    return {name: [curves[key][-1][1] for key in row] for name, row in keys.items()}


def _headline(curves: sections.Curves, evaluation: dict, skill: dict | None) -> str:
    tiles = {}
    if steps := [step for line in curves.values() for step, _ in line]:
        tiles["step reached"] = f"{int(max(steps)) + 1:,}"
    if finite := [loss for _, loss in curves.get("val/loss", []) if math.isfinite(loss)]:
        tiles["lowest validation loss"] = number(min(finite))
    for name, figures in (("skill", skill), ("conditioning audit", evaluation.get("audit"))):
        if "passed" in (figures or {}):
            tiles[name] = verdict(figures["passed"])
    for part, rows in (evaluation.get("attributes") or {}).items():
        if "action" in (rows or {}):
            tiles[f"action, {html.escape(part)}"] = share(sections.accuracy(rows["action"], "model"))
    return '<dl class="tiles">' + "".join(f"<div><dt>{k}</dt><dd>{v}</dd></div>" for k, v in tiles.items()) + "</dl>"
