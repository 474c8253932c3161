"""Numbers, marks and tables of the report, as HTML."""

import html
import math

from motion_lightning.view.charts import short


def number(value: float | None) -> str:
    """A few digits; a dash that explains itself for what is missing or not finite."""
    if value is None:
        return dash("not measured")
    return short(value) if math.isfinite(value) else dash("not a finite number")


def share(value: float | None) -> str:
    """Per cent, or the dash."""
    return number(value) if value is None or not math.isfinite(value) else f"{100 * value:.1f}&thinsp;%"


def ratio(a: float | None, b: float | None) -> str:
    """a / b, or the dash."""
    return number(None if a is None or b is None else a / b if b else math.inf)


def plain(value: object) -> str:
    """A setting, escaped."""
    if isinstance(value, float):
        return f"{value:g}" if math.isfinite(value) else number(value)
    return html.escape("none" if value is None else str(value))


def dash(why: str) -> str:
    """An em dash with a tooltip."""
    return f'<abbr title="{why}">—</abbr>'


def bar(value: float | None, kind: str) -> str:
    """A share with a bar behind it."""
    if value is None or not math.isfinite(value):
        return number(value)
    return f'<span class="bar {kind}" style="--share:{100 * value:.1f}%">{share(value)}</span>'


def below(value: float | None, bound: float | None) -> str:
    """Mark of a value that must be below a bound."""
    if value is None or bound is None or not math.isfinite(value - bound):
        return '<span class="fail">no figure</span>'
    return '<span class="pass">below</span>' if value < bound else '<span class="fail">not below</span>'


def verdict(ok: bool) -> str:
    """Mark of a test as a whole."""
    return '<span class="pass">passed</span>' if ok else '<span class="fail">not passed</span>'


def table(head: list[str], rows: list[list[str]], kind: str = "") -> str:
    """Table of cells that are HTML already; the first of each row is its heading."""
    top = "".join(f"<th scope=col>{cell}</th>" for cell in head)
    body = ""
    for first, *rest in rows:
        body += f"<tr><th scope=row>{first}</th>{''.join(f'<td>{cell}</td>' for cell in rest)}</tr>"
    head_and_body = f"<thead><tr>{top}</tr></thead><tbody>{body}</tbody>"
    return f'<div class="scroll"><table class="{kind}">{head_and_body}</table></div>'


def missing(what: str, how: str) -> str:
    """The line in place of a section; `how` is HTML."""
    return f'<p class="missing">No {what} yet. To get it: {how}</p>'
