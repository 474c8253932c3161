"""How the harder programs are drawn: order told against order done, two things at once, counts, three parts."""

from dataclasses import replace

import numpy as np

from motion_lightning.data.programs.program import (
    ACTIONS,
    CORE,
    FPS,
    LONGEST,
    SEATED,
    SHORTEST,
    TEMPO,
    Program,
    Segment,
    followers,
    in_turn,
    pick,
    sample_program,
    sample_seconds,
    sample_segment,
)
from motion_lightning.data.programs.repeats import takes
from motion_lightning.data.programs.timeline import OTHER

FORMS = ("before_after", "while", "count", "three")
HARDER_LONGEST = 8.0  # seconds; three parts and repetitions need more than a single action
MOST = {"clap": 5, "hop": 5} | dict.fromkeys(("jump", "kick", "punch", "throw", "raise_arm", "bow", "squat"), 4)
ALONE = 0.65  # share of the counted actions that have a clip for themselves
# What arms can do at once with what the rest of the body (or the other arm) does.
BRIEF = (*CORE, "turn")  # over before the clip is
GAITS = ("walk", "run", "sidestep", "turn", "march", "hop")
OVER = {
    **dict.fromkeys(GAITS, ("wave", "raise_arm", "clap")),
    **dict.fromkeys(("walk", "sidestep"), ("wave", "raise_arm", "clap", "punch")),
    "squat": ("wave", "raise_arm", "clap"),
    "raise_arm": ("wave",),  # with the other arm
}


def sample_harder(rng: np.random.Generator, form: str | None = None) -> Program:
    """Draws a form (each as often as the others), then a program of it: 2 to 8 seconds, "while" up to 5."""
    form = form or pick(rng, FORMS)
    segments = {
        "before_after": lambda rng: sample_program(rng, compound=1.0).segments,
        "while": _sample_while,
        "count": _sample_count,
        "three": _sample_three,
    }[form](rng)
    return Program(segments, form)


def _sample_three(rng: np.random.Generator) -> tuple[Segment, ...]:
    """Three different actions; who sits down stays there until he stands up."""
    actions, seated = [], False
    while len(actions) < 3:
        options = [a for a in (SEATED if seated else followers("stand_up")) if a not in actions]
        action = pick(rng, ACTIONS if not actions else options)
        seated = action == "sit_down" or (seated and action != "stand_up")
        actions.append(action)
    segments = [sample_segment(rng, action, alone=False) for action in actions]
    return in_turn(segments, [sample_seconds(rng, s, alone=False) for s in segments])


def _sample_count(rng: np.random.Generator) -> tuple[Segment, ...]:
    """An action done two to five times, alone or before or after another one."""
    action = pick(rng, tuple(MOST))
    counted, others, seconds = sample_segment(rng, action, alone=False), [], []
    leads, alone = rng.random() < 0.5, rng.random() < ALONE
    if not alone:
        options = followers(action) if leads else [a for a in ACTIONS if action in followers(a)]
        others = [sample_segment(rng, pick(rng, options), alone=False)]
        seconds = [sample_seconds(rng, others[0], alone=False)]
    room, slowest = HARDER_LONGEST - sum(seconds), TEMPO[counted.speed][0]
    counts = [n for n in range(2, MOST[action] + 1) if takes(replace(counted, count=n), slowest) <= room]
    counted = replace(counted, count=pick(rng, counts))
    need = takes(counted, slowest)
    need += rng.uniform(0.0, min(1.0 if alone else 0.25, room - need))
    if leads:
        return in_turn([counted, *others], [need, *seconds])
    return in_turn([*others, counted], [*seconds, need])


def _sample_while(rng: np.random.Generator) -> tuple[Segment, ...]:
    """Something of the whole body (or one arm), then something of an arm; one happens during the other."""
    body = sample_segment(rng, pick(rng, tuple(OVER)), alone=True)
    if body.action == "raise_arm":
        body = replace(body, side=pick(rng, ("left", "right")))
    arms = sample_segment(rng, pick(rng, OVER[body.action]), alone=True)
    if body.action == "raise_arm":
        arms = replace(arms, side=OTHER[body.side])
    need = {s.action: sample_seconds(rng, s, alone=False) for s in (body, arms)}
    if body.action in BRIEF and arms.action in BRIEF:
        return tuple(in_turn([s], [max(need.values())])[0] for s in (body, arms))
    outer, inner = (arms, body) if body.action in BRIEF else (body, arms)
    total = rng.uniform(max(SHORTEST, need[outer.action], need[inner.action] + 1.1), LONGEST)
    if inner.action in BRIEF:
        span = need[inner.action]
        start = rng.uniform(0.4, total - span - 0.6)
    else:
        span = rng.uniform(max(need[inner.action], 0.6 * total), total)
        start = rng.uniform(0.0, total - span)
    frames = {outer: (0, round(total * FPS)), inner: (round(start * FPS), round((start + span) * FPS))}
    return tuple(replace(s, start=frames[s][0], end=frames[s][1]) for s in (body, arms))
