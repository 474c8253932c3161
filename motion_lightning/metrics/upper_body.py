"""Rules for what arms do: each finds the events of some actions and measures their tempo."""

import numpy as np
from scipy.ndimage import maximum_filter1d
from scipy.signal import find_peaks

from motion_lightning.metrics.event import Event, tempo_of
from motion_lightning.metrics.signals import OTHER, SIDES, Signals, clusters, runs, span

OVERHEAD = 0.40  # metres of a wrist over its shoulder that only a stretched arm reaches


def raises(s: Signals) -> list[Event]:
    """Arms stretched overhead: one, or both apart; joined hands with a leaning trunk are a stretch."""
    up = {side: s.wrist[side][:, 1] for side in SIDES}
    out = []
    for a, b in runs(np.maximum(up["left"], up["right"]) > OVERHEAD, longest_gap=int(0.4 * s.fps)):
        if b - a < 0.1 * s.fps:
            continue
        side = max(SIDES, key=lambda k: up[k][a:b].mean())
        both = up[OTHER[side]][a:b].max() > OVERHEAD - 0.08
        start, end = span(up[side], a + int(up[side][a:b].argmax()), 0.0)
        if both and s.hands[a:b].min() < 0.26 and np.abs(s.roll[a:b]).max() > 0.15:
            out.append(Event("stretch", int(start), int(end) + 1, tempo=tempo_of(1.02, start, end, s.fps)))
        else:
            tempo = tempo_of(0.78, start, end, s.fps)
            out.append(Event("raise_arm", int(start), int(end) + 1, side="both" if both else side, tempo=tempo))
    return out


def waves(s: Signals, taken: list[Event]) -> list[Event]:
    """A hand above its shoulder goes to and fro."""
    out = []
    for side in SIDES:
        for a, b in runs(s.wrist[side][:, 1] > -0.02, longest_gap=4):
            bend = s.elbow[side][a:b]
            tops, _ = find_peaks(bend, prominence=0.25)
            dips, _ = find_peaks(-bend, prominence=0.25)
            turns = np.sort(np.r_[tops, dips])
            others = [e for e in taken if e.side != OTHER[side]]
            if len(turns) < 3 or s.wrist[side][a:b, 1].max() < 0.08 or _busy(others, a, b):
                continue
            rate = s.fps * (len(turns) - 1) / (2 * (turns[-1] - turns[0]))
            out.append(Event("wave", a, b, side=side, tempo=rate / 1.5))
    return out


def throws(s: Signals, taken: list[Event]) -> list[Event]:
    """A hand that was above and behind the shoulder comes forward fast, still above it."""
    out = []
    for side in SIDES:
        up, forward = s.wrist[side][:, 1], s.wrist[side][:, 2]
        for a, b in runs(up > 0.03, longest_gap=1):
            if b - a < 3 or _busy(taken, a, b):
                continue
            back = a + int(forward[a:b].argmin())
            front = back + int(forward[back : b + 2].argmax())
            if forward[back] < 0.04 and forward[front] - forward[back] > 0.25 and up[a:b].max() > 0.1:
                start, end = span(up, a + int(up[a:b].argmax()), -0.15)
                out.append(Event("throw", a, b, side=side, tempo=tempo_of(0.57, start, end, s.fps)))
    return out


def punches(s: Signals, taken: list[Event]) -> list[Event]:
    """One arm goes from a bent guard to stretched forward, and the other stays bent."""
    out = []
    for side in SIDES:
        up, forward, other = s.wrist[side][:, 1], s.wrist[side][:, 2], OTHER[side]
        stretched = (forward > 0.32) & (np.abs(up) < 0.24) & (s.elbow[side] < 1.1)
        strike = stretched & (s.ahead_hand[side] > 0.18) & (s.elbow[other] > 1.1)
        for a, b in runs(strike, longest_gap=2):
            i, j = max(a - int(0.6 * s.fps), 0), min(b + int(0.6 * s.fps), s.frames)
            if s.elbow[side][i:j].max() < 1.3 or _busy(taken, a, b):
                continue
            start, end = span(s.elbow[other], a + int(s.elbow[other][a:b].argmax()), 1.15)
            tempo = tempo_of(0.58, start, end, s.fps)
            out.append(Event("punch", int(start), int(end) + 1, side=side, tempo=tempo))
    return out


def claps(s: Signals, taken: list[Event], swinging: list[Event]) -> list[Event]:
    """Hands before the chest meet and part, again and again; the arms of who runs only swing past each other."""
    left, right = (s.wrist[side][:, 2] for side in SIDES)
    apart = np.abs(s.ahead_hand["left"])
    before = (np.minimum(left, right) > 0.12) & (apart < 0.15)
    for e in swinging:
        a, b = max(e.start, 0), e.end
        before[a:b] &= maximum_filter1d(apart, int(0.3 * s.fps) | 1)[a:b] < 0.15
    meets, _ = find_peaks(-s.hands, prominence=0.05, height=-0.36)
    out = []
    for group in clusters([int(m) for m in meets if before[m]], 1.3 * s.fps):
        if len(group) > 1 and not _busy(taken, group[0], group[-1] + 1):
            gaps = np.diff(group)
            rate = s.fps / gaps[gaps < 1.5 * np.median(gaps)].mean()
            out.append(Event("clap", group[0], group[-1] + 1, tempo=rate / 2.0, count=len(group)))
    return out


def _busy(taken: list[Event], a: int, b: int) -> bool:
    """Whether others happen, one after the other, for more than half of the time from frame a to b."""
    during = np.zeros(b - a, bool)
    for e in taken:
        during[max(e.start - a, 0) : max(e.end - a, 0)] = True
    return during.mean() > 0.5
