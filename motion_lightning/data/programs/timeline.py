"""A clip under construction: channels that actions add movements to, and the prints of the two feet."""

from dataclasses import dataclass, field

import numpy as np

from motion_lightning.data.programs.body import foot_joints, rot_y, standing_height
from motion_lightning.data.programs.program import FPS

OTHER = {"left": "right", "right": "left"}
SIGN = {"left": 1.0, "right": -1.0}
# Radians and metres of a person at rest. The ground frame is (x, z, yaw); sway and surge shift the pelvis
# to the left and forward in it, height is what the pelvis would have if the legs were long enough.
REST = {
    **dict.fromkeys(("x", "z", "yaw", "sway", "surge", "hip_yaw", "pitch", "roll"), 0.0),
    **dict.fromkeys(("lean", "side_lean", "twist", "head_pitch", "head_yaw", "left_free", "right_free"), 0.0),
    **dict.fromkeys((f"{s}_{c}" for s in SIGN for c in ("aside", "up", "ahead", "pitch", "shrug")), 0.0),
    **dict.fromkeys((f"{s}_flex" for s in SIGN), 0.03),
    **dict.fromkeys((f"{s}_abduct" for s in SIGN), 0.16),
    **dict.fromkeys((f"{s}_rotate" for s in SIGN), 0.25),
    **dict.fromkeys((f"{s}_elbow" for s in SIGN), 0.3),
    "knees_out": 0.08,
}


def ease(u: np.ndarray) -> np.ndarray:
    """Minimum-jerk course from 0 to 1 (Flash and Hogan 1985), constant outside [0, 1]."""
    u = np.clip(u, 0.0, 1.0)
    return u**3 * (10 - 15 * u + 6 * u**2)


def bump(u: np.ndarray, early: float = 3.0, late: float = 3.0) -> np.ndarray:
    """From 0 up to 1 and back to 0 over [0, 1]; the peak lies at early / (early + late)."""
    u = np.clip(u, 0.0, 1.0)
    peak = early / (early + late)
    return u**early * (1 - u) ** late / (peak**early * (1 - peak) ** late)


@dataclass(frozen=True)
class Swing:
    """A foot in the air from ``start`` to ``end`` (seconds), to a print (x, z, yaw).

    It is lifted by ``lift`` metres, reaches ``ahead`` metres forward in the middle, leaves the ground heel
    first by ``heel`` radians and lands with toes up by ``toe``. ``carried`` moves it with the body instead.
    """

    start: float
    end: float
    print: tuple[float, float, float]
    lift: float = 0.06
    ahead: float = 0.0
    heel: float = 0.0
    toe: float = 0.0
    early: float = 3.0
    roll: float = 0.15  # seconds that the heel takes to rise before the foot leaves
    carried: bool = False


@dataclass
class Timeline:
    """Channels (T,) that start at rest, and the swings of each foot in the order of time."""

    frames: int
    fps: float = FPS
    channels: dict[str, np.ndarray] = field(init=False)
    standing: float = field(init=False)  # height of the pelvis of this person at rest
    prints: dict[str, tuple[float, float, float]] = field(init=False)
    swings: dict[str, list[Swing]] = field(init=False)

    def __post_init__(self):
        self.t = np.arange(self.frames) / self.fps
        self.channels = {name: np.full(self.frames, value) for name, value in REST.items()}
        self.channels["height"] = np.full(self.frames, standing_height())
        self.standing = standing_height()
        self.prints, self.swings = {}, {"left": [], "right": []}

    def move(self, channel: str, start: float, end: float, amount: float):
        """Adds ``amount`` to a channel, gradually from ``start`` to ``end`` seconds; movements overlap."""
        self.channels[channel] += amount * ease((self.t - start) / max(end - start, 1e-3))

    def visit(self, start: float, there: float, leave: float, back: float, **amounts: float):
        """Moves channels by ``amounts``, holds them, and moves them back."""
        for channel, amount in amounts.items():
            self.move(channel, start, there, amount)
            self.move(channel, leave, back, -amount)

    def reach(self, start: float, end: float, **targets: float) -> dict[str, float]:
        """Moves channels to ``targets``; returns where they were, to go back to."""
        before = {channel: float(self.channels[channel][-1]) for channel in targets}
        for channel, target in targets.items():
            self.move(channel, start, end, target - before[channel])
        return before

    def window(self, start: float, end: float, fade: float) -> np.ndarray:
        """(T,) 1 between ``start`` and ``end``, fading to 0 inside at either end."""
        return ease((self.t - start) / fade) - ease((self.t - end + fade) / fade)

    def oscillate(self, start: float, end: float, rate: float, phase: float = 0.0, fade=0.3, **amounts: float):
        """Adds a sine of ``rate`` Hz that begins at ``start`` with ``phase`` radians."""
        wave = self.window(start, end, fade) * np.sin(2 * np.pi * rate * (self.t - start) + phase)
        for channel, amount in amounts.items():
            self.channels[channel] += amount * wave

    def ground(self, seconds: float) -> tuple[float, float, float]:
        """x, z and yaw of the ground frame at a time."""
        return tuple(float(np.interp(seconds, self.t, self.channels[c])) for c in ("x", "z", "yaw"))

    def print_at(self, seconds: float, side: str, half_width: float, toe_out=0.0, ahead=0.0):
        """Print of a foot that stands beside (and ``ahead`` of) where the body is at a time."""
        x, z, yaw = self.ground(seconds)
        s, c, aside = np.sin(yaw), np.cos(yaw), SIGN[side] * half_width
        return x + aside * c + ahead * s, z - aside * s + ahead * c, yaw + SIGN[side] * toe_out

    def step(self, side: str, swing: Swing):
        """Lifts a foot and puts it down elsewhere."""
        self.swings[side].append(swing)

    def feet(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Ankle and ball (T, 3) of each foot, after all steps."""
        return {side: self._foot(side) for side in SIGN}

    def _foot(self, side: str) -> tuple[np.ndarray, np.ndarray]:
        c = self.channels
        place = np.tile(np.asarray(self.prints[side], float), (self.frames, 1))  # x, z, yaw
        lift, ahead, pitch = np.zeros((3, self.frames))
        for w in self.swings[side]:
            u = (self.t - w.start) / (w.end - w.start)
            if w.carried:
                place = self._carry(place, w, u, side)
            else:
                place += ease(u)[:, None] * (np.asarray(w.print) - place[-1])
            lift += w.lift * bump(u, w.early)
            ahead += w.ahead * bump(u)
            off, landed = w.start + 0.15 * (w.end - w.start), w.end + 0.12
            pitch -= w.heel * ease((self.t - w.start + w.roll) / (off - w.start + w.roll))
            pitch += (w.heel + w.toe) * ease((self.t - off) / (w.end - off))
            pitch -= w.toe * ease((self.t - w.end) / (landed - w.end))
        ahead = ahead + c[f"{side}_ahead"]
        s, k, aside = np.sin(c["yaw"]), np.cos(c["yaw"]), c[f"{side}_aside"]
        x, z = place[:, 0] + aside * k + ahead * s, place[:, 1] - aside * s + ahead * k
        return foot_joints(x, lift + c[f"{side}_up"], z, place[:, 2], pitch + c[f"{side}_pitch"], side)

    def _carry(self, place: np.ndarray, swing: Swing, u: np.ndarray, side: str) -> np.ndarray:
        """A foot that keeps its place beside the body from ``swing.start`` on, then ends on its print."""
        c, begin, end = self.channels, self.ground(swing.start), self.ground(swing.end)

        def local(spot, ground):  # the print seen from the body
            turned = rot_y(np.asarray(-ground[2])) @ np.array([spot[0] - ground[0], 0, spot[1] - ground[1]])
            return np.array([turned[0], turned[2], spot[2] - ground[2]])

        from_, to = local(place[-1], begin), local(swing.print, end)
        beside = from_ + ease(u)[:, None] * (to - from_)
        s, k = np.sin(c["yaw"]), np.cos(c["yaw"])
        carried = np.stack(
            [
                c["x"] + beside[:, 0] * k + beside[:, 1] * s,
                c["z"] - beside[:, 0] * s + beside[:, 1] * k,
                c["yaw"] + beside[:, 2],
            ],
            axis=-1,
        )
        after = np.broadcast_to(np.asarray(swing.print), carried.shape)
        return np.where(u[:, None] < 0, place, np.where(u[:, None] <= 1, carried, after))
