"""Reads who did what from joints alone, by rules, and scores motions against programs.

The rules know what an action looks like, not how the embedded corpus makes it: they see joints, no program.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from motion_lightning.data.programs.program import Program, Segment
from motion_lightning.metrics import lower_body, upper_body
from motion_lightning.metrics.event import Event, repeated
from motion_lightning.metrics.signals import signals

SHORTEST = 4  # frames
ATTRIBUTES = ("action", "side", "direction", "speed", "path")
FIELDS = {"action": (), "path": ("path", "turn"), "times": ("count",)}  # others: the field of their own name


@dataclass(frozen=True)
class Reading:
    """What happened, in order: as many events at most as programs have segments."""

    events: tuple[Event, ...]

    @property
    def actions(self) -> tuple[str, ...]:
        return tuple(e.action for e in self.events)


def read_program(joints: np.ndarray, fps: float = 20, form: str | None = None) -> Reading:
    """Events in joints (T, 22, 3) in metres, Y up, the floor at 0; none in NaN or below 4 frames.

    There are two at most, or three for the ``form`` "three" of a program; for "count" repetitions are one event.
    The rules take arms for balancing or swinging while the legs are busy, unless for "while" they may act then.
    """
    if len(joints) < SHORTEST or not np.isfinite(joints).all():
        return Reading(())
    s = signals(joints, fps)
    found = lower_body.jumps(s)
    found += lower_body.hops(s)
    found += lower_body.kicks(s)
    found += lower_body.lowerings(s, found)
    moved = lower_body.travels(s, found)
    found += moved
    found += lower_body.marches(s, found)
    found += lower_body.bows(s, found)
    busy = [e for e in found if e.action in ("jump", "run", "march", "squat", "kick")]
    swinging = [e for e in busy if e.action not in ("jump", "kick")] if form == "while" else []
    barred = [e for e in busy if e not in swinging]
    lifted = upper_body.raises(s)
    lifted = [e for e in lifted if not any(o.covers(e.start, e.end) > 0.5 for o in busy if o.action == "jump")]
    arms = lifted + upper_body.waves(s, barred + lifted)
    arms += upper_body.throws(s, busy + arms)
    arms += upper_body.punches(s, busy + arms)
    arms += upper_body.claps(s, barred + arms, swinging)
    found += arms
    still = ("wave", "raise_arm", "clap") if form == "while" else ()  # these leave the hips as they are
    found += lower_body.turns(s, [e for e in found if e.action not in still])
    found = sorted(found, key=lambda e: e.middle)
    found = repeated(found) if form == "count" else found
    while len(found) > (3 if form == "three" else 2):  # the least of them is the likeliest mistake
        found.remove(min(found, key=lambda e: e.end - e.start))
    return Reading(tuple(found))


@dataclass(frozen=True)
class Score:
    """What a motion does right: for each segment of its program the attributes that count, and when.

    ``order`` is None for a program of one segment and where two things should happen at once; ``together`` is
    None for all others.
    """

    segments: tuple[dict[str, bool], ...]
    order: bool | None
    together: bool | None = None


def score(program: Program | dict, joints: np.ndarray, fps: float = 20) -> Score:
    """Compares joints (T, 22, 3) with the program that they should perform.

    An action is right if it is read from the joints; a program of one segment must show nothing else. Other
    attributes count where a caption says them (no normal speed, no straight course, no walk forward) and are
    right only with the action; ``times`` is how often it is done. The order is right if exactly the program's
    actions are read, in turn; ``together``, if exactly these are read and the shorter one happens mostly
    during the other.
    """
    program = _program(program)
    return _compare(program, read_program(joints, fps, program.form))


def attribute_accuracy(
    programs: Sequence[Program | dict], motions: Sequence[np.ndarray], fps: float = 20
) -> dict[str, dict]:
    """Accuracy per attribute over motions (T, 22, 3) that should perform programs.

    ``single`` and ``compound`` (programs of one and of two segments) hold the accuracy of ``action``,
    ``side``, ``direction``, ``speed`` and ``path``, each averaged first within an action and then over
    actions, ``order`` (compound only) and ``count``, the number of motions; NaN where nothing counts.
    ``before_after``, ``while``, ``count`` and ``three`` are there where programs have these forms, with
    ``order``, or ``together`` for "while", and for "count" ``times``.
    ``confusion`` says for each action of single programs how often which actions were read ("walk",
    "walk, then jump", "nothing").
    """
    rows: dict[str, list[tuple[Program, Score]]] = {"single": [], "compound": []}
    confusion = defaultdict(Counter)
    for program, joints in zip(map(_program, programs), motions, strict=True):
        reading = read_program(joints, fps, program.form)
        rows.setdefault(program.kind, []).append((program, _compare(program, reading)))
        if program.kind == "single":
            confusion[program.segments[0].action][", then ".join(reading.actions) or "nothing"] += 1
    table = {kind: _accuracies(kind, results) for kind, results in rows.items()}
    return table | {"confusion": {action: dict(read.most_common()) for action, read in confusion.items()}}


def _accuracies(kind: str, results: list[tuple[Program, Score]]) -> dict[str, float]:
    """One part of the table: programs of one kind."""
    attributes = ATTRIBUTES + (("times",) if kind == "count" else ())
    hits = {a: defaultdict(list) for a in attributes}
    for program, result in results:
        for segment, right in zip(program.segments, result.segments, strict=True):
            for attribute, value in right.items():
                hits[attribute][segment.action].append(value)
    part = {a: _mean([np.mean(v) for v in by_action.values()]) for a, by_action in hits.items()}
    if kind == "while":
        part["together"] = _mean([result.together for _, result in results])
    elif kind != "single":
        part["order"] = _mean([result.order for _, result in results if result.order is not None])
    return part | {"count": len(results)}


def said(segment: Segment) -> tuple[str, ...]:
    """Attributes that captions mention: all but normal speed, a straight course and the usual way forward."""
    usual = segment.direction == "forward" and segment.action in ("walk", "run", "hop")
    return (
        "action",
        *(["side"] if segment.side else []),
        *(["direction"] if segment.direction and not usual else []),
        *(["speed"] if segment.speed != "normal" else []),
        *(["path"] if segment.path in ("circle", "turn") else []),
        *(["times"] if segment.count else []),
    )


def _compare(program: Program, reading: Reading) -> Score:
    wanted = tuple(s.action for s in program.segments)
    segments = []
    for segment in program.segments:
        events = [e for e in reading.events if e.action == segment.action]
        done = bool(events) and (program.compound or len(reading.events) == 1)
        right = {}
        for a in said(segment):
            fields = FIELDS.get(a, (a,))
            right[a] = done and all(getattr(events[0], f) == getattr(segment, f) for f in fields)
        segments.append(right)
    if program.together:
        return Score(tuple(segments), None, sorted(reading.actions) == sorted(wanted) and _overlap(*reading.events))
    return Score(tuple(segments), reading.actions == wanted if program.compound else None)


def _overlap(one: Event, other: Event) -> bool:
    """Whether the shorter of two events lies mostly in the other."""
    return max(one.covers(other.start, other.end), other.covers(one.start, one.end)) > 0.5


def _program(program: Program | dict) -> Program:
    return program if isinstance(program, Program) else Program.from_dict(program)


def _mean(values: list) -> float:
    return float(np.mean(values)) if values else float("nan")
