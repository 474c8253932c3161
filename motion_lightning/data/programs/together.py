"""Two things at once: what arms do is laid over what the rest of the body does."""

from collections.abc import Callable
from copy import deepcopy

import numpy as np

from motion_lightning.data.programs.program import Segment
from motion_lightning.data.programs.timeline import SIGN, Timeline

ARM = ("flex", "abduct", "rotate", "elbow")
LEGS = ("x", "z", "yaw", "surge")  # what legs alone decide
FADE = 0.25  # seconds that an arm takes to leave one thing for the other


def lay_over(
    tl: Timeline,
    still: Timeline,
    act: Callable,
    s: Segment,
    start: float,
    end: float,
    tempo: float,
    rng: np.random.Generator,
) -> None:
    """Lets the arms of ``s`` do it from ``start`` to ``end`` seconds, whatever they do on ``tl``.

    ``still`` is the timeline as it was before anybody moved. The trunk does both things; the legs decide where
    the body goes.
    """
    own = deepcopy(still)
    act(own, s, start, end, tempo, rng)
    both = s.side == "both" or s.action in ("clap", "punch")  # who punches keeps the other fist up
    sides = tuple(SIGN) if both else (s.side,)
    taken = {f"{side}_{part}" for side in sides for part in ARM}
    share = tl.window(start - FADE, end + FADE, FADE)
    leaning = sum(tl.channels[name] - still.channels[name] for name in ("pitch", "lean"))
    for name, channel in own.channels.items():
        if name in taken:
            tl.channels[name] += share * (channel - tl.channels[name])
        elif name not in LEGS:
            tl.channels[name] += channel - still.channels[name]
    for side in sides:
        tl.channels[f"{side}_flex"] += share * leaning  # what points up points up on a leaning trunk


def meet(body: tuple[float, float], arms: tuple[float, float], longest: float, rng) -> tuple[float, float]:
    """Seconds of what arms do once, moved to about the middle of what the body does once."""
    takes = arms[1] - arms[0]
    start = 0.5 * sum(body) + takes * (rng.uniform(-0.1, 0.1) - 0.5)
    start = min(max(start, 0.0), longest - takes)
    return start, start + takes
