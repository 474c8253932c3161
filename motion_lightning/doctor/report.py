"""How findings are told: a table for the terminal, JSON, and a page with the worst clips to play."""

import html
import json
from collections import Counter
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from motion_lightning.doctor.clips import Clips
from motion_lightning.doctor.files import drift
from motion_lightning.doctor.finding import SEVERITIES, Finding
from motion_lightning.view.page import ClipView, page_html, viewer_assets, viewer_fragment, write_text
from motion_lightning.view.tables import number, plain, table

MARKS = {"error": "✗", "warning": "!", "note": "·", "fine": "✓", "skipped": "–"}
SHOWN, LISTED = 3, 12  # clips to play, and lines, of a finding on the page
CONTEXT = 5.0  # seconds around the place that a clip is shown for, where it is longer
STATES = (*SEVERITIES, "fine", "skipped")


def terminal_table(findings: list[Finding], width: int = 118) -> str:
    """A line a check, the serious ones first: mark, check, how many, the worst example; what to do below it."""
    rows = [f"{'':2}{'check':34}{'found':>8} of {'':<17} worst"]
    for finding in sorted(findings, key=lambda f: STATES.index(f.state)):
        if finding.state == "skipped":
            continue
        count = f"{len(finding.cases):,}" if finding.cases else "none"
        line = f"{MARKS[finding.state]} {finding.check:34}{count:>8} of {f'{finding.of:,} {finding.unit}':<17} "
        rows.append((line + (finding.cases[0].what if finding.cases else "")).rstrip()[: width - 1])
        if finding.cases and finding.advice:
            rows.append(f"{'':65}→ {finding.advice}"[: width - 1])
    if skipped := [f for f in findings if f.state == "skipped"]:
        rows.append("not looked at: " + "; ".join(f"{f.check} ({f.skipped})" for f in skipped))
    return "\n".join(rows)


def write_json(path: Path, findings: list[Finding], clips: Clips, measured: dict[str, np.ndarray]) -> Path:
    """All cases, and the figures of every motion."""
    content = {
        "corpus": clips.manifest["corpus"],
        "digest": clips.manifest["digest"],
        "clips": len(clips),
        "findings": [
            {
                "check": f.check, "state": f.state, "severity": f.severity, "of": f.of, "unit": f.unit,
                "advice": f.advice, "skipped": f.skipped,
                "cases": [
                    {"what": c.what, "clip": None if c.row is None else clips.ids[c.row], "frame": c.frame,
                     "value": _finite(c.value)}
                    for c in f.cases
                ],
            }
            for f in findings
        ],
        "figures": {"clip": clips.ids, **{k: [_finite(x) for x in v.tolist()] for k, v in measured.items()}}
        if measured else {},
    }  # fmt: skip
    return write_text(path, json.dumps(content, ensure_ascii=False, indent=1))


def write_page(path: Path, findings: list[Finding], clips: Clips) -> Path:
    """One page without network: tiles, the table, and each finding with its worst clips in the viewer."""
    manifest = clips.manifest
    states = Counter(finding.state for finding in findings)
    title = f"Examination of {manifest['about'].get('title') or manifest['corpus']}"
    tiles = {
        "clips": f"{len(clips):,}",
        "errors": _tile(states["error"], "fail"),
        "warnings": _tile(states["warning"], "warn"),
        "notes": str(states["note"]),
        "checks without a finding": f'<span class="pass">{states["fine"]}</span>',
    }
    head = "".join(f"<div><dt>{k}</dt><dd>{v}</dd></div>" for k, v in tiles.items())
    facts = f"Store {plain(clips.store.path.name)}, digest {manifest['digest'][:12]}."
    body = f'<header><h1>{html.escape(title)}</h1>\n<p>{facts}</p><dl class="tiles">{head}</dl></header>'
    body += f"\n<section><h2>All checks</h2>\n{_overview(findings)}</section>"
    views = 0
    for finding in sorted(findings, key=lambda f: STATES.index(f.state)):
        if finding.state in SEVERITIES:
            players = _views(finding, clips)
            body += _section(finding, clips, players, explained=views > 0)
            views += len(players)
    body += _statistics(clips)
    style, script = viewer_assets()
    style += resources.files("motion_lightning.view").joinpath("report.css").read_text(encoding="utf-8")
    style += resources.files(__package__).joinpath("doctor.css").read_text(encoding="utf-8")
    return write_text(path, page_html(title, body, style, script if views else ""))


def _overview(findings: list[Finding]) -> str:
    rows = []
    for finding in sorted(findings, key=lambda f: STATES.index(f.state)):
        name = html.escape(finding.check)
        if finding.state in SEVERITIES:
            name = f'<a href="#{_anchor(finding)}">{name}</a>'
        count = f"<b>{len(finding.cases):,}</b>" if finding.cases else "none"
        found = f"{count} of {finding.of:,} {finding.unit}" if not finding.skipped else "not looked at"
        what = finding.cases[0].what if finding.cases else finding.skipped
        rows.append([name, f'<span class="state {finding.state}">{finding.state}</span>', found, html.escape(what)])
    return table(["check", "", "found", "worst"], rows, "checks")


def _section(finding: Finding, clips: Clips, players: list[ClipView], explained: bool) -> str:
    listed = "".join(f"<li>{html.escape(case.what)}</li>" for case in finding.cases[:LISTED])
    if (rest := len(finding.cases) - LISTED) > 0:
        more = "".join(f"<li>{html.escape(case.what)}</li>" for case in finding.cases[LISTED : LISTED + 500])
        cut = f"<li>… and {rest - 500:,} more in doctor.json</li>" if rest > 500 else ""
        listed += f"</ul><details><summary>{rest:,} more</summary><ul class=cases>{more}{cut}</ul></details><ul hidden>"
    viewer = viewer_fragment(players, clips.skeleton) if players else ""
    state = f'<span class="state {finding.state}">{finding.state}</span>'
    advice = (
        f"<p class=advice>{html.escape(finding.advice[:1].upper() + finding.advice[1:])}.</p>" if finding.advice else ""
    )
    return (
        f'\n<section id="{_anchor(finding)}"{" class=explained" if explained else ""}>'
        f"<h2>{html.escape(finding.check[:1].upper() + finding.check[1:])} {state}"
        f"<small>{len(finding.cases):,} of {finding.of:,} {finding.unit}</small></h2>\n"
        f"{advice}<ul class=cases>{listed}</ul>{viewer}</section>"
    )


def _views(finding: Finding, clips: Clips) -> list[ClipView]:
    """The worst cases that are motions and can be drawn, each clip once."""
    if clips.skeleton is None:
        return []
    views, seen = [], set()
    for case in finding.cases:
        if case.row is None or case.row in seen or len(views) == SHOWN:
            continue
        joints = clips.joints(case.row)
        if not np.isfinite(joints).all() or np.abs(joints).max() > 1e4:
            continue
        seen.add(case.row)
        around, note = _around(clips, case.frame, len(joints))
        title = f"{clips.ids[case.row]}, {clips.split(case.row)}"
        views.append(ClipView(joints[around], clips.caption(case.row), title, clips.fps, note))
    return views


def _around(clips: Clips, frame: int | None, frames: int) -> tuple[slice, str]:
    """The part of a clip to show."""
    most = round(CONTEXT * clips.fps)
    start = 0 if frame is None else min(max(frame - most // 3, 0), max(frames - most, 0))
    part = slice(start, start + most)
    place = f"; look at {clips.seconds(frame - start)}" if frame is not None else ""
    if frames <= most:
        return part, place.removeprefix("; ")
    return (
        part,
        f"{clips.seconds(start)} to {clips.seconds(min(start + most, frames))} of {clips.seconds(frames)}{place}",
    )


def _statistics(clips: Clips) -> str:
    """Published Mean and Std beside the store's own, where there are any."""
    published = clips.manifest["source"].get("published") or {}
    if not {"Mean.npy", "Std.npy"} <= published.keys() or not (clips.store.path / "stats.npz").is_file():
        return ""
    mean, std = (np.array(published[name]["values"]) for name in ("Mean.npy", "Std.npy"))
    rows = [
        [html.escape(r["group"].replace("_", " ")), number(r["shift"]), number(r["published"]), number(r["own"]),
         number(r["ratio"])]
        for r in drift(clips, mean, std)
    ]  # fmt: skip
    head = ["feature group", "shift of the mean, in Std", "published Std", "own Std", "own / published"]
    return f"\n<section><h2>Published statistics</h2>\n{table(head, rows)}</section>"


def _anchor(finding: Finding) -> str:
    return finding.check.replace(" ", "-").lower()


def _tile(count: int, kind: str) -> str:
    return f'<span class="{kind}">{count}</span>' if count else "0"


def _finite(value: Any) -> float | None:
    return None if value is None or not np.isfinite(value) else round(float(value), 6)
