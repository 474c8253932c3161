"""Actions that leave the ground: a jump on both legs, hops on one."""

import numpy as np

from motion_lightning.data.programs.gait import course
from motion_lightning.data.programs.program import CORE, FLIGHT, Segment
from motion_lightning.data.programs.timeline import OTHER, SIGN, Swing, Timeline, bump

GRAVITY = 9.81


def jump(tl: Timeline, s: Segment, start: float, end: float, tempo: float, rng: np.random.Generator) -> None:
    """Crouches, flies and lands; up, forward or backward."""
    scale = min(1.0, (end - start - FLIGHT) / (CORE["jump"] / tempo))
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
    tl.channels["height"] += _course(tl.t, times, heights, speeds) - heights[0]
    take_off, touch = times[2], times[3]
    if s.direction != "up":
        far = rng.uniform(0.45, 0.7) if s.direction == "forward" else -rng.uniform(0.32, 0.5)
        yaw = tl.ground(start)[2]
        tl.move("x", times[1], touch + 0.12, far * np.sin(yaw))
        tl.move("z", times[1], touch + 0.12, far * np.cos(yaw))
    tuck = rng.uniform(0.02, 0.08)
    for side in SIGN:
        spot = tl.print_at(tl.t[-1], side, rng.uniform(0.1, 0.13), 0.12)
        how = {"heel": 0.7, "toe": -0.15, "early": 1.5, "roll": 0.6 * push}
        tl.step(side, Swing(take_off, touch, spot, lift=rise_height + tuck, **how))
        tl.channels[f"{side}_free"] += 0.5 * bump((tl.t - take_off) / flight, 1.0, 1.0)
        tl.visit(start, times[1], times[1], take_off, **{f"{side}_flex": -0.9, f"{side}_abduct": 0.1})
        tl.visit(times[1], take_off + 0.1, touch, times[5], **{f"{side}_flex": rng.uniform(0.9, 2.2)})
    tl.visit(start, times[1], times[1], take_off, lean=0.35, pitch=0.35, head_pitch=-0.3, surge=-0.06)
    tl.visit(touch - 0.1, times[4], times[4], times[5], lean=0.25, pitch=0.25, head_pitch=-0.2, surge=-0.04)


def _course(t: np.ndarray, times, heights, speeds) -> np.ndarray:
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
    count = s.count or max(2, int((end - start - shift - settle - 0.1) / period + 0.15))
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
    place, leave, down = tl.print_at(tl.t[-1], free, 0.09, 0.1), stop - 0.1, stop + settle
    tl.step(free, Swing(start + 0.1, down, place, lift=0.0, carried=True))
    held = {"up": rng.uniform(0.22, 0.35), "ahead": -rng.uniform(0.1, 0.25), "pitch": -0.6}
    tl.visit(start + 0.08, begin + 0.12, leave, down, **{f"{free}_{k}": v for k, v in held.items()})
    tl.channels[f"{free}_free"] += tl.window(start + 0.05, down, 0.2)
    sign = SIGN[hopping]
    tl.visit(start, begin + 0.05, leave, down, sway=sign * (side_shift - 0.01), roll=sign * 0.06)
    wave = -np.cos(2 * np.pi * (tl.t - begin - 0.5 * (1 - air) * period) / period)
    window = tl.window(begin - 0.1, stop + 0.15, 0.2)
    tl.channels["height"] += window * ((0.5 * rise + 0.02) * wave + 0.5 * rise - 0.05)
    spread = rng.uniform(0.25, 0.6)
    arms = {f"{side}_abduct": spread for side in SIGN} | {f"{side}_elbow": 0.4 for side in SIGN}
    tl.visit(start, begin + 0.1, leave, down, lean=0.1, **arms)
