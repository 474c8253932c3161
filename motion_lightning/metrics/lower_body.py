"""Rules for what legs and trunk do: each finds the events of some actions and measures their tempo."""

from itertools import pairwise

import numpy as np

from motion_lightning.metrics.event import Event, tempo_of
from motion_lightning.metrics.signals import OTHER, SIDES, Signals, clusters, runs, smooth, span

LOW = 0.76  # metres of the pelvis that nobody goes below while walking
STANDS = 0.95  # and of one who stands upright


def hops(s: Signals) -> list[Event]:
    """One foot stays up while the body gets on and the other leaves the ground and lands."""
    out = []
    for free in SIDES:
        side = OTHER[free]
        for a, b in runs(s.lift[free] > 0.08, longest_gap=2):
            inside = [
                (i, j) for i, j in runs(s.lift[side] > 0.012) if i > a and j < b and s.lift[side][i:j].max() > 0.022
            ]
            if b - a < 0.6 * s.fps or not inside or s.velocity[a:b, 1].mean() < 0.1:
                continue
            tops = [i + int(s.lift[side][i:j].argmax()) for i, j in inside]
            rate = s.fps / np.mean(np.diff(tops)) if len(tops) > 1 else 0.8
            event = Event("hop", a, b, side=side, direction="forward", tempo=rate / 1.85, count=len(tops))
            out.append(event)
    return out


def jumps(s: Signals) -> list[Event]:
    """Both feet leave the ground together and land together."""
    out, landed = [], 0
    lowest = np.minimum(*s.lift.values())
    for a, b in runs(lowest > 0.03):
        top = a + int(lowest[a:b].argmax())
        swings = [next(r for r in runs(s.lift[side] > 0.03) if r[0] <= top < r[1]) for side in SIDES]
        apart = max(abs(left - right) for left, right in zip(*swings, strict=True))
        if lowest[top] < 0.08 or apart > 0.16 * s.fps or b - a < 0.15 * s.fps:
            continue
        deep = max(a - 1, 0)
        while deep > 0 and s.height[deep - 1] < s.height[deep]:
            deep -= 1
        stands = max(s.height[max(deep - int(1.2 * s.fps), landed) : deep + 1].max(initial=0.9), 0.9)
        start, _ = span(stands - s.height, deep, 0.5 * (stands - s.height[deep]))
        start, landed = min(start, float(a)), b
        step = sum(s.ankle[side][min(b, s.frames - 1)] - s.ankle[side][max(a - 1, 0)] for side in SIDES) / 2
        far = step[0] * np.sin(s.heading[a]) + step[2] * np.cos(s.heading[a])
        direction = "up" if abs(far) < 0.2 else "forward" if far > 0 else "backward"
        end = min(b + int(0.5 * s.fps), s.frames)
        tempo = tempo_of(0.415, start, a, s.fps)
        out.append(Event("jump", int(start) - 3, end, direction=direction, tempo=tempo))
    return out


def kicks(s: Signals) -> list[Event]:
    """One foot goes up and far ahead of a standing body."""
    out = []
    for side in SIDES:
        for a, b in runs(s.lift[side] > 0.04, longest_gap=1):
            reach = np.where(s.lift[side][a:b] > 0.2, s.ahead[side][a:b], 0.0).max()
            still = np.linalg.norm(s.velocity[a:b], axis=-1).mean() < 0.6
            planted = np.median(s.lift[OTHER[side]][a:b]) < 0.04
            if reach > 0.42 and still and planted:
                start, end = span(s.lift[side], a + int(s.lift[side][a:b].argmax()), 0.04)
                out.append(Event("kick", a, b, side=side, tempo=tempo_of(0.85, start, end, s.fps)))
    return out


def marches(s: Signals, taken: list[Event]) -> list[Event]:
    """Feet go up high in turn and come down where they were."""
    swings = []
    for side in SIDES:
        for a, b in runs(s.lift[side] > 0.05):
            top = a + int(s.lift[side][a:b].argmax())
            i, j = max(a - 3, 0), min(b + 2, s.frames - 1)
            far = np.linalg.norm((s.ankle[side][j] - s.ankle[side][i])[[0, 2]])
            if s.lift[side][top] > 0.13 and far < 0.2 and not any(e.start <= top < e.end for e in taken):
                swings.append((top, a, b, side))
    out = []
    for group in clusters(sorted(swings), 1.45 * s.fps, frame=lambda swing: swing[0]):
        if len(group) > 1 and {w[3] for w in group} == set(SIDES):
            half = max(np.median(np.diff([w[0] for w in group])), 1) / s.fps
            out.append(Event("march", group[0][1], group[-1][2], tempo=1 / (1.75 * half)))
    return out


def lowerings(s: Signals, taken: list[Event]) -> list[Event]:
    """Squats, and chairs that are taken and left: the pelvis goes low, over the feet or far behind them."""
    out = []
    for a, b in runs(s.height < LOW, longest_gap=2):
        low = a + int(s.height[a:b].argmin())
        if b - a == s.frames or s.height[low] > 0.69 or any(e.start <= low < e.end for e in taken):
            continue
        seated = np.median(s.seat[a:b]) > 0.26 or (min(a, s.frames - b) < 3 and s.seat[a:b].max() > 0.3)
        if not seated:
            stands = max(np.median(s.height), 0.9)
            start, end = span(stands - s.height, low, 0.5 * (stands - s.height[low]))
            out.append(Event("squat", int(start), int(end) + 1, tempo=tempo_of(0.83, start, end, s.fps)))
            continue
        sits = float(np.median(s.height[a:b]))
        if a > 2:
            seconds, start, end = _way(s.height[::-1], s.frames - 1 - a, sits, s.fps)
            start, end = s.frames - 1 - end, s.frames - 1 - start
            out.append(Event("sit_down", start, end + 1, tempo=0.37 / seconds))
        if b < s.frames - 2:
            seconds, start, end = _way(s.height, b, sits, s.fps)
            out.append(Event("stand_up", start, end + 1, tempo=0.37 / seconds))
    return out


def bows(s: Signals, taken: list[Event]) -> list[Event]:
    """The trunk goes down on straight legs and comes up."""
    out = []
    for a, b in runs(s.pitch > 0.55, longest_gap=2):
        top = a + int(s.pitch[a:b].argmax())
        if s.pitch[top] < 0.62 or s.height[a:b].min() < 0.8 or any(e.start <= top < e.end for e in taken):
            continue
        rest = min(float(np.median(s.pitch)), 0.2)
        start, end = span(s.pitch, top, 0.5 * (s.pitch[top] + rest))
        out.append(Event("bow", int(start), int(end) + 1, tempo=tempo_of(0.83, start, end, s.fps)))
    return out


def travels(s: Signals, taken: list[Event]) -> list[Event]:
    """Walks, runs and sidesteps: both feet and the pelvis get somewhere."""
    speed = np.linalg.norm(s.velocity, axis=-1)
    out = []
    for a, b in _split(speed, runs(speed > 0.14)):
        i, j = max(a - int(0.15 * s.fps), 0), min(b + int(0.15 * s.fps), s.frames - 1)
        way = {side: s.ankle[side][i : j + 1] - s.ankle[side][i] for side in SIDES}
        feet = min(np.linalg.norm(w[:, [0, 2]], axis=-1).max() for w in way.values())
        left, forward = _moved(s, a, b)
        if feet < 0.2 or speed[a:b].sum() / s.fps < 0.2:
            continue
        if any(e.covers(a, b) > 0.4 for e in taken):
            continue
        if abs(left) > abs(forward):
            tempo = np.abs(s.velocity[a:b, 0]).max() / 0.48
            out.append(Event("sidestep", a, b, direction="left" if left > 0 else "right", tempo=tempo))
        elif forward < 0:
            tempo = -s.velocity[a:b, 1].min() / 0.85
            out.append(Event("walk", a, b, direction="backward", tempo=tempo))
        else:
            out.append(_advance(s, a, b))
    return out


def _advance(s: Signals, a: int, b: int) -> Event:
    """A walk or a run forward, and the course it takes."""
    lifts = [s.lift[side][a:b] for side in SIDES]
    peaks = [lift[i:j].max() for lift in lifts for i, j in runs(lift > 0.02)]
    running = len(peaks) > 0 and np.median(peaks) > 0.16
    top = s.speed[a:b].max()
    i, j = max(a - 2, 0), min(b + 1, s.frames - 1)
    bend = s.heading[j] - s.heading[i]
    path = "straight" if abs(bend) < 0.65 else "circle" if abs(bend) > 2.5 else "turn"
    return Event(
        "run" if running else "walk",
        a,
        b,
        direction="forward",
        path=path,
        turn=None if path == "straight" else "left" if bend > 0 else "right",
        tempo=top / (2.75 if running else 1.12),
    )


def turns(s: Signals, taken: list[Event]) -> list[Event]:
    """Body and feet end up facing elsewhere, without having gone anywhere."""
    rate = np.gradient(s.heading) * s.fps
    free = np.ones(s.frames, bool)
    for e in taken:
        free[max(e.start - 1, 0) : e.end + 1] = False
    out = []
    for a, b in runs((np.abs(smooth(rate, 1.0)) > 0.3) & free):
        i, j = max(a - 3, 0), min(b + 3, s.frames - 1)
        bend = s.heading[b - 1] - s.heading[a]
        feet = np.mean([s.toes[side][j] - s.toes[side][i] for side in SIDES])
        if abs(bend) > 0.5 and feet * np.sign(bend) > 0.35:
            tempo = np.abs(np.gradient(s.chest)[a:b]).max() * s.fps / 1.6
            out.append(Event("turn", a, b, direction="left" if bend > 0 else "right", tempo=tempo))
    return out


def _way(height: np.ndarray, middle: int, low: float, fps: float) -> tuple[float, int, int]:
    """Seconds from 20 % to 80 % of the way up that passes ``middle``, and the frames of its ends."""
    high = min(height[middle : middle + int(1.5 * fps)].max(), STANDS)
    share = (height - low) / (high - low)
    before = np.flatnonzero(share[: middle + 1] < 0.2)
    after = middle + np.flatnonzero(share[middle:] > 0.8)
    i, j = int(before[-1]) if len(before) else 0, int(after[0]) if len(after) else len(height) - 1
    start = i + (0.2 - share[i]) / (share[i + 1] - share[i]) if len(before) else i
    end = j - (share[j] - 0.8) / (share[j] - share[j - 1]) if len(after) else j
    return max(end - start, 0.5) / fps, i, j


def _moved(s: Signals, a: int, b: int) -> np.ndarray:
    """(2,) metres to the body's left and forward between two frames."""
    return s.velocity[a:b].sum(0) / s.fps


def _split(speed: np.ndarray, parts: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Cuts stretches where the speed has a deep valley."""
    out = []
    for a, b in parts:
        valleys = [i for i in range(a + 2, b - 2) if speed[i] == speed[i - 2 : i + 3].min()]
        cuts = [i for i in valleys if speed[i] < 0.4 * min(speed[a:i].max(), speed[i:b].max())]
        edges = [a, *cuts, b]
        out += pairwise(edges)
    return out
