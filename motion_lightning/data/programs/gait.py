"""Actions on the move: steps are planned along a course, and a planted foot stays where it is."""

import numpy as np

from motion_lightning.data.programs.program import Segment
from motion_lightning.data.programs.timeline import OTHER, SIGN, Swing, Timeline, bump, ease

GRAVITY = 9.81


def course(
    tl: Timeline, start: float, end: float, velocity: tuple[float, float], fade: float, bend=None
) -> np.ndarray:
    """Moves the ground frame with (forward, leftward) m/s, fading in and out; returns the fade (T,).

    ``bend(u)`` gives the yaw that is added after the share u of the way.
    """
    c, dt = tl.channels, 1.0 / tl.fps
    pace = tl.window(start, end, fade)
    way = np.cumsum(pace) * dt
    share = (way - 0.5 * pace * dt) / max(way[-1], 1e-6)
    before = c["yaw"].copy()
    if bend is not None:
        c["yaw"] += bend(share)
    yaw = 0.5 * (c["yaw"] + before) if bend is None else c["yaw"]
    forward, leftward = velocity
    dx = pace * dt * (forward * np.sin(yaw) + leftward * np.cos(yaw))
    dz = pace * dt * (forward * np.cos(yaw) - leftward * np.sin(yaw))
    c["x"] += np.cumsum(dx)
    c["z"] += np.cumsum(dz)
    return pace


def steps(tl: Timeline, first: str, lifts: list[float], swing: float, half_width: float, **how) -> None:
    """Alternating steps that leave at ``lifts`` and take ``swing`` seconds.

    A print is ``behind`` metres from where the body will be in the middle of its stance, so that the body
    passes over the planted foot; the last two stand where the body stops.
    """
    toe_out, behind = how.pop("toe_out", 0.1), how.pop("behind", 0.0)
    side = first
    for k, lift_off in enumerate(lifts):
        landing = lift_off + swing
        following = lifts[k + 2] if k + 2 < len(lifts) else tl.t[-1] + 9.0
        middle = 0.5 * (landing + following) if k + 2 < len(lifts) else tl.t[-1]
        spot = tl.print_at(middle, side, half_width, toe_out, -behind if k + 2 < len(lifts) else 0.0)
        tl.step(side, Swing(lift_off, landing, spot, **how))
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
    steps(
        tl,
        first,
        lifts,
        swing,
        rng.uniform(0.07, 0.11),
        lift=lift,
        heel=heel,
        toe=toe,
        roll=0.65 * half,
        behind=0.0 if backward else 0.06 * tempo,
    )
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
    steps(
        tl,
        first,
        lifts,
        swing,
        0.06,
        lift=lift,
        heel=0.8,
        toe=0.1,
        early=2.0,
        roll=0.15,
        toe_out=0.05,
        behind=0.07 * tempo,
    )
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


def sidestep(
    tl: Timeline, s: Segment, start: float, end: float, tempo: float, rng: np.random.Generator
) -> None:
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


def jump(tl: Timeline, s: Segment, start: float, end: float, tempo: float, rng: np.random.Generator) -> None:
    """Crouches, flies and lands; up, forward or backward."""
    scale = min(1.0, (end - start - 0.42) / (1.1 / tempo))
    down, push, land, rise = scale / tempo * np.array([0.42, 0.19, 0.16, 0.33])
    push, land = max(push, 0.13), max(land, 0.12)
    rise_height = rng.uniform(0.17, 0.24) if s.direction != "up" else rng.uniform(0.2, 0.28)
    flight = np.sqrt(8 * rise_height / GRAVITY)
    launch = GRAVITY * flight / 2
    base = tl.standing
    deep, off = base - rng.uniform(0.2, 0.3), base + 0.03
    times = start + np.cumsum([0.0, down, push, flight, land, rise])
    heights = [base, deep, off, off, base - rng.uniform(0.14, 0.22), base]
    speeds = [0.0, 0.0, launch, -launch, 0.0, 0.0]
    tl.channels["height"] += jump_course(tl.t, times, heights, speeds) - heights[0]
    take_off, touch = times[2], times[3]
    if s.direction != "up":
        far = rng.uniform(0.45, 0.7) if s.direction == "forward" else -rng.uniform(0.32, 0.5)
        yaw = tl.ground(start)[2]
        tl.move("x", times[1], touch + 0.12, far * np.sin(yaw))
        tl.move("z", times[1], touch + 0.12, far * np.cos(yaw))
    tuck = rng.uniform(0.02, 0.08)
    for side in SIGN:
        spot = tl.print_at(tl.t[-1], side, rng.uniform(0.1, 0.13), 0.12)
        tl.step(
            side,
            Swing(
                take_off,
                touch,
                spot,
                lift=rise_height + tuck,
                heel=0.7,
                toe=-0.15,
                early=1.5,
                roll=0.6 * push,
            ),
        )
        tl.channels[f"{side}_free"] += 0.5 * bump((tl.t - take_off) / flight, 1.0, 1.0)
        tl.visit(start, times[1], times[1], take_off, **{f"{side}_flex": -0.9, f"{side}_abduct": 0.1})
        tl.visit(times[1], take_off + 0.1, touch, times[5], **{f"{side}_flex": rng.uniform(0.9, 2.2)})
    tl.visit(start, times[1], times[1], take_off, lean=0.35, pitch=0.35, head_pitch=-0.3, surge=-0.06)
    tl.visit(touch - 0.1, times[4], times[4], times[5], lean=0.25, pitch=0.25, head_pitch=-0.2, surge=-0.04)


def jump_course(t: np.ndarray, times, heights, speeds) -> np.ndarray:
    """Cubic Hermite course through (times, heights, speeds); the flight's piece is a parabola."""
    out = np.full(t.shape, float(heights[0]))
    for i in range(len(times) - 1):
        span = times[i + 1] - times[i]
        u = np.clip((t - times[i]) / span, 0.0, 1.0)
        h00, h10 = 2 * u**3 - 3 * u**2 + 1, u**3 - 2 * u**2 + u
        h01, h11 = -2 * u**3 + 3 * u**2, u**3 - u**2
        piece = heights[i] * h00 + heights[i + 1] * h01 + span * (speeds[i] * h10 + speeds[i + 1] * h11)
        out = np.where(t >= times[i], piece, out)
    return out


def hop(tl: Timeline, s: Segment, start: float, end: float, tempo: float, rng: np.random.Generator) -> None:
    """Hops forward on one leg; the other foot is held behind."""
    hopping, free = s.side, OTHER[s.side]
    period = 1 / (1.85 * tempo)
    shift, settle = 0.3, 0.3
    count = max(2, int((end - start - shift - settle - 0.1) / period + 0.15))
    period = min(period, (end - start - shift - settle) / count)
    begin = start + shift
    stop = begin + count * period
    speed = rng.uniform(0.6, 0.8) * tempo**0.7
    course(tl, begin, stop, (speed, 0.0), min(0.25, period))
    air = 0.5 if period < 0.6 else 0.42
    rise = float(np.clip(GRAVITY / 8 * (air * period) ** 2 + 0.02, 0.075, 0.16))
    side_shift = 0.085
    for k in range(count):
        off = begin + (k + 1 - air) * period
        touch = off + air * period
        stance = min(touch + 0.5 * (1 - air) * period, stop) if k + 1 < count else tl.t[-1]
        spot = tl.print_at(stance, hopping, side_shift, 0.05)
        tl.step(hopping, Swing(off, touch, spot, lift=rise, heel=0.5, early=2.0, roll=0.08))
        tl.channels[f"{hopping}_free"] += 0.4 * bump((tl.t - off) / (touch - off), 1.0, 1.0)
    tl.step(
        free,
        Swing(start + 0.1, stop + settle, tl.print_at(tl.t[-1], free, 0.09, 0.1), lift=0.0, carried=True),
    )
    up, back = rng.uniform(0.22, 0.35), -rng.uniform(0.1, 0.25)
    leave = stop - 0.1
    tl.visit(
        start + 0.08,
        begin + 0.12,
        leave,
        stop + settle,
        **{f"{free}_up": up, f"{free}_ahead": back, f"{free}_pitch": -0.6},
    )
    tl.channels[f"{free}_free"] += 1.0 * tl.window(start + 0.05, stop + settle, 0.2)
    tl.visit(
        start,
        begin + 0.05,
        leave,
        stop + settle,
        sway=SIGN[hopping] * (side_shift - 0.01),
        roll=SIGN[hopping] * 0.06,
    )
    wave = -np.cos(2 * np.pi * (tl.t - begin - 0.5 * (1 - air) * period) / period)
    window = tl.window(begin - 0.1, stop + 0.15, 0.2)
    tl.channels["height"] += window * ((0.5 * rise + 0.02) * wave + 0.5 * rise - 0.05)
    arms = rng.uniform(0.25, 0.6)
    tl.visit(
        start,
        begin + 0.1,
        leave,
        stop + settle,
        lean=0.1,
        left_abduct=arms,
        right_abduct=arms,
        left_elbow=0.4,
        right_elbow=0.4,
    )


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
