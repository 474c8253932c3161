"""The report of what people answered: JSON, Markdown and a page of the same tables."""

import html
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from motion_lightning.view.charts import interval_chart
from motion_lightning.view.page import page_html, write_text
from motion_lightning.view.report import report_style
from motion_lightning.view.tables import table

STYLE = (
    ".judged td, .judged th { text-align: left; vertical-align: top; }"
    ".judged th { white-space: normal; max-width: 34rem; } .judged td { white-space: normal; max-width: 24rem; }\n"
)
QUESTIONS = {"better": "Does what the sentence says better", "natural": "Looks more natural"}
ABOUT_PAIRS = (
    "Shares without ties are of the answers that name a side, those with ties of all answers. Intervals are Wilson's, "
    "95 %, over answers as if they were independent; with several viewers trust the row by prompt, which counts each "
    "prompt once, for whom most of its viewers prefer. p is that of a two-sided sign test: how likely such an uneven "
    "count is where nobody is better."
)
ABOUT_CHOICES = (
    "One sentence of eight is right, so that chance is 12.5 %. Intervals are Wilson's, 95 %; p is that of so many "
    "right answers, or more, by chance. What real clips reach is what the sentences allow for."
)


class Part(NamedTuple):
    """A heading, paragraphs, a chart, and a table of plain texts, whose rows may lack their last cells."""

    title: str
    texts: list[str]
    head: list[str]
    rows: list[list[str]]
    chart: str = ""


def write_judging(folder: Path, found: Mapping[str, Any]) -> Path:
    """Write judging.json, judging.md and judging.html; the page's path is returned."""
    parts = [*pairs_parts(found.get("pairs")), *choose_parts(found.get("choose")), *viewer_parts(found)]
    write_text(folder / "judging.json", json.dumps(found, ensure_ascii=False, indent=1))
    write_text(folder / "judging.md", "\n\n".join(["# What people say", *map(markdown, parts)]) + "\n")
    body = "<header><h1>What people say</h1></header>" + "".join(map(section, parts))
    return write_text(folder / "judging.html", page_html("What people say", body, report_style() + STYLE, ""))


def summary(found: Mapping[str, Any]) -> str:
    """The figures that a terminal shows."""
    lines = []
    for name, own in found.get("pairs", {}).get("questions", {}).items():
        cells = [f"{run} {cell(share)}" for run, share in own["without ties"].items()]
        p = [] if own["sign test p"] is None else [f"p {p_value(own['sign test p'])}"]
        lines.append(f"{name:<10}{'  '.join([*cells, *p])}")
    if "choose" in found:
        cells = [f"{name} {cell(own)}" for name, own in found["choose"]["accuracy"].items()]
        lines.append(f"chosen    {'  '.join(cells)}")
    return "\n".join(lines)


def pairs_parts(pairs: Mapping[str, Any] | None) -> list[Part]:
    """A part for each question, and one of the prompts."""
    if pairs is None:
        return []
    parts = []
    a, b = pairs["runs"]
    for name, own in pairs["questions"].items():
        by, free = own["by prompt"], own["without ties"]
        rows = [
            ["answers, without ties", *map(cell, free.values()), "", p_value(own["sign test p"])],
            ["answers, with ties", *map(cell, own["with ties"].values())],
            ["prompts", *map(cell, by["share"].values()), f"{by['counts']['even']} even", p_value(by["sign test p"])],
        ]
        bars = [
            (run, s["share"], s["low"], s["high"], f"c{i}") for i, (run, s) in enumerate(free.items(), 1) if s["of"]
        ]
        chart = interval_chart(bars, "share of answers without ties")
        sides = (
            f"The left clip was named by {cell(own['left'])} answers that name one; where sides do not count, by half."
        )
        texts = [ABOUT_PAIRS] if not parts else []
        texts.append(" ".join(filter(None, (sides, agreed(own["agreement"])))))
        parts.append(Part(QUESTIONS[name], texts, ["", a, b, "cannot tell", "p"], rows, chart))
    head = ["prompt", *(f"{name}: {run}" for name in pairs["questions"] for run in (a, b, "?"))]
    rows = [
        [own[0]["prompt"], *(str(one[name]) for one in own for name in (a, b, "cannot tell"))]
        for own in zip(*(question["prompts"] for question in pairs["questions"].values()), strict=True)
    ]
    return [*parts, Part("Pairs by prompt", ["How many viewers prefer whom; ? is cannot tell."], head, rows)]


def choose_parts(choose: Mapping[str, Any] | None) -> list[Part]:
    """Accuracy, and what was taken for what."""
    if choose is None:
        return []
    found = choose["accuracy"]
    rows = [[name, cell(own), p_value(own["p of chance"])] for name, own in found.items()]
    bars = [
        (name, own["share"], own["low"], own["high"], "soft" if name == "real" else "c1") for name, own in found.items()
    ]
    chart = interval_chart(
        [("chance", *[choose["chance"]] * 3, "soft"), *(bar for bar in bars if bar[1] is not None)], "right"
    )
    texts = [*filter(None, (ABOUT_CHOICES, agreed(choose["agreement"])))]
    parts = [Part("One sentence of eight", texts, ["clips of", "right", "p"], rows, chart)]
    if choose["confusions"]:
        rows = [[*map(str, row.values())] for row in choose["confusions"]]
        parts.append(Part("Taken for another", [], ["clip of", "made of", "taken for", "times"], rows))
    return parts


def viewer_parts(found: Mapping[str, Any]) -> list[Part]:
    """Who answered, and what was not counted."""
    rows = [
        [one["viewer"], kind, f"{one['answered']} of {one['of']}", seconds(one["seconds an item, median"]), one["file"]]
        for kind in ("pairs", "choose")
        for one in found.get(kind, {}).get("viewers", [])
    ]
    parts = [Part("Viewers", [], ["viewer", "page", "answered", "an item", "file"], rows)]
    facts = [(kind, name, of) for kind in ("pairs", "choose") if kind in found for name, of in sources(found[kind])]
    columns = ("checkpoint", "step", "steps", "guidance", "store")
    rows = [[kind, name, *(str(of.get(column, "")) for column in columns)] for kind, name, of in facts]
    parts.append(Part("Where the clips come from", [], ["page", "clips of", *columns], rows))
    if found["notes"]:
        parts.append(Part("Not counted, or not all of it", [], ["file"], [[note] for note in found["notes"]]))
    return parts


def sources(page: Mapping[str, Any]) -> Iterable[tuple[str, Mapping[str, Any]]]:
    """What the key says of each."""
    return page["of"]["sources"].items()


def cell(own: Mapping[str, Any]) -> str:
    """As in 62.5 % (44.1 – 78.1), 15 of 24."""
    if own["share"] is None:
        return "no answers"
    low, high = (f"{100 * own[end]:.1f}" for end in ("low", "high"))
    return f"{100 * own['share']:.1f} % ({low} – {high}), {own['count']} of {own['of']}"


def p_value(p: float | None) -> str:
    return "" if p is None else "< 0.001" if p < 0.001 else f"{p:.3f}"


def seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.1f} s"


def agreed(own: Mapping[str, Any] | None) -> str:
    """A sentence on agreement, "" of a single viewer."""
    if own is None:
        return ""
    kappa = "" if own["kappa"] is None else f" (Cohen's kappa {own['kappa']:.2f})"
    return f"Two viewers say the same of {100 * own['share']:.1f} % of what both answered{kappa}."


def markdown(part: Part) -> str:
    """The table reads well as it stands."""
    lines = [[text.replace("|", "/") for text in line] for line in (part.head, *part.rows)]
    lines = [[*line, *[""] * (len(part.head) - len(line))] for line in lines]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    lines.insert(1, ["-" * width for width in widths])
    rows = [" | ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)) for line in lines]
    return "\n\n".join([f"## {part.title}", *part.texts, "\n".join(f"| {row} |" for row in rows)])


def section(part: Part) -> str:
    """The same as HTML."""
    texts = "".join(f"<p>{html.escape(text)}</p>" for text in part.texts)
    rows = [[html.escape(text) for text in row] for row in part.rows]
    cells = table([html.escape(text) for text in part.head], rows, "judged")
    return f"<section><h2>{html.escape(part.title)}</h2>{texts}{part.chart}{cells}</section>"
