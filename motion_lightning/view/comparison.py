"""The comparison of runs as a page, as Markdown and as CSV."""

import csv
import html
import io
from collections.abc import Callable, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

from motion_lightning.view.charts import short
from motion_lightning.view.fragment import Fragment
from motion_lightning.view.page import page_html, write_text
from motion_lightning.view.report import report_style

Row = dict[str, Any]  # "run", "note", and what else is known: numbers, words, True or False, None
SETTINGS = ("steps", "sampler", "guidance", "data", "seed")  # said once where all runs share them
PLAIN = ("parameters", "steps", "seconds a step", "minutes", "seconds a sample", "sampler", "guidance", "data", "seed")
JOINED = ("skill low", "skill high", "skill passed", "audit right", "audit null", "audit wrong", "audit passed")
EXPLAINED = (
    "Skill is the error of the predicted noise over that of the best linear estimate of a frame, from the best to the "
    "worst bin of t: below 1 is better than a formula. The audit is the mean loss with the right, no and a wrong "
    "condition. Runs are ordered by the mean of skill."
)


class Look(NamedTuple):
    """A column of the page: what one run makes of the conditions that all runs were given."""

    name: str
    fragment: Fragment


def write_comparison(folder: str | Path, rows: Sequence[Row], looks: Sequence[Look], title: str = "") -> Path:
    """Write comparison.csv, comparison.md and comparison.html; the last is returned."""
    folder, title = Path(folder), title or f"Comparison of {len(rows)} runs"
    write_text(folder / "comparison.csv", as_csv(rows))
    parts = (f"# {title}", in_common(rows), markdown(rows), EXPLAINED)
    write_text(folder / "comparison.md", "\n\n".join(filter(None, parts)) + "\n")
    return write_text(folder / "comparison.html", page(rows, looks, title))


def as_csv(rows: Sequence[Row]) -> str:
    """All figures as they are; a cell is empty where nothing is known."""
    file = io.StringIO()
    writer = csv.DictWriter(file, names_of(rows), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


def names_of(rows: Sequence[Row]) -> list[str]:
    """Columns of all rows: the run, what the data are scored by, what every run has, and the note."""
    every = dict.fromkeys(name for row in rows for name in row)
    own = [name for name in every if name not in (*PLAIN, *JOINED, "run", "note")]
    return [name for name in ("run", *own, *JOINED, *PLAIN, "note") if name in every]


def shared(rows: Sequence[Row]) -> dict[str, str]:
    """Settings that are the same in all rows, name → text."""
    first, *others = rows
    found = {name: text(first.get(name)) for name in SETTINGS}
    return {name: value for name, value in found.items() if value and all(text(r.get(name)) == value for r in others)}


def columns(rows: Sequence[Row]) -> dict[str, Callable[[Row], str]]:
    """Columns for a reader, heading → text of a row, without those that hold nothing, or one setting, in all rows."""
    own = [name for name in names_of(rows) if name not in (*PLAIN, *JOINED, "run", "note")]
    shown: dict[str, Callable[[Row], str]] = {"run": lambda row: row["run"]}
    shown |= {name: lambda row, name=name: text(row.get(name)) for name in own}
    shown |= {"skill": skill, "audit": audit}
    shown |= {name: lambda row, name=name: text(row.get(name)) for name in (*PLAIN, "note")}
    once = shared(rows)
    return {name: cell for name, cell in shown.items() if name not in once and any(cell(row) for row in rows)}


def in_common(rows: Sequence[Row]) -> str:
    """As in Every run: steps 1,875, data programs test, seed 0."""
    said = ", ".join(f"{name} {value}" for name, value in shared(rows).items())
    return f"Every run: {said}." if said else ""


def skill(row: Row) -> str:
    """As in 0.12 – 0.83 passed."""
    low, high = row.get("skill low"), row.get("skill high")
    return "" if low is None or high is None else f"{low:.2f} – {high:.2f} {verdict(row.get('skill passed'))}"


def audit(row: Row) -> str:
    """As in 0.20 / 0.37 / 0.66 passed."""
    losses = [row.get(f"audit {name}") for name in ("right", "null", "wrong")]
    if None in losses:
        return ""
    return f"{' / '.join(short(loss) for loss in losses)} {verdict(row.get('audit passed'))}"


def verdict(passed: bool | None) -> str:
    return {True: "passed", False: "failed", None: ""}[passed]


def text(value: Any) -> str:
    """A few digits of a number; words as they are."""
    if value is None:
        return ""
    return short(value) if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)


def markdown(rows: Sequence[Row]) -> str:
    """A table that reads well as it stands."""
    shown = columns(rows)
    lines = [list(shown), *([cell(row).replace("|", "/") for cell in shown.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join(
        f"| {' | '.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))} |" for line in lines
    )


def page(rows: Sequence[Row], looks: Sequence[Look], title: str) -> str:
    """Table, and below it a column of samples for every run."""
    shown = columns(rows)
    head = "".join(f"<th scope=col>{html.escape(name)}</th>" for name in shown)
    body = "".join(_row(row, shown) for row in rows)
    table = f'<table class="compared"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
    side = "".join(f"<div><h3>{html.escape(look.name)}</h3>{look.fragment.body}</div>" for look in looks)
    samples = (
        "<section><h2>Samples</h2><p>Each column is a run, each row the condition of a held-out clip.</p>"
        f'<div class="side">{side}</div></section>'
    )
    style = report_style() + resources.files(__package__).joinpath("comparison.css").read_text(encoding="utf-8")
    styles, scripts = (dict.fromkeys(look.fragment[i] for look in looks) for i in (1, 2))
    return page_html(
        title,
        f"<header><h1>{html.escape(title)}</h1><p>{html.escape(in_common(rows))}</p></header>"
        f'<section><div class="scroll">{table}</div><p class=note>{html.escape(EXPLAINED)}</p></section>'
        f"{samples if looks else ''}",
        "".join(styles) + style,
        "".join(scripts),
    )


def _row(row: Row, shown: dict[str, Callable[[Row], str]]) -> str:
    marks = {"passed": '<span class="pass">passed</span>', "failed": '<span class="fail">failed</span>'}
    first, *rest = (html.escape(cell(row)) for cell in shown.values())
    for i, (name, cell) in enumerate(zip(list(shown)[1:], rest, strict=True)):
        if name in ("skill", "audit") and cell:
            figures, _, mark = cell.rpartition(" ")
            rest[i] = f"{figures} {marks.get(mark, mark)}"
    kind = ' class="apart"' if row.get("note") else ""
    return f"<tr{kind}><th scope=row>{first}</th>{''.join(f'<td>{cell}</td>' for cell in rest)}</tr>"
