"""Actions on the move: steps are planned along a course, and a planted foot stays where it is."""

import numpy as np

from motion_lightning.data.programs.program import Segment
from motion_lightning.data.programs.timeline import OTHER, SIGN, Swing, Timeline, bump, ease


def course(tl: Timeline, start: float, end: float, velocity: tuple[float, float], fade: float, bend=None) -> np.ndarray:
    """Moves the ground frame with (forward, leftward) m/s, fading in and out; returns the fade (T,).

    ``bend(u)`` gives the yaw that is added after the share u of the way.
    """
    c, dt = tl.channels, 1.0 / tl.fps
    pace = tl.window(start, end, fade)
    way = np.cumsum(pace) * dt
    if bend is not None:
        c["yaw"] += bend((way - 0.5 * pace * dt) / max(way[-1], 1e-6))
    forward, leftward = velocity
    c["x"] += np.cumsum(pace * dt * (forward * np.sin(c["yaw"]) + leftward * np.cos(c["yaw"])))
    c["z"] += np.cumsum(pace * dt * (forward * np.cos(c["yaw"]) - leftward * np.sin(c["yaw"])))
    return pace


def steps(tl: Timeline, first: str, lifts: list[float], swing: float, half_width: float, **how) -> None:
    """Alternating steps that leave at ``lifts`` and take ``swing`` seconds.

    A print is ``behind`` metres from where the body will be in the middle of its stance, so that the body
    passes over the planted foot; the last two stand where the body stops.
    """
    toe_out, behind = how.pop("toe_out", 0.1), how.pop("behind", 0.0)
    side = first
    for k, lift_off in enumerate(lifts):
        landing, place = lift_off + swing, tl.print_at(tl.t[-1], side, half_width, toe_out)
        if k + 2 < len(lifts):
            place = tl.print_at(0.5 * (landing + lifts[k + 2]), side, half_width, toe_out, -behind)
        tl.step(side, Swing(lift_off, landing, place, **how))
        side = OTHER[side]


def lift_times(start: float, end: float, half: float, swing: float) -> list[float]:
    """When feet leave the ground, every ``half`` seconds, so that all have landed by ``end``."""
    count = max(2, int((end - start - swing) / half + 1e-6) + 1)
    return [start + k * half for k in range(count)]


def walk(tl: Timeline, s: Segment, start: float, end: float, tempo: float, rng: np.random.Generator) -> None:
    """Walks forward or backward on a straight, round or bent course."""
    backward = s.direction == "backward"
    speed = tempo * (0.85 if backward else 1.12) * rng.uniform(0.96, 1.04)
    cadence = (2.1 if backward else 1.9) * tempo**0.6 * rng.uniform(0.95, 1.05)
    half, swing = 1 / cadence, 0.76 / cadence
    lifts = lift_times(start + 0.12, end - 0.12, half, swing)
    stop = lifts[-1] + swing
    begin = lifts[0] - 0.05
    bend = bending(s, speed * (stop - begin - 0.5), speed, rng)
    pace = course(tl, begin, stop, (-speed if backward else speed, 0.0), 0.5, bend)
    lift, heel, toe = rng.uniform(0.06, 0.1), rng.uniform(0.4, 0.55) + 0.15 * tempo, rng.uniform(0.15, 0.3)
    if backward:
        heel, toe = 0.1, -0.45  # the toes touch first
    first = "left" if rng.random() < 0.5 else "right"
    behind = 0.0 if backward else 0.06 * tempo
    how = {"lift": lift, "heel": heel, "toe": toe, "roll": 0.65 * half, "behind": behind}
    steps(tl, first, lifts, swing, rng.uniform(0.07, 0.11), **how)
    tl.channels["height"] -= 0.03 * pace
    tl.channels["lean"] += pace * (rng.uniform(0.0, 0.06) + 0.03 * tempo) * (-0.4 if backward else 1.0)
    sway_with_steps(tl, lifts, swing, first, 0.025)
    lean_into_turns(tl, 0.06)


def run(tl: Timeline, s: Segment, start: float, end: float, tempo: float, rng: np.random.Generator) -> None:
    """Runs: shorter stances than swings, so that both feet are in the air between steps."""
    speed = 2.75 * tempo * rng.uniform(0.97, 1.03)
    cadence = 2.65 * tempo**0.35 * rng.uniform(0.96, 1.04)
    half, duty = 1 / cadence, np.interp(tempo, [0.6, 1.6], [0.37, 0.3])
    swing = 2 * half * (1 - duty)
    lifts = lift_times(start + 0.15, end - 0.1, half, swing)
    stop = lifts[-1] + swing
    begin = lifts[0] - 0.05  # the foot that pushes off last must not be left behind
    fade = min(0.7, 0.45 * (stop - begin))
    pace = course(tl, begin, stop, (speed, 0.0), fade, bending(s, speed * (stop - begin - fade), speed, rng))
    first = "left" if rng.random() < 0.5 else "right"
    lift = rng.uniform(0.2, 0.26) + 0.08 * tempo
    how = {"lift": lift, "heel": 0.8, "toe": 0.1, "early": 2.0, "roll": 0.15, "behind": 0.07 * tempo}
    steps(tl, first, lifts, swing, 0.06, toe_out=0.05, **how)
    c, flight = tl.channels, swing - half
    bounce = np.cos(2 * np.pi * (tl.t - lifts[0] - flight / 2) / half)
    c["height"] += pace * (rng.uniform(0.03, 0.045) * bounce - 0.075)
    c["lean"] += pace * (0.06 + 0.06 * tempo)
    c["pitch"] += pace * 0.07
    bend = rng.uniform(1.1, 1.45)
    for side in SIGN:
        c[f"{side}_elbow"] += pace * bend
        c[f"{side}_flex"] += pace * 0.05
        c[f"{side}_rotate"] += pace * 0.15
    free_while_swinging(tl, lifts, swing, first, 0.5)
    lean_into_turns(tl, 0.05)


def bending(s: Segment, way: float, speed: float, rng: np.random.Generator):
    """Yaw over the share of ``way`` metres; None for a straight course.

    A circle is as wide as the speed asks for, and goes as far round as the way allows.
    """
    if s.path == "circle":
        radius = max(0.5, speed**2 / 7) * rng.uniform(1.0, 1.3)
        total = SIGN[s.turn] * np.clip(way / radius, 3.3, 6.1)
        return lambda u: total * u
    if s.path == "turn":
        total, middle = SIGN[s.turn] * rng.uniform(1.25, 1.75), rng.uniform(0.48, 0.56)
        return lambda u: total * ease((u - middle + 0.17) / 0.34)
    return None


def march(tl: Timeline, s: Segment, start: float, end: float, tempo: float, rng: np.random.Generator) -> None:
    """Marches on the spot with high knees."""
    half = 1 / (1.75 * tempo * rng.uniform(0.97, 1.03))
    swing = 0.85 * half
    lifts = lift_times(start + 0.15, end - 0.1, half, swing)
    first = "left" if rng.random() < 0.5 else "right"
    lift = rng.uniform(0.28, 0.36)
    steps(tl, first, lifts, swing, 0.09, lift=lift, ahead=0.9 * lift, heel=0.35, roll=0.08)
    sway_with_steps(tl, lifts, swing, first, 0.035 / tempo)
    bend = rng.uniform(0.3, 0.9)
    pace = tl.window(start, lifts[-1] + swing, 0.3)
    for side in SIGN:
        tl.channels[f"{side}_elbow"] += bend * pace


def sidestep(tl: Timeline, s: Segment, start: float, end: float, tempo: float, rng: np.random.Generator) -> None:
    """Steps to a side and closes, facing forward; the foot on that side leads."""
    speed = SIGN[s.direction] * 0.46 * tempo * rng.uniform(0.96, 1.04)
    half = 1 / (2.0 * np.sqrt(tempo) * rng.uniform(0.96, 1.04))
    swing = 0.8 * half
    count = max(4, len(lift_times(start + 0.1, end - 0.1, half, swing)) // 2 * 2)
    half = min(half, (end - start - 0.2 - swing) / (count - 1))
    lifts = [start + 0.1 + k * half for k in range(count)]
    stop = lifts[-1] + swing
    course(tl, start, stop, (0.0, speed), 0.35)
    tl.channels["height"] -= 0.03 * tl.window(start, stop, 0.4)
    steps(tl, s.direction, lifts, swing, rng.uniform(0.12, 0.15), lift=rng.uniform(0.05, 0.09), heel=0.15)


def turn(tl: Timeline, s: Segment, start: float, end: float, tempo: float, rng: np.random.Generator) -> None:
    """Turns on the spot with small steps."""
    rate = 1.6 * tempo * rng.uniform(0.97, 1.03)
    fade = 0.3
    angle = np.clip(rate * (end - start - fade - 0.1), 0.9, rng.uniform(2.6, 3.6))
    stop = start + angle / rate + fade
    half = 1 / (2.1 * np.sqrt(tempo))
    swing = 0.75 * half
    lifts = lift_times(start + 0.08, max(stop + 0.05, start + 0.2 + half + swing), half, swing)
    pace = tl.window(start, stop, fade)
    way = np.cumsum(pace)
    tl.channels["yaw"] += SIGN[s.direction] * angle * way / way[-1]
    steps(tl, s.direction, lifts, swing, rng.uniform(0.08, 0.11), lift=rng.uniform(0.04, 0.08), heel=0.2)
    tl.visit(start - 0.05, start + 0.25, stop - 0.2, stop + 0.1, head_yaw=SIGN[s.direction] * 0.35)


def sway_with_steps(tl: Timeline, lifts: list[float], swing: float, first: str, amount: float) -> None:
    """Leans the pelvis over the standing foot."""
    side = first
    for lift_off in lifts:
        tl.channels["sway"] -= SIGN[side] * amount * bump((tl.t - lift_off + 0.1) / (swing + 0.2))
        tl.channels["roll"] -= SIGN[side] * amount * bump((tl.t - lift_off + 0.1) / (swing + 0.2))
        side = OTHER[side]


def free_while_swinging(tl: Timeline, lifts: list[float], swing: float, first: str, amount: float) -> None:
    """Lets the pelvis rise above what the swinging leg could reach; the foot follows."""
    side = first
    for lift_off in lifts:
        tl.channels[f"{side}_free"] += amount * bump((tl.t - lift_off) / swing, 1.0, 1.0)
        side = OTHER[side]


def lean_into_turns(tl: Timeline, gain: float) -> None:
    """Tilts the trunk towards the inside of a bend."""
    rate = np.gradient(tl.channels["yaw"], 1 / tl.fps)
    kernel = np.hanning(9) / np.hanning(9).sum()
    tl.channels["side_lean"] -= gain * np.convolve(np.pad(rate, 4, mode="edge"), kernel, mode="valid")
