"""Rotations in torch: quaternions (w, x, y, z), matrices, and the continuous 6-d form.

Every function is batched over the leading dimensions and differentiable; angles are radians.
"""

import torch
from torch import Tensor
from torch.nn.functional import normalize


def quat_multiply(p: Tensor, q: Tensor) -> Tensor:
    """Hamilton product p q, (..., 4): first q turns, then p."""
    pw, pv, qw, qv = p[..., :1], p[..., 1:], q[..., :1], q[..., 1:]
    w = pw * qw - (pv * qv).sum(-1, keepdim=True)
    return torch.cat([w, pw * qv + qw * pv + torch.linalg.cross(pv, qv)], dim=-1)


def quat_conjugate(q: Tensor) -> Tensor:
    """The inverse of unit quaternions, (..., 4)."""
    return q * q.new_tensor([1.0, -1.0, -1.0, -1.0])


def quat_rotate(q: Tensor, v: Tensor) -> Tensor:
    """Vectors v (..., 3) turned by unit quaternions q (..., 4)."""
    w, axis = q[..., :1], q[..., 1:].expand(*torch.broadcast_shapes(q.shape[:-1], v.shape[:-1]), 3)
    cross = 2 * torch.linalg.cross(axis, v.expand_as(axis))
    return v + w * cross + torch.linalg.cross(axis, cross)


def quat_between(u: Tensor, v: Tensor) -> Tensor:
    """The shortest rotations (..., 4) that turn unit vectors u onto unit vectors v, both (..., 3).

    Opposite vectors have no shortest one; they get a half turn about some axis normal to u.
    """
    u, v = torch.broadcast_tensors(u, v)
    w = 1 + (u * v).sum(-1, keepdim=True)
    smallest = torch.nn.functional.one_hot(u.abs().argmin(-1), 3).to(u)  # the axis furthest from u
    normal = torch.cat([torch.zeros_like(w), torch.linalg.cross(u, smallest)], dim=-1)
    half_turn = w < 8 * torch.finfo(u.dtype).eps
    q = torch.cat([w, torch.linalg.cross(u, v)], dim=-1)
    return normalize(torch.where(half_turn, normal, q), dim=-1)


def quat_to_matrix(q: Tensor) -> Tensor:
    """Matrices (..., 3, 3) of unit quaternions (..., 4)."""
    w, x, y, z = q.unbind(-1)
    rows = [
        1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
        2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
        2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
    ]  # fmt: skip
    return torch.stack(rows, dim=-1).unflatten(-1, (3, 3))


def matrix_to_quat(m: Tensor) -> Tensor:
    """Unit quaternions (..., 4), w >= 0, of rotation matrices (..., 3, 3).

    Each of w, x, y, z could be the divisor: the largest is taken (Shepperd 1978).
    """
    xx, yy, zz = m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]
    wx, wy, wz = m[..., 2, 1] - m[..., 1, 2], m[..., 0, 2] - m[..., 2, 0], m[..., 1, 0] - m[..., 0, 1]
    xy, xz, yz = m[..., 0, 1] + m[..., 1, 0], m[..., 0, 2] + m[..., 2, 0], m[..., 1, 2] + m[..., 2, 1]
    # Row k is 4 q_k q: parallel to q, and longest where q_k is largest.
    rows = torch.stack([
        1 + xx + yy + zz, wx, wy, wz,
        wx, 1 + xx - yy - zz, xy, xz,
        wy, xy, 1 - xx + yy - zz, yz,
        wz, xz, yz, 1 - xx - yy + zz,
    ], dim=-1).unflatten(-1, (4, 4))  # fmt: skip
    largest = rows.diagonal(dim1=-2, dim2=-1).argmax(-1)[..., None, None].expand(*m.shape[:-2], 1, 4)
    q = normalize(rows.gather(-2, largest).squeeze(-2), dim=-1)
    return torch.where(q[..., :1] < 0, -q, q)


def matrix_to_sixd(m: Tensor) -> Tensor:
    """First column, then second, (..., 6), of rotation matrices (..., 3, 3): HumanML3D's layout."""
    return torch.cat([m[..., 0], m[..., 1]], dim=-1)


def sixd_to_matrix(d: Tensor) -> Tensor:
    """Rotation matrices (..., 3, 3) of any (..., 6) with independent halves (Zhou et al. 2019, eq. 15)."""
    x = normalize(d[..., :3], dim=-1)
    z = normalize(torch.linalg.cross(x, d[..., 3:]), dim=-1)
    return torch.stack([x, torch.linalg.cross(z, x), z], dim=-1)


def rotate_y(angle: Tensor, v: Tensor) -> Tensor:
    """Vectors v (..., 3) turned about the vertical by angle (...), from +Z towards +X."""
    x, y, z = v.unbind(-1)
    cos, sin = angle.cos(), angle.sin()
    return torch.stack([cos * x + sin * z, y.expand_as(cos * x), cos * z - sin * x], dim=-1)
