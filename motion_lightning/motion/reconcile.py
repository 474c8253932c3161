"""Joints that agree with everything a generated motion says of itself.

Features are redundant: positions, velocities and contacts describe one motion three times. A model's versions differ
a little, and the difference is seen as trembling joints and sliding feet. Here they are reconciled by weighted least
squares, each step in closed form, and bones get their lengths back.
"""

import torch
from torch import Tensor
from torch.nn.functional import max_pool1d, normalize, pad

from motion_lightning.motion.skeleton import Skeleton


def reconcile(
    joints: Tensor,
    velocities: Tensor,
    contacts: Tensor,
    skeleton: Skeleton,
    velocity_weight: float = 4.0,
    contact_weight: float = 1000.0,
    smoothness: float = 0.2,
) -> Tensor:
    """Fuse positions, velocities and contacts of one clip. Contact weight and smoothness: experiments/programs_dit.

    Args:
        joints: (T, J, 3) metres, as recovered from root and local positions.
        velocities: (T, J, 3) metres a frame in world axes; row t leads from frame t to t + 1, the last is not used.
        contacts: (T, 4) how surely left ankle, left foot, right ankle and right foot stand, about 0 to 1.
        skeleton: bone lengths and feet.
        velocity_weight, contact_weight: of a velocity, and of a standing foot's zero velocity, against a position.
        smoothness: of zero change in acceleration against a position.

    Returns:
        (T, J, 3) with the skeleton's bone lengths.
    """
    if len(joints) < 4:
        return joints
    dtype, joints = joints.dtype, joints.double()
    feet = [j for side in ("left", "right") for j in skeleton.feet[side]]
    stands = _without_flicker(contacts > 0.5).double()[:-1]  # (T-1, 4)
    joints = _carry_root(joints, feet, stands)

    count = joints.shape[1]
    weight = torch.full((len(joints) - 1, count), velocity_weight, dtype=torch.float64, device=joints.device)
    velocity = velocities.double()[:-1].clone()
    weight[:, feet] += stands * (contact_weight - velocity_weight)
    velocity[:, feet] *= 1 - stands[..., None]
    return _restore_bones(_fuse(joints, velocity, weight, smoothness), skeleton).to(dtype)


def hold(joints: Tensor, known: Tensor, kept: Tensor) -> Tensor:
    """Joints (T, J, 3) with those of ``known`` where kept (T, J) is True, and the rest moved along with them.

    In a frame with kept joints, of which the root is one, the others move as the root does; frames in between move by
    what lies between their neighbours' moves.
    """
    move = (known - joints).where(kept[..., None], (known - joints)[:, :1])  # (T, J, 3)
    some = kept.any(1)
    if not some.any():
        return joints
    place = torch.arange(len(joints), device=joints.device)
    there = place[some]  # frames with kept joints
    after = torch.searchsorted(there, place).clamp(max=len(there) - 1)
    before = torch.searchsorted(there, place, right=True).sub(1).clamp(min=0)
    left, right = there[before], there[after]
    share = ((place - left) / (right - left).clamp(min=1)).clamp(0, 1)[:, None, None].to(joints)
    return joints + torch.lerp(move[left], move[right], share)


def velocities_in_world(local: Tensor, yaw: Tensor) -> Tensor:
    """Velocities (..., T, J, 3) in the heading frame → world axes; yaw (..., T) is the root's half angle."""
    cos, sin = (2 * yaw).cos()[..., None], (2 * yaw).sin()[..., None]  # (..., T, 1)
    x, y, z = local.unbind(-1)
    return torch.stack([cos * x - sin * z, y, sin * x + cos * z], dim=-1)


def _without_flicker(on: Tensor) -> Tensor:
    """(T, F) bool: gaps, then spells, of a single frame are dropped."""
    x = pad(on.T.double(), (1, 1), mode="replicate")  # (F, T+2)
    for sign in (1, -1):  # closing, then opening, with a window of two frames
        x = sign * x
        x = -max_pool1d(-max_pool1d(x[None], 2, 1), 2, 1)[0]
        x = pad(sign * x, (1, 1), mode="replicate")
    return x[:, 1:-1].T > 0.5


def _carry_root(joints: Tensor, feet: list[int], stands: Tensor) -> Tensor:
    """Let the body travel over its standing feet: the root's horizontal step undoes their relative motion."""
    root = joints[:, :1]
    step = (root[1:] - root[:-1])[..., 0, ::2]  # (T-1, 2)
    foot = joints[:, feet] - root
    implied = -(foot[1:] - foot[:-1])[..., ::2]  # (T-1, 4, 2)
    trust = 4.0 * stands
    new = (step + (trust[..., None] * implied).sum(1)) / (1 + trust.sum(1, keepdim=True))
    shift = pad((new - step).cumsum(0), (0, 0, 1, 0))  # (T, 2)
    moved = joints.clone()
    moved[..., ::2] += shift[:, None]
    return moved


def _fuse(joints: Tensor, velocity: Tensor, weight: Tensor, smoothness: float) -> Tensor:
    """argmin over p of |p - joints|² + weight |Δp - velocity|² + smoothness |Δ³p|², for every joint at once."""
    frames = len(joints)
    eye = torch.eye(frames, dtype=joints.dtype, device=joints.device)
    delta = eye[1:] - eye[:-1]  # (T-1, T)
    third = delta[2:, 2:] @ delta[1:, 1:] @ delta  # (T-3, T)
    normal = eye + smoothness * third.T @ third + torch.einsum("ti,tj,tk->jik", delta, weight, delta)  # (J, T, T)
    right = joints + torch.einsum("ti,tj,tjc->ijc", delta, weight, velocity)  # (T, J, 3)
    return torch.linalg.solve(normal, right.transpose(0, 1)).transpose(0, 1)


def _restore_bones(joints: Tensor, skeleton: Skeleton) -> Tensor:
    """Reference bone lengths from the root outward; knees bend so that ankles stay where they are."""
    metres = skeleton.bone_lengths * skeleton.metre_per_unit
    length = torch.as_tensor(metres, dtype=joints.dtype, device=joints.device)
    out = joints.clone()
    knee, ankle = skeleton.legs  # of one side
    knees = {knee: ankle, _other_side(knee, skeleton): _other_side(ankle, skeleton)}
    ankles = knees.values()
    for child, parent in skeleton.bones:
        if child in ankles:
            continue  # placed with its knee
        if child in knees:
            ankle = knees[child]
            out[:, child], out[:, ankle] = _two_bones(
                out[:, parent], joints[:, child], joints[:, ankle], length[child], length[ankle]
            )
        else:
            out[:, child] = out[:, parent] + length[child] * normalize(joints[:, child] - joints[:, parent], dim=-1)
    return out


def _other_side(joint: int, skeleton: Skeleton) -> int:
    return next(a + b - joint for a, b in skeleton.pairs if joint in (a, b))


def _two_bones(hip: Tensor, knee: Tensor, ankle: Tensor, upper: Tensor, lower: Tensor) -> tuple[Tensor, Tensor]:
    """Knee and ankle (T, 3) of exact bone lengths, the ankle where asked if the leg reaches, the knee near its hint."""
    reach = ankle - hip
    distance = reach.norm(dim=-1, keepdim=True).clamp(min=1e-6)
    along = reach / distance
    distance = distance.clamp((upper - lower).abs() + 1e-4, upper + lower - 1e-4)
    forward = (distance**2 + upper**2 - lower**2) / (2 * distance)  # law of cosines
    hint = knee - hip
    bend = normalize(hint - (hint * along).sum(-1, keepdim=True) * along, dim=-1)
    new_knee = hip + forward * along + (upper**2 - forward**2).clamp(min=0).sqrt() * bend
    return new_knee, hip + distance * along
