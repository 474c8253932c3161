"""How a skeleton is drawn: which side a joint is on, how thick it is, where the head sits."""

from dataclasses import dataclass

from motion_lightning.motion.skeleton import Skeleton

# Metres; the first word that a joint's name contains counts. Chosen by eye, for an adult.
THICKNESS = {
    "pelvis": 0.085, "hip": 0.075, "knee": 0.052, "ankle": 0.036, "foot": 0.028, "toe": 0.024, "spine": 0.085,
    "neck": 0.042, "head": 0.042, "collar": 0.06, "shoulder": 0.05, "elbow": 0.038, "wrist": 0.03,
}  # fmt: skip
HEAD_RADIUS, HEAD_OFFSET = 0.112, 0.07  # metres; the offset goes on from the neck through the head joint


@dataclass(frozen=True)
class Figure:
    """What both drawing routines need of a skeleton; plain numbers, so that it goes into a page as JSON."""

    joints: list[str]
    bones: list[tuple[int, int]]  # (child, parent)
    sides: list[str]  # "left", "right" or "centre", the body's own
    radii: list[float]  # metres
    head: int | None
    neck: int | None  # the head's parent
    feet: list[int]
    facing: list[int]  # right hip, left hip, right shoulder, left shoulder


def figure(skeleton: Skeleton) -> Figure:
    """Figure of a skeleton. Joints of unknown name are as thick as an elbow."""
    sides = ["centre"] * len(skeleton.joints)
    for left, right in skeleton.pairs:
        sides[left], sides[right] = "left", "right"
    radii = [next((r for word, r in THICKNESS.items() if word in name.lower()), 0.038) for name in skeleton.joints]
    head = next((j for j, name in enumerate(skeleton.joints) if "head" in name.lower()), None)
    return Figure(
        joints=list(skeleton.joints),
        bones=[(child, parent) for child, parent in skeleton.bones],
        sides=sides,
        radii=radii,
        head=head,
        neck=None if head is None else skeleton.parents[head],
        feet=[j for side in ("left", "right") for j in skeleton.feet[side]],
        facing=list(skeleton.facing),
    )
