"""From a program to the joints of a body that performs it."""

from copy import deepcopy

import numpy as np

from motion_lightning.data.programs import gait, gestures, leaps
from motion_lightning.data.programs.body import pose_body, rot_y
from motion_lightning.data.programs.program import CORE, FLIGHT, FPS, TEMPO, Program, Segment
from motion_lightning.data.programs.repeats import repeat, takes
from motion_lightning.data.programs.timeline import SIGN, Timeline
from motion_lightning.data.programs.together import lay_over, meet

PERFORM = {
    **{name: getattr(gait, name) for name in ("walk", "run", "sidestep", "turn", "march")},
    **{name: getattr(leaps, name) for name in ("jump", "hop")},
    **{name: getattr(gestures, name) for name in ("kick", "punch", "wave", "raise_arm", "throw", "clap")},
    **{name: getattr(gestures, name) for name in ("stretch", "bow", "squat", "sit_down", "stand_up")},
}
# Slow drift of a living body: standard deviation in radians and metres.
DRIFT = {
    "lean": 0.018, "side_lean": 0.014, "twist": 0.03, "head_yaw": 0.07, "head_pitch": 0.04, "sway": 0.008,
    "surge": 0.008, "roll": 0.008, "left_flex": 0.04, "right_flex": 0.04, "left_abduct": 0.025,
    "right_abduct": 0.025, "left_elbow": 0.06, "right_elbow": 0.06, "left_rotate": 0.06, "right_rotate": 0.06,
}  # fmt: skip


def perform(program: Program, rng: np.random.Generator, fps: float = FPS) -> np.ndarray:
    """Joints (T + 1, 22, 3) in metres, Y up, floor at 0, for a program of T frames (features need one more).

    Tempo within the speed's range, amplitudes, idle times and the person's style come from ``rng``.
    """
    tl = Timeline(program.frames + 1, fps)
    stand(tl, rng)
    if program.segments[0].action == "stand_up":
        gestures.sit_down(tl, program.segments[0], -3.0, -2.0, 1.0, rng)
    still = deepcopy(tl) if program.together else None
    for segment in program.segments[:1] if program.together else program.segments:
        during = schedule(segment, len(program.segments) == 1, rng)
        act(tl, segment, *during, rng)
    feet = tl.feet()
    swing_arms(tl, feet, rng.uniform(0.7, 1.2))
    if program.together:
        *seconds, tempo = schedule(program.segments[1], False, rng)
        if all(s.action in CORE for s in program.segments):
            seconds = meet(during[:2], seconds, program.frames / FPS, rng)
        lay_over(tl, still, act, program.segments[1], *seconds, tempo, rng)
    drift(tl, rng)
    return pose_body(tl.channels, feet)


def act(tl: Timeline, s: Segment, start: float, end: float, tempo: float, rng: np.random.Generator) -> None:
    """Performs a segment between two times, as often as it says."""
    action = PERFORM[s.action]
    if s.count and s.action in CORE:
        repeat(action, tl, s, start, end, tempo, rng)
    else:
        action(tl, s, start, end, tempo, rng)


def schedule(s: Segment, alone: bool, rng: np.random.Generator) -> tuple[float, float, float]:
    """Seconds between which an action happens inside its segment, and its tempo."""
    tempo = rng.uniform(*TEMPO[s.speed])
    start, end = s.start / FPS, s.end / FPS
    if s.action in CORE or s.count:
        seconds = takes(s, tempo) if s.count else CORE[s.action] / tempo + FLIGHT * (s.action == "jump")
        seconds = min(seconds, end - start)
        start = start + rng.uniform(0.0, 0.8) * (end - start - seconds)
        return start, start + seconds, tempo
    if alone:
        start += rng.uniform(0.0, 0.12) * (end - start)
        end -= rng.uniform(0.0, 0.08) * (end - start)
    return start, end, tempo


def stand(tl: Timeline, rng: np.random.Generator) -> None:
    """Where and how this person stands."""
    c = tl.channels
    width, toe_out, ahead = rng.uniform(0.08, 0.13), rng.uniform(0.02, 0.22), rng.uniform(-0.04, 0.04)
    for side, sign in SIGN.items():
        tl.prints[side] = tl.print_at(0.0, side, width, toe_out, sign * ahead)
        c[f"{side}_abduct"] += rng.uniform(-0.04, 0.1)
        c[f"{side}_elbow"] += rng.uniform(-0.15, 0.25)
        c[f"{side}_rotate"] += rng.uniform(-0.2, 0.25)
        c[f"{side}_flex"] += rng.uniform(-0.06, 0.08)
    stoop = rng.uniform(-0.03, 0.13)
    c["lean"] += stoop
    c["head_pitch"] += rng.uniform(-0.1, 0.1) - 0.3 * stoop
    c["twist"] += rng.normal(0, 0.03)
    tl.standing -= rng.uniform(0.002, 0.02)
    c["height"][:] = tl.standing


def swing_arms(tl: Timeline, feet: dict, gain: float) -> None:
    """Arms and chest move against the feet: the left arm comes forward with the right foot."""
    c = tl.channels
    forward = rot_y(c["yaw"])[:, :, 2]  # (T, 3)
    apart = ((feet["right"][0] - feet["left"][0]) * forward).sum(-1)
    kernel = np.hanning(5) / np.hanning(5).sum()
    apart = np.convolve(np.pad(apart - apart[0], 2, mode="edge"), kernel, mode="valid")
    apart = 0.8 * np.tanh(apart / 0.8)
    c["left_flex"] += gain * apart
    c["right_flex"] -= gain * apart
    c["twist"] -= 0.25 * gain * apart
    c["hip_yaw"] += 0.15 * apart


def drift(tl: Timeline, rng: np.random.Generator) -> None:
    """Adds slow small movements to all that is not planted."""
    names = list(DRIFT)
    rates = rng.uniform(0.15, 0.9, (len(names), 3, 1))
    phases = rng.uniform(0, 2 * np.pi, (len(names), 3, 1))
    waves = np.sin(2 * np.pi * rates * tl.t + phases).sum(1) * np.sqrt(2 / 3)
    for name, wave in zip(names, waves, strict=True):
        tl.channels[name] += DRIFT[name] * wave
