"""The sections of the report, each from its part of the figures; "" where they are missing."""

import html
import math

import yaml

from motion_lightning.view.charts import Line, interval_chart, line_chart
from motion_lightning.view.tables import bar, below, number, plain, ratio, table, verdict

Curves = dict[str, list[tuple[float, float]]]  # metric → (step, value), in the order of the file
COLUMNS = {"real": "real clips", "retrieval": "nearest caption"}


def training(curves: Curves) -> str:
    """Losses, validation loss by caption, learning rate, against the step."""

    def lines(**tones: str) -> list[Line]:
        found = [
            (name, points, tone)
            for wanted, tone in tones.items()
            for name, points in curves.items()
            if name == wanted or name.startswith(wanted + "-")  # lr-AdamW
        ]
        return [Line(name, *zip(*points, strict=True), tone=tone) for name, points, tone in found]

    loss = lines(**{"train/loss": "soft", "val/loss": "c1"})
    audit = lines(**{"val/audit/right": "c1", "val/audit/null": "soft", "val/audit/wrong": "c3"})
    values = [y for line in loss for y in line.y if math.isfinite(y) and y > 0]
    wide = bool(values) and max(values) > 8 * min(values)
    charts = [
        line_chart(loss, "step", "loss, logarithmic" if wide else "loss", log=wide),
        line_chart(audit, "step", "validation loss by caption"),
        line_chart(lines(lr="c2"), "step", "learning rate", zero=True, size=(640, 200)),
    ]
    lost = sum(not math.isfinite(y) for line in loss for y in line.y)
    note = f"<p class=note>{lost} logged losses were not finite and are left out.</p>" if lost else ""
    drawn = "".join(f"<div>{chart}</div>" for chart in charts if chart)
    return f'<div class="charts">{drawn}</div>{note}' if drawn else note


def skill(figures: dict | None) -> str:
    """Error per bin of t, beside linear estimates: chart, ratios, verdict."""
    if not figures or not figures.get("model"):
        return ""
    model, frame, sequence = (figures.get(name) or [] for name in ("model", "frame", "sequence"))
    judged = figures.get("judged") or [True] * len(model)
    width = 1 / len(model)
    named = (
        ("frame covariance", frame, "c2"),
        ("sequence covariance", sequence, "c3"),
        ("model", model, "c1"),
    )
    lines = [
        Line(name, [(i + 0.5) * width for i in range(len(y))], [math.nan if v is None else v for v in y], tone, True)
        for name, y, tone in named
        if y
    ]
    first = next((i for i, ok in enumerate(judged) if ok), len(judged)) * width
    chart = line_chart(
        lines, "noise level t, 0 is clean", "error of the predicted noise", log=True, size=(720, 340),
        shade=(0, first) if first else None, x_range=(0, 1),
    )  # fmt: skip
    rows = []
    for i, m in enumerate(model):
        f, s = (row[i] if i < len(row) else None for row in (frame, sequence))
        mark = below(m, f) if judged[i] else "<small>not judged</small>"
        label = f"{i * width:.1f} – {(i + 1) * width:.1f}"
        whole = [number(s), ratio(m, s)] if sequence else []
        rows.append([label, number(m), number(f), ratio(m, f), *whole, mark])
    text = (
        "<p>Squared error of the predicted noise on held-out clips, beside the best linear estimate of a "
        "frame (required: the model is below it in every judged bin)"
        f"{' and of a whole sequence (a strong baseline, for comparison)' if sequence else ''}. Predicting zero "
        "costs 1. Shaded bins have a signal-to-noise ratio above 10 and are not judged.</p>"
    )
    passed = f"<p>{verdict(figures['passed'])}</p>" if "passed" in figures else ""
    head = ["t", "model", "frame", "model / frame", *(["sequence", "model / sequence"] if sequence else []), ""]
    return text + passed + chart + table(head, rows)


def audit(figures: dict | None) -> str:
    """Loss with the right, no and a wrong condition, with intervals."""
    tones = {"right": "c1", "null": "soft", "wrong": "c3"}
    rows = [(name, *_interval(figures[name]), tone) for name, tone in tones.items() if name in (figures or {})]
    if not rows:
        return ""
    text = (
        "<p>Loss of the same noised clips with their own condition (a caption, say), with the null condition and with "
        "that of a different clip; 95 % bootstrap intervals. It passes when right &lt; null ≤ wrong.</p>"
    )
    if "passed" in figures:
        text += f"<p>{verdict(figures['passed'])}</p>"
    if figures.get("alarm"):
        text += f'<p class="alarm">{html.escape(str(figures["alarm"]))}</p>'
    cells = [[name, *map(number, values)] for name, *values, _ in rows]
    return text + interval_chart(rows, "mean loss", 720) + table(["condition", "mean", "low", "high"], cells)


def attributes(figures: dict | None) -> str:
    """Accuracies of what the captions ask for, one table a part of the test."""
    tables = "".join(shares(part, rows) for part, rows in (figures or {}).items())
    text = (
        "<p>Action, side, direction, path, speed and order, how often (<em>times</em>) and whether two things happen "
        "at once (<em>together</em>) are read off the joints by rule. "
        "<em>Real clips</em> are the ceiling of that reader; <em>nearest caption</em> takes the training "
        "clip with the most similar caption, a model that only looks up.</p>"
    )
    return text + tables if tables else ""


def scores(evaluation: dict) -> str:
    """The tables that a kind of data gives of itself: accuracies as bars, other numbers as they are."""
    accuracies = "".join(shares(title, rows) for title, rows in (evaluation.get("shares") or {}).items())
    return accuracies + "".join(figures(title, rows) for title, rows in (evaluation.get("tables") or {}).items())


def shares(title: str, rows: dict | None) -> str:
    """One table of accuracies, row → column → share; a bare number is the model's."""
    named = {
        name: row if isinstance(row, dict) else {"model": row}
        for name, row in (rows or {}).items()
        if name != "count" and isinstance(row, dict | float | int)
    }
    columns = [c for c in _columns(named) if any(row.get(c) is not None for row in named.values())]
    cells = [[_plain_name(name), *(bar(row.get(c), html.escape(c)) for c in columns)] for name, row in named.items()]
    head = [html.escape(title), *(html.escape(COLUMNS.get(c, c)) for c in columns)]
    return table(head, cells, "bars") if columns else ""


def figures(title: str, rows: dict | None) -> str:
    """One table of numbers, row → column → number."""
    columns = _columns(rows or {})
    cells = [[_plain_name(name), *(number(row.get(c)) for c in columns)] for name, row in (rows or {}).items()]
    head = [html.escape(title), *(html.escape(COLUMNS.get(c, c)) for c in columns)]
    return table(head, cells, "titled") if columns else ""


def _columns(rows: dict[str, dict]) -> list[str]:
    """Names of all rows, in the order of their first appearance."""
    return list(dict.fromkeys(column for row in rows.values() for column in row))


def _plain_name(name: str) -> str:
    return html.escape(str(name).replace("_", " "))


def physical(evaluation: dict) -> str:
    """Jitter, foot slide and the like beside real motion; distance to the training set."""
    rows = [
        [
            html.escape(name.replace("_", " ")),
            *(number(row.get(k)) for k in ("model", "real", "ratio", "raw_ratio")),
        ]
        for name, row in (evaluation.get("physical") or {}).items()
        if isinstance(row, dict)
    ]
    out = table(["", "samples", "real", "ratio", "ratio before reconciling"], rows) if rows else ""
    if near := evaluation.get("nearest_train"):
        out += (
            "<p>Median distance of a joint to the nearest training clip: "
            f"{number(near.get('model'))} m for samples, {number(near.get('real'))} m for real clips that "
            "were held out. Near zero means copies.</p>"
        )
    return out


def config(settings: dict) -> str:
    """What was set, group by group; all of it on demand."""
    rows = []
    for group, value in settings.items():
        if isinstance(value, dict):
            target = str(value.get("_target_", "")).rpartition(".")[2]
            inner = {k: v for k, v in value.items() if k != "_target_" and not isinstance(v, dict | list)}
        elif not isinstance(value, list):
            target, inner = "", {"": value}
        else:
            continue
        cells = "".join(f"<span>{html.escape(str(k))} <b>{plain(v)}</b></span>" for k, v in inner.items())
        if inner or target:
            rows.append([html.escape(str(group)), html.escape(target), f'<div class="pairs">{cells}</div>'])
    if not rows:
        return ""
    whole = html.escape(yaml.safe_dump(settings, sort_keys=False, allow_unicode=True))
    details = f"<details><summary>All of it</summary><pre>{whole}</pre></details>"
    return table(["group", "class", "settings"], rows, "config") + details


def provenance(figures: dict | None) -> str:
    """What the figures were made from."""
    facts = (f"<div><dt>{html.escape(str(k))}</dt><dd>{plain(v)}</dd></div>" for k, v in (figures or {}).items())
    return f'<dl class="facts">{"".join(facts)}</dl>' if figures else ""


def commands(run: str) -> str:
    """How to go on with a run, ``run`` being ``run=…`` as HTML."""
    lines = {
        "Sample a sentence of your own": f'sample {run} prompt="a person walks in a circle, then waves"',
        "Score it again, with other settings": f"evaluate {run} split=val guidance=1.5",
        "Train another": "train --help",
    }
    return "".join(
        f"<p class=command>{what}</p><pre>python -m motion_lightning.{line}</pre>" for what, line in lines.items()
    )


def _interval(value: float | list) -> tuple[float, float, float]:
    values = [math.nan if v is None else v for v in (value if isinstance(value, list | tuple) else [value] * 3)]
    return values[0], values[1], values[2]
