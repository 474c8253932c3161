"""Figures of many runs beside published ones: what stands where, and what may be compared (``results`` sets it)."""

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from motion_lightning.errors import UserError

BETTER = {
    **dict.fromkeys(("R-precision", "accuracy", "MultiModality"), "↑"),
    **dict.fromkeys(("FID", "MM-Dist", "DTW-MJE", "ADE", "FDE"), "↓"),
    "Diversity": "→",
}
SHARED = ("protocol", "dataset", "evaluator", "data", "store")  # what runs must have in common
SAMPLING = ("checkpoint", "sampler", "steps", "guidance", "seed", "version")
NOT_MEASURED, NO_NUMBER, NOT_FINITE = "not measured", "not measured, or not a finite number", "not a finite number"
NOT_GIVEN = "not given in the source"
LETTERS = "abcdefghjkmnpqrstuvwxyz"  # those that a reader tells apart when they are small


class Cell(NamedTuple):
    """A figure as it is read; ``mean`` is empty where there is none, and ``mark`` names the note that says why."""

    mean: str = ""
    interval: str = ""
    best: bool = False
    mark: str = ""


class Line(NamedTuple):
    """A row of the table. Not to be compared with the runs where ``marks`` names notes."""

    name: str
    cells: list[Cell]
    marks: list[str]


class ResultTable(NamedTuple):
    """What every format shows; all texts are plain."""

    title: str
    said: str  # what all rows share
    columns: list[str]
    blocks: dict[str, list[Line]]  # real, runs, published
    notes: dict[str, str]  # mark → reason
    settings: dict[str, dict[str, str]]  # run → how it was sampled, where runs differ
    sources: list[str]


def tabulate(results: Mapping[str, dict], published: Sequence[Mapping] = ()) -> ResultTable:
    """The table. What most of the sound runs have in common is the measure; rows that differ from it are marked.

    Args:
        results: by the name of the run: ``protocol``, ``dataset``, ``metrics`` and ``real`` {name: {mean, interval,
            replications} or None}, ``comparable``, ``reasons`` (of the self-test) and ``provenance``.
        published: rows of conf/published: ``name``, ``paper``, ``source``, ``protocol``, ``incomparable`` and
            ``figures`` {name: [mean, 95 % interval]}, texts or numbers.
    """
    if not results:
        raise UserError("no results to put into a table: evaluate a run at least")
    notes: dict[str, str] = {}  # reason → mark
    columns = list(dict.fromkeys(name for result in results.values() for name in result["metrics"]))
    common = usual([conditions(r) for r in results.values() if r["comparable"]] or map(conditions, results.values()))
    reasons = {run: against(result, common) for run, result in results.items()}
    sound = {run: result for run, result in results.items() if not reasons[run]}
    reference = next(iter(sound.values()), {"real": {}})["real"]
    best = {name: best_of(name, sound, reference) for name in columns}

    def line(name: str, figures: Mapping, why: Sequence[str], judged: bool = False, absent: str = NOT_MEASURED) -> Line:
        marks = [mark(reason, notes) for reason in why]
        shown = [
            cell(figures[column], best[column] if judged else None, notes) if column in figures
            else Cell(mark=mark(absent, notes))
            for column in columns
        ]  # fmt: skip
        return Line(name, shown, marks)

    measure = common if sound else None
    blocks = {
        "real": [line(*row) for row in real_rows(results, reasons)],
        "runs": [line(run, result["metrics"], reasons[run], run in sound) for run, result in results.items()],
        "published": [line(r["name"], r["figures"], unlike(r, measure), absent=NOT_GIVEN) for r in published],
    }
    said = f"Mean ± 95 % interval; {', '.join(f'{name} {value}' for name, value in shown(common).items())}."
    sources: dict[str, list[str]] = {}
    for row in published:
        sources.setdefault(row["source"], []).append(f"{row['name']} ({row['paper']})")
    title = f"{common['dataset']}, protocol {common['protocol']}"
    marks = {name: reason for reason, name in notes.items()}
    cited = [f"{'; '.join(systems)}: {source}" for source, systems in sources.items()]
    return ResultTable(title, said, columns, blocks, marks, sampling(results), cited)


def conditions(result: Mapping[str, Any]) -> dict[str, Any]:
    """What two results have to share for their figures to be compared."""
    known = {"protocol": result["protocol"], "dataset": result["dataset"]} | result.get("provenance", {})
    replications = {name: figure["replications"] for name, figure in result["metrics"].items() if figure}
    return {name: known.get(name) for name in SHARED} | {"replications": replications}


def usual(found: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The conditions that most results have; the first of equals."""
    keys = [json.dumps(one, default=str, sort_keys=True) for one in found]
    return json.loads(Counter(keys).most_common(1)[0][0])


def against(result: Mapping[str, Any], common: Mapping[str, Any]) -> list[str]:
    """Why the figures of a run may not be compared with the others'; [] where they may."""
    own, reasons = conditions(result), []
    if not result["comparable"]:
        reasons += result.get("reasons") or ["not comparable by its own evaluation"]
    for name in SHARED:
        if own[name] != common[name]:
            reasons.append(f"{name} is {own[name]}, of the others {common[name]}")
    for metric, count in own["replications"].items():
        if count != common["replications"].get(metric, count):
            reasons.append(f"{count} replications of {metric}, the others {common['replications'][metric]}")
            break
    return reasons


def unlike(row: Mapping[str, Any], common: Mapping[str, Any] | None) -> list[str]:
    """Why published figures may not be compared with the runs', whose conditions are ``common``; [] where they may."""
    if common is None:
        return ["no run in this table may be compared"]
    own = row["protocol"]
    other = f"measured under protocol {own}, not {common['protocol']}" if own and own != common["protocol"] else None
    return [reason for reason in (other, row["incomparable"]) if reason]


def real_rows(results: Mapping[str, dict], reasons: Mapping[str, Sequence[str]]) -> list[tuple]:
    """(name, figures, why not comparable) of real motions, those of comparable runs first, and none twice."""
    rows: list[tuple] = []
    for run in sorted(results, key=lambda run: bool(reasons[run])):
        real = results[run]["real"]
        if all(real != other for _, other, _ in rows):
            rows.append((f"real, beside {run}" if rows else "real", real, list(reasons[run])))
    return rows


def arrow(metric: str) -> str:
    """↑ more is better, ↓ less is, → as in real motions; "" where that is not known."""
    return next((sign for name, sign in BETTER.items() if name in metric), "")


def best_of(metric: str, sound: Mapping[str, dict], reference: Mapping[str, Mapping | None]) -> str | None:
    """The best mean of comparable runs, as it is shown; None for less than two of them, or where none can be best."""
    means = [value for result in sound.values() if (value := mean_of(result["metrics"].get(metric))) is not None]
    real, sign = mean_of(reference.get(metric)), arrow(metric)
    if len(means) < 2 or not sign or (sign == "→" and real is None):
        return None
    keys = {"↑": lambda value: -value, "↓": lambda value: value, "→": lambda value: abs(value - real)}
    return digits(min(means, key=keys[sign]))


def mean_of(figure: Mapping | None) -> float | None:
    """The mean of a figure that was measured and is finite."""
    return figure["mean"] if figure and figure["mean"] is not None and math.isfinite(figure["mean"]) else None


def cell(figure: Mapping | Sequence | None, best: str | None, notes: dict[str, str]) -> Cell:
    """A figure of a run, or [mean, interval] of a published row; a note where no number came out (None, NaN)."""
    mean, interval = (figure["mean"], figure["interval"]) if isinstance(figure, Mapping) else figure or (None, None)
    if mean is None or not math.isfinite(float(mean)):
        return Cell(mark=mark(NO_NUMBER if mean is None else NOT_FINITE, notes))
    known = interval is not None and math.isfinite(float(interval))
    width = f"{float(interval):.3f}".removeprefix("0") if known else ""
    return Cell(text := digits(mean), width, text == best)


def digits(value: float | str) -> str:
    """Three places, fewer from 10 on as papers have them; a text as it is."""
    if isinstance(value, str):
        return value
    size = abs(value)
    return f"{value:.{3 if size < 9.9995 else 2 if size < 99.995 else 1}f}"


def mark(reason: str, notes: dict[str, str]) -> str:
    """The letter of a note, a new one for a new reason: a … z, aa, ab …, without i, l and o."""
    if reason not in notes:
        more, letter = divmod(len(notes), len(LETTERS))
        notes[reason] = (LETTERS[more - 1] if more else "") + LETTERS[letter]
    return notes[reason]


def shown(common: Mapping[str, Any]) -> dict[str, str]:
    """The common conditions for a reader: hashes shortened, replications as one number where they are."""
    counts = Counter(common["replications"].values()).most_common()
    said = {name: str(common[name])[:12] for name in ("evaluator", "store") if common[name]}
    if common["data"]:
        said = {"data": str(common["data"]), **said}
    if counts:
        others = [f"{n} of {metric}" for metric, n in common["replications"].items() if n != counts[0][0]]
        said = {"replications": ", ".join([str(counts[0][0]), *others]), **said}
    return said


def sampling(results: Mapping[str, dict]) -> dict[str, dict[str, str]]:
    """How each run was sampled: the settings that any has."""
    sources = {run: result.get("provenance", {}) for run, result in results.items()}
    names = [name for name in SAMPLING if any(source.get(name) is not None for source in sources.values())]
    return {run: {name: "" if s.get(name) is None else str(s[name]) for name in names} for run, s in sources.items()}
