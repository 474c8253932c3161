"""The shape of a hand with its forearm, and where they are."""

import numpy as np

from motion_lightning.data.tracks.render import Pose, Solid

HANDS = {"left": -2, "right": -3}  # the bodies of the hands
FOREARMS = {"left": -4, "right": -5}
AHEAD = np.array([1.0, 0, 0])


def hand_solids(hand: str, skin: tuple, sleeve: tuple) -> list[Solid]:
    """Palm, fingers and thumb, fixed to the hand (+x right, +y along the fingers, +z its back), and the forearm."""
    body, thumb, arm = HANDS[hand], 1 if hand == "left" else -1, FOREARMS[hand]

    def finger(x: float, y: float, length: float, lean: float, drop: float) -> Solid:
        size, centre = np.array([0.0078, length, 0.0078]), np.array([x, y, -0.006])
        return Solid("ellipsoid", size, skin, None, centre, about_z(lean) @ about(AHEAD, drop), body, casts=False)

    palm, wrist, sleeved = np.array([[0.029, 0.034, 0.014], [0.018, 0.018, 0.03], [0.025, 0.025, 0.2]])
    return [
        Solid("ellipsoid", palm, skin, body=body),
        *(finger(x, 0.044 - 6 * x * x, 0.028, -4 * x, -0.35) for x in (-0.0225, -0.0075, 0.0075, 0.0225)),
        finger(thumb * 0.033, 0.006, 0.024, -thumb * 0.7, -0.3),
        Solid("ellipsoid", wrist, skin, centre=np.array([0, 0, 0.01]), body=arm, casts=False),
        Solid("cylinder", sleeved, sleeve, centre=np.array([0, 0, 0.22]), body=arm),
    ]


def hand_pose(hand: str, place: np.ndarray, pitch: float, twist: float) -> Pose:
    """The hand at a place, its fingers away from the shoulder and ``pitch`` downwards, turned by ``twist`` about z."""
    away = place[:2] - _shoulder(hand)[:2]
    return Pose(about_z(np.arctan2(-away[0], away[1]) + twist) @ about(AHEAD, -pitch), place)


def forearm_pose(hand: str, pose: Pose) -> Pose:
    """From the heel of the hand to the shoulder, along +z."""
    wrist = pose.apply(np.array([0, -0.028, 0.0]))
    along = (_shoulder(hand) - wrist) / np.linalg.norm(_shoulder(hand) - wrist)
    side = np.array([along[1], -along[0], 0]) / np.hypot(along[0], along[1])
    return Pose(np.stack([side, np.cross(along, side), along], 1), wrist)


def about(axis: np.ndarray, angle: float) -> np.ndarray:
    """Rotation matrix (Rodrigues)."""
    x, y, z = axis
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def about_z(angle: float) -> np.ndarray:
    sin, cos = np.sin(angle), np.cos(angle)
    return np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])


def _shoulder(hand: str) -> np.ndarray:
    return np.array([-0.2 if hand == "left" else 0.2, -0.6, 0.2])
