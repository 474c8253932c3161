"""Results of many runs as Markdown, as LaTeX and as a page. Texts of the table are plain; here they are escaped."""

import html
import re
from collections.abc import Callable, Mapping, Sequence
from importlib import resources
from pathlib import Path

from motion_lightning.view.page import page_html, write_text
from motion_lightning.view.report import report_style
from motion_lightning.view.result_table import Cell, Line, ResultTable, arrow, tabulate

APART = "†"  # not to be compared with the runs
EXPLAINED = {
    "best": "Bold: best of the comparable runs.",
    "apart": f"{APART} Not to be compared with the runs, for the reasons named.",
    "arrows": "↑ more is better, ↓ less is better, → as in real motions is best.",
}
HEADINGS = {"real": "Real motions", "runs": "Runs", "published": "Published"}
IN_TEX = {
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "±": r"$\pm$",
    "≤": r"$\le$",
    "≥": r"$\ge$",
    "×": r"$\times$",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "→": r"$\rightarrow$",
    "†": r"$\dagger$",
    "—": "---",
    "–": "--",
    "…": r"\dots{}",
}


def write_results(out: Path, results: Mapping[str, dict], published: Sequence[Mapping] = ()) -> list[Path]:
    """Write results.md, results.tex and results.html into ``out``, each whole or not at all; see ``tabulate``."""
    table = tabulate(results, published)
    formats = {"md": markdown, "tex": latex, "html": page}
    return [write_text(Path(out) / f"results.{suffix}", write(table)) for suffix, write in formats.items()]


def heading(column: str) -> str:
    """As in FID ↓."""
    return f"{column} {arrow(column)}".strip()


def explained(table: ResultTable) -> list[str]:
    """The signs that the table has, in words."""
    lines = [line for block in table.blocks.values() for line in block]
    shown = {
        "best": any(cell.best for line in lines for cell in line.cells),
        "apart": any(line.marks for line in lines),
        "arrows": any(map(arrow, table.columns)),
    }
    return [text for name, text in EXPLAINED.items() if shown[name]]


def markdown(table: ResultTable) -> str:
    """A table with <sup> for notes, which are listed below it."""

    def text(plain: str) -> str:
        return re.sub(r"([\\|*_`<\[\]])", r"\\\1", plain)

    def notes(line: Line) -> str:
        return f" {APART}<sup>{', '.join(line.marks)}</sup>" if line.marks else ""

    def cell(c: Cell) -> str:
        if not c.mean:
            return f"—<sup>{c.mark}</sup>"
        return (f"**{c.mean}**" if c.best else c.mean) + (f" ± {c.interval}" if c.interval else "")

    rows = [["", *(text(heading(column)) for column in table.columns)]]
    for name, block in table.blocks.items():
        rows += [[f"*{HEADINGS[name]}*", *([""] * len(table.columns))]] if block and name == "published" else []
        rows += [[text(line.name) + notes(line), *map(cell, line.cells)] for line in block]
    parts = [f"# {text(table.title)}", text(table.said), grid(rows), "  \n".join(map(text, explained(table)))]
    parts.append("\n".join(f"- <sup>{mark}</sup> {text(reason)}" for mark, reason in table.notes.items()))
    parts.append(grid(settings_rows(table, text)) if table.settings else "")
    cited = "\n".join(f"- {text(source)}" for source in table.sources)
    parts.append(f"Sources:\n\n{cited}" if cited else "")
    return "\n\n".join(filter(None, parts)) + "\n"


def settings_rows(table: ResultTable, escape: Callable[[str], str]) -> list[list[str]]:
    """How the runs were sampled, a row a run; [] where nothing is known."""
    names = list(next(iter(table.settings.values())))
    return [["sampled", *names], *([escape(v) for v in (run, *row.values())] for run, row in table.settings.items())]


def grid(rows: list[list[str]]) -> str:
    """Rows as a Markdown table, the first its head, figures flush right."""
    widths = [max(3, *map(len, column)) for column in zip(*rows, strict=True)]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join(
        f"| {' | '.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))} |"
        for row in (rows[0], rule, *rows[1:])
    )


def tex(plain: str) -> str:
    """A text that LaTeX sets as it is."""
    return "".join(IN_TEX.get(sign, sign) for sign in plain)


def latex(table: ResultTable) -> str:
    """A table that needs booktabs, with the notes below it."""

    def notes(line: Line) -> str:
        return f"$^{{\\dagger {','.join(line.marks)}}}$" if line.marks else ""

    def cell(c: Cell) -> str:
        if not c.mean:
            return f"--$^{{{c.mark}}}$"
        mean = f"\\mathbf{{{c.mean}}}" if c.best else c.mean
        return f"${mean}^{{\\pm{c.interval}}}$" if c.interval else f"${mean}$"

    def row(cells: list[str]) -> str:
        return " & ".join(cells) + r" \\"

    blocks = [[row([tex(b.name) + notes(b), *map(cell, b.cells)]) for b in block] for block in table.blocks.values()]
    below = [*map(tex, explained(table)), *(f"$^{{{mark}}}$ {tex(reason)}." for mark, reason in table.notes.items())]
    lines = [
        "% needs \\usepackage{booktabs}",
        r"\begin{table}",
        r"\centering",
        f"\\caption{{{tex(table.title)}. {tex(table.said)}}}",
        f"\\begin{{tabular}}{{l{'r' * len(table.columns)}}}",
        r"\toprule",
        row(["", *(tex(heading(column)) for column in table.columns)]),
        *(line for block in blocks if block for line in (r"\midrule", *block)),
        r"\bottomrule",
        r"\end{tabular}",
        *([r"\par\smallskip\footnotesize", *below] if below else []),
        r"\end{table}",
        *(f"% {source}" for source in table.sources),
    ]
    return "\n".join(lines) + "\n"


def page(table: ResultTable) -> str:
    """A page that stands alone."""
    head = "".join(f"<th scope=col>{html.escape(heading(column))}</th>" for column in table.columns)
    body = ""
    for name, block in table.blocks.items():
        if block:
            title = f'<tr class="block"><th scope=rowgroup colspan={len(table.columns) + 1}>{HEADINGS[name]}</th></tr>'
            body += f"<tbody>{title}{''.join(html_row(line, table.notes) for line in block)}</tbody>"
    figures = f'<table class="results"><thead><tr><th></th>{head}</tr></thead>{body}</table>'
    legend = "".join(f"<p class=note>{html.escape(text)}</p>" for text in explained(table))
    notes = "".join(f"<li id=note-{mark}><b>{mark}</b> {html.escape(why)}</li>" for mark, why in table.notes.items())
    sources = "".join(f"<li>{html.escape(source)}</li>" for source in table.sources)
    style = report_style() + resources.files(__package__).joinpath("results.css").read_text(encoding="utf-8")
    return page_html(
        table.title,
        f"<header><h1>{html.escape(table.title)}</h1><p>{html.escape(table.said)}</p></header>"
        f'<section><div class="scroll">{figures}</div>{legend}'
        f"{f'<ul class=notes>{notes}</ul>' if notes else ''}</section>{html_settings(table)}"
        f"{f'<section><h2>Sources</h2><ul class=notes>{sources}</ul></section>' if sources else ''}",
        style,
        "",
    )


def html_row(line: Line, notes: dict[str, str]) -> str:
    """A row; the notes of what is marked are links, and tooltips."""

    def links(marks: list[str]) -> str:
        return ", ".join(f'<a href="#note-{m}" title="{html.escape(notes[m])}">{m}</a>' for m in marks)

    def cell(c: Cell) -> str:
        if not c.mean:
            return f"—<sup>{links([c.mark])}</sup>"
        mean = f"<b>{c.mean}</b>" if c.best else c.mean
        return f"{mean}<small>±{c.interval}</small>" if c.interval else mean

    name = html.escape(line.name) + (f"&nbsp;{APART}<sup>{links(line.marks)}</sup>" if line.marks else "")
    kind = ' class="apart"' if line.marks else ""
    return f"<tr{kind}><th scope=row>{name}</th>{''.join(f'<td>{cell(c)}</td>' for c in line.cells)}</tr>"


def html_settings(table: ResultTable) -> str:
    """The section on how the runs were sampled, "" where nothing is known."""
    rows = settings_rows(table, html.escape)
    if len(rows[0]) < 2:
        return ""
    head = "".join(f"<th scope=col>{name}</th>" for name in ["", *rows[0][1:]])
    body = ""
    for run, *own in rows[1:]:
        body += f"<tr><th scope=row>{run}</th>{''.join(f'<td>{value}</td>' for value in own)}</tr>"
    own_table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return f'<section><h2>How the runs were sampled</h2><div class="scroll">{own_table}</div></section>'
