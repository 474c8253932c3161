"""Actions on the spot. Each gets the seconds between which it happens and does all of it in them."""

import numpy as np

from motion_lightning.data.programs.program import Segment
from motion_lightning.data.programs.timeline import OTHER, SIGN, Swing, Timeline


def kick(tl: Timeline, s: Segment, start: float, end: float, tempo: float, rng: np.random.Generator) -> None:
    """Draws the foot back, kicks forward with a stretched leg, and puts the foot back."""
    side, at = s.side, _clock(start, end)
    sign = SIGN[side]
    up, far = rng.uniform(0.5, 0.8), rng.uniform(0.72, 0.85)
    keys = [
        (0.05, 0.36, {"up": 0.2, "ahead": -0.28, "pitch": -0.7}),
        (0.30, 0.56, {"up": up, "ahead": far, "pitch": 0.5}),
        (0.56, 0.80, {"up": 0.2, "ahead": 0.12, "pitch": 0.0}),
        (0.74, 0.98, {"up": 0.0, "ahead": 0.0, "pitch": 0.0}),
    ]
    for begin, there, targets in keys:
        tl.reach(at(begin), at(there), **{f"{side}_{k}": v for k, v in targets.items()})
    tl.visit(at(0.0), at(0.28), at(0.72), at(1.0), sway=-sign * 0.085, **{f"{side}_free": 0.6})
    tl.visit(at(0.3), at(0.56), at(0.6), at(0.9), lean=-rng.uniform(0.12, 0.3), pitch=-0.15, hip_yaw=-sign * 0.2)
    arms = rng.uniform(0.25, 0.6)
    tl.visit(
        at(0.05),
        at(0.4),
        at(0.6),
        at(1.0),
        left_abduct=arms,
        right_abduct=arms,
        left_elbow=0.5,
        right_elbow=0.5,
    )


def punch(tl: Timeline, s: Segment, start: float, end: float, tempo: float, rng: np.random.Generator) -> None:
    """Raises both fists, strikes forward with one and pulls it back."""
    side, at = s.side, _clock(start, end)
    guard = {"flex": rng.uniform(0.35, 0.55), "abduct": 0.15, "elbow": rng.uniform(1.9, 2.2), "rotate": 0.3}
    strike = {"flex": rng.uniform(1.4, 1.6), "abduct": -0.05, "elbow": 0.12, "rotate": 0.3}
    home = _arm(tl, side, at(0.0), at(0.36), **guard)
    other = _arm(tl, OTHER[side], at(0.0), at(0.36), **guard)
    _arm(tl, side, at(0.32), at(0.58), **strike)
    _arm(tl, side, at(0.60), at(0.82), **guard)
    _back(tl, at(0.72), at(1.0), home, other)
    twist = rng.uniform(0.3, 0.5)
    tl.visit(at(0.1), at(0.34), at(0.34), at(0.54), twist=SIGN[side] * 0.25)
    tl.visit(
        at(0.32),
        at(0.56),
        at(0.6),
        at(0.85),
        twist=-SIGN[side] * twist,
        hip_yaw=-SIGN[side] * 0.2,
        lean=0.12,
        surge=0.06,
    )
    tl.visit(at(0.0), at(0.3), at(0.75), at(1.0), height=-0.05)


def wave(tl: Timeline, s: Segment, start: float, end: float, tempo: float, rng: np.random.Generator) -> None:
    """Lifts a hand beside the head and waves it from side to side."""
    up = 0.42 / np.sqrt(tempo)
    abduct, rotate = rng.uniform(1.15, 1.5), -rng.uniform(1.2, 1.5)
    home = _arm(tl, s.side, start, start + up, flex=0.15, abduct=abduct, rotate=rotate, elbow=rng.uniform(1.55, 1.8))
    _back(tl, end - up, end, home)
    rate = 1.5 * tempo * rng.uniform(0.97, 1.03)
    amount = rng.uniform(0.4, 0.55)
    tl.oscillate(
        start + 0.6 * up,
        end - 0.6 * up,
        rate,
        fade=min(0.25, 0.4 / rate),
        **{f"{s.side}_elbow": amount, f"{s.side}_abduct": 0.08},
    )
    tl.visit(start, start + up, end - up, end, side_lean=-SIGN[s.side] * -0.05, **{f"{s.side}_shrug": 0.2})


def raise_arm(tl: Timeline, s: Segment, start: float, end: float, tempo: float, rng: np.random.Generator) -> None:
    """Lifts a stretched arm (or both) overhead, in front or at the side, and lowers it again."""
    at, sides = _clock(start, end), SIGN if s.side == "both" else (s.side,)
    height = rng.uniform(2.75, 3.0)
    overhead = {"flex": 0.1, "abduct": height, "rotate": 0.0, "elbow": 0.15}
    if rng.random() < 0.6:
        overhead = {"flex": height, "abduct": rng.uniform(0.05, 0.2), "rotate": 0.1, "elbow": 0.15}
    for side in sides:
        late = rng.uniform(0.0, 0.03)
        home = _arm(tl, side, at(late), at(0.42 + late), **overhead)
        tl.move(f"{side}_shrug", at(0.15), at(0.45), 0.35)
        tl.move(f"{side}_shrug", at(0.58), at(0.9), -0.35)
        _back(tl, at(0.58 - late), at(1.0 - late), home)
    tl.visit(at(0.1), at(0.4), at(0.6), at(0.9), head_pitch=-rng.uniform(0.0, 0.3))


def throw(tl: Timeline, s: Segment, start: float, end: float, tempo: float, rng: np.random.Generator) -> None:
    """Takes a hand back behind the head, throws overarm and follows through, mostly with a step."""
    side, at, sign = s.side, _clock(start, end), SIGN[s.side]
    cocked = {
        "flex": -0.1,
        "abduct": rng.uniform(1.4, 1.7),
        "rotate": -rng.uniform(1.5, 1.8),
        "elbow": rng.uniform(1.7, 2.0),
    }
    home = _arm(tl, side, at(0.0), at(0.40), **cocked)
    _arm(tl, side, at(0.36), at(0.60), flex=1.75, abduct=0.35, rotate=-0.6, elbow=0.25)
    _arm(tl, side, at(0.54), at(0.76), flex=0.7, abduct=-0.25, rotate=0.3, elbow=0.35)
    _back(tl, at(0.72), at(1.0), home)
    other = _arm(tl, OTHER[side], at(0.05), at(0.40), flex=rng.uniform(0.7, 1.2), abduct=0.3, elbow=0.5)
    _back(tl, at(0.42), at(0.72), other)
    twist = rng.uniform(0.4, 0.6)
    tl.visit(at(0.0), at(0.38), at(0.36), at(0.6), twist=sign * twist, hip_yaw=sign * 0.25, lean=-0.15, surge=-0.05)
    tl.visit(
        at(0.36),
        at(0.62),
        at(0.68),
        at(1.0),
        twist=-sign * 0.45,
        hip_yaw=-sign * 0.2,
        lean=rng.uniform(0.2, 0.35),
    )
    if rng.random() < 0.7 and not s.count:  # step after step would leave a foot behind
        far = rng.uniform(0.15, 0.3)
        _, _, yaw = tl.ground(start)
        tl.move("x", at(0.25), at(0.6), 0.5 * far * np.sin(yaw))
        tl.move("z", at(0.25), at(0.6), 0.5 * far * np.cos(yaw))
        spot = tl.print_at(tl.t[-1], OTHER[side], 0.1, 0.1, ahead=0.5 * far)
        tl.step(OTHER[side], Swing(at(0.22), at(0.50), spot, lift=0.1, heel=0.3, toe=0.15))


def clap(tl: Timeline, s: Segment, start: float, end: float, tempo: float, rng: np.random.Generator) -> None:
    """Brings the hands together before the chest, again and again."""
    up = 0.42 / np.sqrt(tempo)
    flex, elbow = rng.uniform(0.5, 0.75), rng.uniform(1.3, 1.6)
    apart = rng.uniform(0.3, 0.42)
    still = 0.76 - (2 * apart if s.count else apart)  # apart, so that the hands do not meet before the first clap
    homes = [_arm(tl, side, start, start + up, flex=flex, abduct=0.12, elbow=elbow, rotate=still) for side in SIGN]
    _back(tl, end - up, end, *homes)
    rate = 2.0 * tempo * rng.uniform(0.97, 1.03)
    if s.count:
        clap_times(tl, s.count, start + 0.8 * up, end - 0.8 * up, apart, rng)
        return
    tl.oscillate(
        start + 0.8 * up,
        end - 0.8 * up,
        rate,
        -np.pi / 2,
        min(0.2, 0.4 / rate),
        left_rotate=apart,
        right_rotate=apart,
    )


def clap_times(tl: Timeline, count: int, start: float, end: float, apart: float, rng: np.random.Generator) -> None:
    """Lets raised hands meet ``count`` times, not quite evenly."""
    edges = start + (end - start) * np.cumsum([0.0, *rng.dirichlet(np.full(count, 120.0))])
    phase = np.interp(tl.t, edges, 2 * np.pi * np.arange(count + 1)) - np.pi / 2
    for side in SIGN:
        tl.channels[f"{side}_rotate"] += apart * (1 + np.sin(phase))


def stretch(tl: Timeline, s: Segment, start: float, end: float, tempo: float, rng: np.random.Generator) -> None:
    """Joins the hands overhead and leans to one side, perhaps then to the other."""
    at = _clock(start, end)
    way = 1.0 if rng.random() < 0.5 else -1.0
    for side in SIGN:
        home = _arm(tl, side, at(0.0), at(0.3), flex=2.95, abduct=-0.2, rotate=0.5, elbow=0.4)
        _back(tl, at(0.72), at(1.0), home)
        tl.visit(at(0.1), at(0.35), at(0.7), at(0.95), **{f"{side}_shrug": 0.4})
    lean = rng.uniform(0.4, 0.6)
    if rng.random() < 0.5:
        tl.visit(at(0.2), at(0.45), at(0.58), at(0.84), side_lean=way * lean, roll=way * 0.12, sway=way * 0.05)
    else:
        tl.visit(at(0.18), at(0.38), at(0.40), at(0.64), side_lean=way * lean, roll=way * 0.1, sway=way * 0.05)
        tl.visit(at(0.40), at(0.64), at(0.66), at(0.90), side_lean=-way * lean, roll=-way * 0.1, sway=-way * 0.05)
    tl.visit(at(0.1), at(0.4), at(0.6), at(0.9), head_pitch=-0.15)


def bow(tl: Timeline, s: Segment, start: float, end: float, tempo: float, rng: np.random.Generator) -> None:
    """Bends forward from the hips with straight legs and comes up again."""
    at = _clock(start, end)
    pitch, lean = rng.uniform(0.5, 0.75), rng.uniform(0.35, 0.6)
    down, up = rng.uniform(0.4, 0.46), rng.uniform(0.54, 0.6)
    tl.visit(at(0.0), at(down), at(up), at(1.0), pitch=pitch, lean=lean, head_pitch=0.2, surge=-0.11)
    for side in SIGN:
        hang = rng.uniform(0.2, 0.9) * (pitch + lean)
        tl.visit(at(0.02), at(down), at(up), at(0.98), **{f"{side}_flex": hang})


def squat(tl: Timeline, s: Segment, start: float, end: float, tempo: float, rng: np.random.Generator) -> None:
    """Goes down on bent knees and comes up again."""
    at = _clock(start, end)
    deep = rng.uniform(0.36, 0.52)
    down, up = rng.uniform(0.4, 0.46), rng.uniform(0.54, 0.6)
    tl.visit(
        at(0.0),
        at(down),
        at(up),
        at(1.0),
        height=-deep,
        pitch=0.35,
        lean=0.3,
        surge=-0.1,
        knees_out=0.3,
        head_pitch=-0.3,
    )
    arms = rng.uniform(0.9, 1.4)
    for side in SIGN:
        tl.visit(
            at(0.0),
            at(down),
            at(up),
            at(1.0),
            **{f"{side}_flex": arms, f"{side}_rotate": rng.uniform(-0.2, 0.4)},
        )


SEAT = {"surge": -0.40, **{f"{s}_flex": 0.35 for s in SIGN}, **{f"{s}_elbow": 0.3 for s in SIGN}}


def sit_down(tl: Timeline, s: Segment, start: float, end: float, tempo: float, rng: np.random.Generator) -> None:
    """Sits down on a chair that is not there, and stays."""
    at = _clock(start, end)
    tl.visit(at(0.0), at(0.5), at(0.55), at(1.0), pitch=0.3, lean=rng.uniform(0.25, 0.45), head_pitch=-0.2)
    tl.move("height", at(0.08), at(0.95), -rng.uniform(0.34, 0.42))
    for channel, amount in SEAT.items():
        tl.move(channel, at(0.05), at(0.9), amount)


def stand_up(tl: Timeline, s: Segment, start: float, end: float, tempo: float, rng: np.random.Generator) -> None:
    """Gets up from the seat that the body is on."""
    at = _clock(start, end)
    tl.visit(at(0.0), at(0.4), at(0.5), at(1.0), pitch=0.35, lean=rng.uniform(0.3, 0.5), head_pitch=-0.2)
    tl.move("height", at(0.18), at(1.0), tl.standing - tl.channels["height"][-1])
    for channel, amount in SEAT.items():
        tl.move(channel, at(0.15), at(0.95), -amount)


def _clock(start: float, end: float):
    return lambda share: start + share * (end - start)


def _arm(tl: Timeline, side: str, start: float, end: float, **angles: float) -> dict[str, float]:
    """Takes one arm to a pose; returns the pose that it had."""
    return tl.reach(start, end, **{f"{side}_{name}": angle for name, angle in angles.items()})


def _back(tl: Timeline, start: float, end: float, *homes: dict[str, float]) -> None:
    for home in homes:
        tl.reach(start, end, **home)
