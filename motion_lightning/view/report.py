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

from motion_lightning.view import sections
from motion_lightning.view.fragment import Fragment
from motion_lightning.view.page import page_html, write_text
from motion_lightning.view.tables import missing, number, verdict


def write_report(
    run_dir: str | Path,
    *,
    samples: Fragment | None = None,
    evaluation: dict | None = None,
) -> Path:
    """Write ``run_dir/report.html`` and return its path.

    Figures come from the folder's config.yaml, metrics.csv and training.json, and from ``evaluation`` (else
    evaluation.json): of every kind of data ``skill``, ``audit``, ``headline`` {name: number}, ``tables`` {title: {row:
    {column: number}}} and ``shares`` (tables of accuracies), of motions ``attributes`` and ``physical`` as well. A
    section whose figures are missing says how to get them; a number that is not finite is shown as a dash.
    """
    run_dir = Path(run_dir)
    config, curves = read_config(run_dir), read_metrics(run_dir)
    if evaluation is None and (file := run_dir / "evaluation.json").is_file():
        evaluation = json.loads(file.read_text())
    evaluation = evaluation or {}
    skill = evaluation.get("skill") or logged_skill(curves)
    run = run_argument(run_dir)
    score = f"<code>python -m motion_lightning.evaluate {run}</code>"
    own = {
        "What the motions do": sections.attributes(evaluation.get("attributes")),
        "Physics": sections.physical(evaluation),
        "Scores": sections.scores(evaluation),
    }
    parts = [
        ("Samples", samples.body if samples else "", "samples", score),
        ("Training", sections.training(curves), "curves", "<code>logger=csv</code> writes metrics.csv"),
        ("Skill", sections.skill(skill), "skill against linear estimates", score),
        ("Does it listen?", sections.audit(evaluation.get("audit")), "conditioning audit", score),
        *((name, content, "", "") for name, content in own.items() if content),
        *([] if any(own.values()) else [("Scores", "", "scores", score)]),
        ("Configuration", sections.config(config), "settings", "training writes <code>config.yaml</code>"),
        ("Where figures come from", sections.provenance(evaluation.get("provenance")), "provenance", score),
        ("How to go on", sections.commands(run), "", ""),
    ]  # fmt: skip
    title = f"Run {run_dir.resolve().name}"
    tiles = _headline(curves, evaluation, skill, read_training(run_dir))
    body = f"<header><h1>{html.escape(title)}</h1>\n{tiles}</header>"
    for name, content, what, how in parts:
        body += f"\n<section><h2>{name}</h2>\n{content or missing(what, how)}</section>"
    _, style, script = samples or Fragment("")
    return write_text(run_dir / "report.html", page_html(title, body, style + report_style(), script))


def report_style() -> str:
    """Style sheet of sections, tables and charts."""
    return resources.files(__package__).joinpath("report.css").read_text(encoding="utf-8")


def run_argument(run_dir: Path) -> str:
    """``run=…`` as a shell wants it and escaped; relative to the current folder where the run lies in it."""
    here, path = Path.cwd(), run_dir.resolve()
    return html.escape(shlex.quote(f"run={path.relative_to(here) if path.is_relative_to(here) else path}"))


def read_config(run_dir: Path) -> dict:
    """config.yaml, or {}."""
    file = run_dir / "config.yaml"
    config = yaml.safe_load(file.read_text()) if file.is_file() else None
    return config if isinstance(config, dict) else {}


def read_training(run_dir: Path) -> dict:
    """training.json, or {}."""
    file = run_dir / "training.json"
    return json.loads(file.read_text()) if file.is_file() else {}


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


def _headline(curves: sections.Curves, evaluation: dict, skill: dict | None, training: dict) -> str:
    tiles = {}
    if steps := [step for line in curves.values() for step, _ in line]:
        tiles["step reached"] = f"{int(max(steps)) + 1:,}"
    if "parameters" in training:
        tiles["parameters"] = number(training["parameters"])
        tiles["seconds a step"] = number(training["seconds_per_step"])
    if finite := [loss for _, loss in curves.get("val/loss", []) if math.isfinite(loss)]:
        tiles["lowest validation loss"] = number(min(finite))
    for name, figures in (("skill", skill), ("conditioning audit", evaluation.get("audit"))):
        if "passed" in (figures or {}):
            tiles[name] = verdict(figures["passed"])
    for name, value in (evaluation.get("headline") or {}).items():
        tiles[html.escape(name)] = number(value)
    return '<dl class="tiles">' + "".join(f"<div><dt>{k}</dt><dd>{v}</dd></div>" for k, v in tiles.items()) + "</dl>"
