"""Runs side by side: what they score, what they cost, and what they make of the same conditions."""

import json
import logging
import math
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from hydra.errors import InstantiationException

from motion_lightning.config import instantiate, load_config
from motion_lightning.errors import UserError
from motion_lightning.view.comparison import Look, write_comparison
from motion_lightning.view.fragment import Fragment

log = logging.getLogger(__name__)

FAILURE = "failed.txt"  # what a job of a sweep leaves that did not end well
SPEED = ("workers", "timeout")  # settings of a corpus that do not change it


class Entry(NamedTuple):
    """One run, as far as it got."""

    folder: Path
    config: dict
    scores: dict  # evaluation.json
    training: dict  # training.json
    overrides: list[str]  # of the command line that started it
    trouble: str  # why it has no scores


def compare_runs(folders: Sequence[Path], out: Path, clips: int = 6, title: str = "") -> Path:
    """Write comparison.md, comparison.csv and comparison.html into ``out``; the page is returned.

    Runs of the corpus and split that most of them have come first, ordered by skill; the others are marked.

    Args:
        folders: of runs; those that failed or were not scored get a row that says so.
        clips: of the split, evenly spread, whose conditions all runs sample from; 0 compares figures alone.
    """
    entries = [read_entry(folder) for folder in folders]
    names = name_entries(entries)
    usual = most_usual([protocol(entry) for entry in entries if entry.scores])
    notes = [entry.trouble or differences(protocol(entry), usual) for entry in entries]
    ranks = [(bool(entry.trouble), bool(note), mean_ratio(entry)) for entry, note in zip(entries, notes, strict=True)]
    order = sorted(range(len(entries)), key=ranks.__getitem__)
    alike = {names[i]: entries[i] for i in order if not notes[i]}
    looks, seconds = draw_all(alike, clips) if clips else ([], {})
    rows = [{"run": names[i], **figures(entries[i], seconds.get(names[i])), "note": notes[i]} for i in order]
    return write_comparison(out, rows, looks, title)


def read_entry(folder: str | Path) -> Entry:
    """What lies in the folder of a run. UserError where it is the folder of none."""
    folder = Path(folder)
    failure, overrides = folder / FAILURE, read_overrides(folder)
    if not (folder / "config.yaml").is_file() and not failure.is_file() and not overrides:
        raise UserError(f"{folder} is not the folder of a run (it has no config.yaml): give runs=[runs/A,runs/B]")
    config = load_config(folder) if (folder / "config.yaml").is_file() else {}
    scores, training = (read_json(folder / f"{name}.json") for name in ("evaluation", "training"))
    if scores:
        trouble = ""
    elif failure.is_file():
        trouble = f"failed: {failure.read_text().strip()}"
    else:
        trouble = f"not scored: python -m motion_lightning.evaluate run={folder}" if config else "did not start"
    return Entry(folder, config, scores, training, overrides, trouble)


def read_overrides(folder: Path) -> list[str]:
    """What the command line of a run said, or []."""
    file = folder / ".hydra" / "overrides.yaml"
    return yaml.safe_load(file.read_text()) if file.is_file() else []


def read_json(path: Path) -> dict:
    """A JSON file, or {}."""
    return json.loads(path.read_text()) if path.is_file() else {}


def name_entries(entries: Sequence[Entry]) -> list[str]:
    """What tells runs apart: the folder's name, or, for the numbered jobs of a sweep, what was varied."""
    common = set.intersection(*(set(entry.overrides) for entry in entries)) if len(entries) > 1 else set()
    names = [
        " ".join(o for o in entry.overrides if o not in common and not o.startswith("name="))
        if entry.folder.name.isdigit()
        else ""
        for entry in entries
    ]
    names = [name or entry.folder.resolve().name for name, entry in zip(names, entries, strict=True)]
    often = Counter(names)
    return [name if often[name] == 1 else str(entry.folder) for name, entry in zip(names, entries, strict=True)]


def protocol(entry: Entry) -> dict[str, Any]:
    """What two runs have to share for their figures to be compared, by the names of settings."""
    source, corpus = entry.scores.get("provenance", {}), entry.config.get("data", {}).get("corpus", {})
    return {
        **{name: source[name] for name in ("data", "clips", "seed") if name in source},
        "loader.first_action": entry.config.get("loader", {}).get("first_action", "none"),
        **{f"data.corpus.{name}": value for name, value in flat(corpus) if name.rpartition(".")[2] not in SPEED},
    }


def flat(settings: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """(dotted name, value) of every leaf."""
    return [
        leaf
        for name, value in settings.items()
        for leaf in (flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else [(f"{prefix}{name}", value)])
    ]


def most_usual(protocols: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The protocol that most runs have; the first of equals."""
    keys = [json.dumps(p, sort_keys=True, default=str) for p in protocols]
    return protocols[keys.index(Counter(keys).most_common(1)[0][0])] if keys else {}


def differences(mine: dict[str, Any], usual: dict[str, Any]) -> str:
    """Why figures of one protocol say nothing beside those of the usual one; "" where they do."""
    if mine.get("data") != usual.get("data"):
        return f"not comparable: scored on {mine.get('data')}, the others on {usual.get('data')}"
    odd = [name for name in {**usual, **mine} if mine.get(name) != usual.get(name)]
    shown = ", ".join(f"{name}={mine.get(name)} ({usual.get(name)})" for name in odd[:3])
    return f"not comparable: {shown}{', …' if len(odd) > 3 else ''}" if odd else ""


def skill_ratios(scores: dict) -> list[float]:
    """Error of the model over that of the linear estimate of a frame, in the judged bins."""
    bins = scores.get("skill") or {"model": [], "frame": [], "judged": []}
    return [m / f for m, f, j in zip(bins["model"], bins["frame"], bins["judged"], strict=True) if j and m and f]


def mean_ratio(entry: Entry) -> float:
    """Geometric mean of the skill ratios, infinite where there are none."""
    ratios = skill_ratios(entry.scores)
    return math.exp(sum(map(math.log, ratios)) / len(ratios)) if ratios else math.inf


def figures(entry: Entry, sampling_seconds: float | None = None) -> dict[str, Any]:
    """One row of the comparison: plain numbers, in the order of its columns."""
    scores, training, config = entry.scores, entry.training, entry.config
    ratios, audit, source = skill_ratios(scores), scores.get("audit") or {}, scores.get("provenance") or {}
    seconds = training.get("seconds")
    return {
        **(scores.get("headline") or {}),
        "skill low": min(ratios, default=None),
        "skill high": max(ratios, default=None),
        "skill passed": (scores.get("skill") or {}).get("passed"),
        **{f"audit {name}": audit[name][0] for name in ("right", "null", "wrong") if name in audit},
        "audit passed": audit.get("passed"),
        "parameters": training.get("parameters"),
        "steps": source.get("step") or training.get("steps"),
        "seconds a step": training.get("seconds_per_step"),
        "minutes": None if seconds is None else round(seconds / 60, 2),
        "seconds a sample": sampling_seconds,
        "sampler": " ".join(str(source[name]) for name in ("sampler", "steps") if name in source),
        "guidance": source.get("guidance"),
        "data": source.get("data"),
        "seed": config.get("seed"),
    }


def draw_all(entries: Mapping[str, Entry], clips: int) -> tuple[list[Look], dict[str, float]]:
    """What each run makes of the conditions of the same clips, the real clips first; and seconds a sample."""
    looks: list[Look] = []
    seconds = {}
    for name, entry in entries.items():
        log.info("sampling from %s", name)
        try:
            look, real, seconds[name] = draw(entry, clips)
        except (UserError, InstantiationException) as error:  # its store is gone, say; the others are worth a page
            log.warning("no samples of %s: %s", name, error)
            continue
        looks += [Look(name, look)] if looks else [Look("real", real), Look(name, look)]
    return looks, seconds


def draw(entry: Entry, clips: int) -> tuple[Fragment, Fragment, float]:
    """Samples of a run and the real clips as pieces of a page, and seconds a sample."""
    from motion_lightning.assemble import encoded, load_run, open_data
    from motion_lightning.tasks.task import Shown

    source = entry.scores["provenance"]
    run = load_run(entry.folder, Path(source["checkpoint"]).stem)
    model, task, sampling = run.model, instantiate(run.config["task"]), instantiate(run.config["sampler"]).but(source)
    part = open_data(run.config, run.config["store"]).split(source["data"].split()[-1])
    shown = min(clips, len(part))
    chosen = [i * len(part) // shown for i in range(shown)]
    lengths = [int(part.lengths[i]) for i in chosen]
    cond = part.collate(chosen).cond
    model.sample(cond, lengths, sampling._replace(steps=1))  # the first call of all is slow
    begun = time.perf_counter()
    samples = model.sample(cond, lengths, sampling)
    seconds = (time.perf_counter() - begun) / len(chosen)
    given = [(part.captions(i)[0], "", part.collate([i]).cond) for i in chosen]
    made = [Shown(x, *condition) for x, condition in zip(samples, given, strict=True)]
    real = [Shown(x, *c, real=True) for x, c in zip(encoded(model.sample_codec, part, chosen), given, strict=True)]
    return task.look(model, made), task.look(model, real), seconds
