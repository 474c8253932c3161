"""Line and interval charts as inline SVG; colours come from the page's style sheet and follow its theme."""

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass

POINTS = 240  # a longer line is averaged in so many stretches, with its range behind it


@dataclass(frozen=True)
class Line:
    """One line; what is not finite is left out."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    tone: str = "c1"  # a class of report.css: c1, c2, c3, soft
    dots: bool = False


def line_chart(
    lines: Sequence[Line],
    x_label: str,
    y_label: str,
    *,
    log: bool = False,
    zero: bool = False,
    size: tuple[int, int] = (640, 300),
    shade: tuple[float, float] | None = None,
    x_range: tuple[float, float] | None = None,
) -> str:
    """SVG; `log` is the y axis, `zero` starts it at 0, `shade` greys a range of x. "" with nothing finite."""
    drawn = [(line, _stretches(line, log)) for line in lines]
    drawn = [(line, pieces) for line, pieces in drawn if pieces]
    if not drawn:
        return ""
    width, height = size
    left, right, top, bottom = 58, width - 14, 30, height - 42
    xs = [x for _, pieces in drawn for x, *_ in pieces] + list(x_range or ())
    lows, highs = ([p[i] for _, pieces in drawn for p in pieces] for i in (2, 3))
    x_ticks, y_ticks = _ticks(min(xs), max(xs)), _log_ticks(min(lows), max(highs)) if log else None
    y_ticks = y_ticks or _ticks(0 if zero else min(lows), max(highs))
    x0, x1 = min(xs), max(max(xs), min(xs) + 1e-9)
    y0, y1 = min(y_ticks[0], min(lows)), max(y_ticks[-1], max(highs))
    scale = math.log10 if log else float

    def px(x: float) -> float:
        return round(left + (x - x0) / (x1 - x0) * (right - left), 1)

    def py(y: float) -> float:
        return round(bottom - (scale(y) - scale(y0)) / ((scale(y1) - scale(y0)) or 1) * (bottom - top), 1)

    parts = []
    if shade:
        a, b = (px(min(max(x, x0), x1)) for x in shade)
        parts.append(f'<rect class="shade" x="{a}" y="{top}" width="{max(0, b - a)}" height="{bottom - top}"/>')
    for y in y_ticks:
        parts.append(f'<line class="rule" x1="{left}" x2="{right}" y1="{py(y)}" y2="{py(y)}"/>')
        parts.append(f'<text x="{left - 8}" y="{py(y) + 4}" text-anchor="end">{short(y)}</text>')
    for x in x_ticks:
        parts.append(f'<text x="{px(x)}" y="{bottom + 18}" text-anchor="middle">{short(x)}</text>')
    parts.append(f'<text class="label" x="{right}" y="{height - 6}" text-anchor="end">{html.escape(x_label)}</text>')
    for line, pieces in drawn:
        if any(high > low for _, _, low, high in pieces) and len(pieces) > 2:
            edge = [(x, high) for x, _, _, high in pieces] + [(x, low) for x, _, low, _ in reversed(pieces)]
            parts.append(f'<polygon class="band {line.tone}" points="{_points(edge, px, py)}"/>')
    for line, pieces in drawn:
        name = html.escape(line.name)
        points = _points([(x, y) for x, y, *_ in pieces], px, py)
        parts.append(f'<polyline class="line {line.tone}" points="{points}"><title>{name}</title></polyline>')
        for x, y, *_ in pieces if line.dots or len(pieces) == 1 else ():
            tip = f"<title>{name}: {short(y)} at {short(x)}</title>"
            parts.append(f'<circle class="dot {line.tone}" cx="{px(x)}" cy="{py(y)}" r="3.5">{tip}</circle>')
    parts.append(f'<text class="label" x="0" y="13">{html.escape(y_label)}</text>')
    across = width - 14
    for line, _ in reversed(drawn):  # the legend, from the right
        across -= 6.4 * len(line.name) + 24
        parts.append(f'<circle class="dot {line.tone}" cx="{across + 6:.0f}" cy="9" r="4"/>')
        parts.append(f'<text x="{across + 15:.0f}" y="13">{html.escape(line.name)}</text>')
    return _svg(parts, size, f"{y_label} against {x_label}: {', '.join(line.name for line, _ in drawn)}")


def interval_chart(rows: Sequence[tuple[str, float, float, float, str]], label: str, width: int = 640) -> str:
    """Rows of (name, mean, low, high, tone) as dots on intervals. "" when no mean is finite."""
    rows = [row for row in rows if all(math.isfinite(v) for v in row[1:4])]
    if not rows:
        return ""
    low, high = min(r[2] for r in rows), max(r[3] for r in rows)
    ticks = _ticks(low, high)
    low, high = min(low, ticks[0]), max(high, ticks[-1])
    left, right, height = max(96, 8 * max(len(r[0]) for r in rows) + 16), width - 24, 38 * len(rows) + 44

    def px(x: float) -> float:
        return round(left + (x - low) / ((high - low) or 1) * (right - left), 1)

    parts = []
    for x in ticks:
        parts.append(f'<line class="rule" x1="{px(x)}" x2="{px(x)}" y1="6" y2="{height - 38}"/>')
        parts.append(f'<text x="{px(x)}" y="{height - 22}" text-anchor="middle">{short(x)}</text>')
    for i, (name, mean, a, b, tone) in enumerate(rows):
        y = 24 + 38 * i
        tip = f"<title>{html.escape(name)}: {short(mean)}, interval {short(a)} to {short(b)}</title>"
        parts.append(f'<text class="name" x="0" y="{y + 4}">{html.escape(name)}</text>')
        parts.append(f'<line class="interval {tone}" x1="{px(a)}" x2="{px(b)}" y1="{y}" y2="{y}"/>')
        parts.append(f'<circle class="dot {tone}" cx="{px(mean)}" cy="{y}" r="5">{tip}</circle>')
    parts.append(f'<text class="label" x="{right}" y="{height - 4}" text-anchor="end">{html.escape(label)}</text>')
    return _svg(parts, (width, height), f"{label}: {', '.join(r[0] for r in rows)}")


def short(value: float) -> str:
    """Few digits: 12k, 0.031, 2e-5."""
    size = abs(value)
    if size >= 1e6:
        return f"{value / 1e6:.3g}M"
    if size >= 1e4:
        return f"{value / 1e3:.3g}k"
    if size >= 1e3:
        return f"{value:.0f}"
    return f"{value:.3g}" if size >= 1e-4 or not size else f"{value:.2g}".replace("e-0", "e-")


def _svg(parts: list[str], size: tuple[int, int], label: str) -> str:
    head = f'<svg class="chart" viewBox="0 0 {size[0]} {size[1]}" role="img" aria-label="{html.escape(label)}">'
    return head + "".join(parts) + "</svg>"


def _points(points: Sequence[tuple[float, float]], px, py) -> str:
    return " ".join(f"{px(x)},{py(y)}" for x, y in points)


def _stretches(line: Line, log: bool) -> list[tuple[float, float, float, float]]:
    """(x, mean, low, high) of at most POINTS stretches."""
    pairs = sorted(
        (x, y)
        for x, y in zip(line.x, line.y, strict=True)
        if math.isfinite(x) and math.isfinite(y) and (y > 0 or not log)
    )
    every = -(-len(pairs) // POINTS)
    stretches = []
    for i in range(0, len(pairs), every or 1):
        xs, ys = zip(*pairs[i : i + every], strict=True)
        stretches.append((sum(xs) / len(xs), sum(ys) / len(ys), min(ys), max(ys)))
    return stretches


def _ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round numbers inside the range, wide enough apart."""
    span = high - low or abs(high) or 1
    step = 10 ** math.floor(math.log10(span / about))
    step *= next((m for m in (1, 2, 5) if span / (m * step) <= about), 10)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [k * step for k in range(first, last + 1)] or [low]


def _log_ticks(low: float, high: float) -> list[float]:
    """Powers of ten, with 2 and 5 between them where the range is small."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    steps = (1,) if last - first > 4 else (1, 3) if last - first > 2 else (1, 2, 5)
    ticks = [m * 10.0**k for k in range(first, last + 1) for m in steps]
    inside = [t for t in ticks if low * 0.999 <= t <= high * 1.001]
    return inside if len(inside) > 1 else [10.0**first, 10.0**last]
