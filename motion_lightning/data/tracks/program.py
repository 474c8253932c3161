"""What happens in a procedural scene, so that "did the points go where the sentence says" has an answer.

Sides are those of the image: right is towards growing u. A left hand is one whose arm comes from the lower left
and whose thumb points right, as the viewer sees their own.
"""

from dataclasses import asdict, dataclass, replace

import numpy as np

COLOURS = ("red", "blue", "green", "yellow", "purple", "orange", "white")
KINDS = ("block", "brick", "ball", "can")
ACTIONS = {  # what can be done to which kinds
    "push": ("block", "brick", "can"),
    "drag": ("block", "brick", "can"),
    "roll": ("ball",),
    "lift": KINDS,
    "carry": KINDS,
    "turn": ("block", "brick"),
}
HEADINGS = {"right": (1, 0), "left": (-1, 0), "away": (0, -1), "towards": (0, 1), "up": (0, -1)}  # (u, v); v is down
WAYS = {  # of each action
    "lift": ("up",),
    "turn": ("clockwise", "counterclockwise"),
} | dict.fromkeys(("push", "drag", "roll", "carry"), ("right", "left", "away", "towards"))
OPPOSITE = {"left": "right", "right": "left", "clockwise": "counterclockwise", "counterclockwise": "clockwise"}


@dataclass(frozen=True)
class Move:
    """One hand does one thing to one object."""

    hand: str  # left, right
    action: str  # of ACTIONS
    way: str  # of WAYS[action]; turns as seen from above
    object: int  # number in the scene
    colour: str
    kind: str
    amount: float  # metres along the way, or radians of a turn

    def to_dict(self) -> dict:
        return asdict(self)

    def mirrored(self) -> "Move":
        """The same in a picture whose sides are swapped."""
        return replace(self, hand=OPPOSITE[self.hand], way=OPPOSITE.get(self.way, self.way))


def follows(move: Move, query: np.ndarray, displacements: np.ndarray) -> bool:
    """Whether points of the moved object went the way that the move names.

    Args:
        query: (K, D) where the points were, in shares of the image.
        displacements: (K, D) by how much they have moved since.

    A shift must be mostly (within 45°, on average over the points) along the way; a turn must have its sense.
    """
    to = displacements[:, :2].astype(float)
    if move.action == "turn":
        arm = query[:, :2] + to / 2
        arm = arm - arm.mean(0)
        to = to - to.mean(0)
        curl = (arm[:, 0] * to[:, 1] - arm[:, 1] * to[:, 0]).sum()  # above 0 from u to v: clockwise, v being down
        return bool(curl > 0) == (move.way == "clockwise")
    u, v = HEADINGS[move.way]
    mean = to.mean(0)
    along, across = mean @ (u, v), abs(mean @ (v, u))
    return bool(along > across)
