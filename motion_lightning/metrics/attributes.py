"""Reads who did what from joints alone, by rules, and scores motions against programs.

The rules know what an action looks like, not how the embedded corpus makes it: they see joints, no program.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from motion_lightning.data.programs.program import Program, Segment
from motion_lightning.metrics import lower_body, upper_body
from motion_lightning.metrics.event import Event
from motion_lightning.metrics.signals import signals

SHORTEST = 4  # frames
ATTRIBUTES = ("action", "side", "direction", "speed", "path")


@dataclass(frozen=True)
class Reading:
    """What happened, in order: two events at most, as programs have two segments at most."""

    events: tuple[Event, ...]

    @property
    def actions(self) -> tuple[str, ...]:
        return tuple(e.action for e in self.events)


def read_program(joints: np.ndarray, fps: float = 20) -> Reading:
    """Events in joints (T, 22, 3) in metres, Y up, the floor at 0; none in NaN or below 4 frames."""
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
    lifted = upper_body.raises(s)
    lifted = [e for e in lifted if not any(o.covers(e.start, e.end) > 0.5 for o in busy if o.action == "jump")]
    arms = lifted + upper_body.waves(s, busy + lifted)
    arms += upper_body.throws(s, busy + arms)
    arms += upper_body.punches(s, busy + arms)
    arms += upper_body.claps(s, busy + arms)
    found += arms
    found += lower_body.turns(s, found)
    found = sorted(found, key=lambda e: e.middle)
    while len(found) > 2:  # the least of them is the likeliest mistake
        found.remove(min(found, key=lambda e: e.end - e.start))
    return Reading(tuple(found))


@dataclass(frozen=True)
class Score:
    """What a motion does right: for each segment of its program the attributes that count, and the order.

    ``order`` is None for a program of one segment.
    """

    segments: tuple[dict[str, bool], ...]
    order: bool | None


def score(program: Program | dict, joints: np.ndarray, fps: float = 20) -> Score:
    """Compares joints (T, 22, 3) with the program that they should perform.

    An action is right if it is read from the joints; a program of one segment must show nothing else. Other
    attributes count where a caption says them (no normal speed, no straight course, no walk forward) and are
    right only with the action. The order is right if exactly the program's actions are read, in turn.
    """
    return _compare(_program(program), read_program(joints, fps))


def attribute_accuracy(
    programs: Sequence[Program | dict], motions: Sequence[np.ndarray], fps: float = 20
) -> dict[str, dict]:
    """Accuracy per attribute over motions (T, 22, 3) that should perform programs.

    ``single`` and ``compound`` (programs of one and of two segments) hold the accuracy of ``action``,
    ``side``, ``direction``, ``speed`` and ``path``, each averaged first within an action and then over
    actions, ``order`` (compound only) and ``count``, the number of motions; NaN where nothing counts.
    ``confusion`` says for each action of single programs how often which actions were read ("walk",
    "walk, then jump", "nothing").
    """
    hits = {kind: {a: defaultdict(list) for a in ATTRIBUTES} for kind in ("single", "compound")}
    order, confusion, count = [], defaultdict(Counter), Counter()
    for program, joints in zip(map(_program, programs), motions, strict=True):
        reading = read_program(joints, fps)
        result, kind = _compare(program, reading), "compound" if program.compound else "single"
        count[kind] += 1
        for segment, right in zip(program.segments, result.segments, strict=True):
            for attribute, value in right.items():
                hits[kind][attribute][segment.action].append(value)
        if program.compound:
            order.append(result.order)
        else:
            confusion[program.segments[0].action][", then ".join(reading.actions) or "nothing"] += 1
    table = {
        kind: {a: _mean([np.mean(v) for v in by_action.values()]) for a, by_action in table.items()}
        for kind, table in hits.items()
    }
    table["compound"]["order"] = _mean(order)
    for kind in table:
        table[kind]["count"] = count[kind]
    return table | {"confusion": {action: dict(read.most_common()) for action, read in confusion.items()}}


def said(segment: Segment) -> tuple[str, ...]:
    """Attributes that captions mention: all but normal speed, a straight course and the usual way forward."""
    usual = segment.direction == "forward" and segment.action in ("walk", "run", "hop")
    return (
        "action",
        *(["side"] if segment.side else []),
        *(["direction"] if segment.direction and not usual else []),
        *(["speed"] if segment.speed != "normal" else []),
        *(["path"] if segment.path in ("circle", "turn") else []),
    )


def _compare(program: Program, reading: Reading) -> Score:
    wanted = tuple(s.action for s in program.segments)
    segments = []
    for segment in program.segments:
        events = [e for e in reading.events if e.action == segment.action]
        done = bool(events) and (program.compound or len(reading.events) == 1)
        right = {}
        for a in said(segment):
            keys = {"action": (), "path": ("path", "turn")}.get(a, (a,))
            right[a] = done and all(getattr(events[0], k) == getattr(segment, k) for k in keys)
        segments.append(right)
    return Score(tuple(segments), reading.actions == wanted if program.compound else None)


def _program(program: Program | dict) -> Program:
    return program if isinstance(program, Program) else Program.from_dict(program)


def _mean(values: list) -> float:
    return float(np.mean(values)) if values else float("nan")
