"""A small .pose file, written without the library."""

import struct
from types import MappingProxyType

import numpy as np
import pytest


def pose_file(version=0.2, frames=3, people=1, points=4, claims=MappingProxyType({})) -> bytes:
    """A file as the format's description has it, written without the library; ``claims`` are false counts."""
    rng = np.random.default_rng(0)

    def text(value: str) -> bytes:
        return struct.pack("<H", len(value)) + value.encode()

    names = ["NOSE", "LEFT_SHOULDER", "RIGHT_SHOULDER", *(f"P{k}" for k in range(points))][:points]
    head = struct.pack("<fHHHH", version, 640, 480, 0, 1) + text("POSE_LANDMARKS") + text(claims.get("format", "XYC"))
    head += struct.pack("<HHH", claims.get("points", points), 1, 1) + b"".join(map(text, names))
    head += struct.pack("<HH", 0, 1) + struct.pack("<HHH", 255, 0, 0)
    fps, count, crowd = claims.get("fps", 25), claims.get("frames", frames), claims.get("people", people)
    values = rng.uniform(1, 400, (frames, people, points, 2)).astype("<f4")
    sure = rng.uniform(0.5, 1, (frames, people, points)).astype("<f4")
    if version == 0:
        body = struct.pack("<HH", fps, count)
        for t in range(frames):
            body += struct.pack("<H", crowd)
            for p in range(people):
                body += struct.pack("<h", p) + np.concatenate([values[t, p], sure[t, p][:, None]], -1).tobytes()
        return head + body
    form = "<HHH" if version < 0.15 else "<fIH"
    return head + struct.pack(form, fps, count, crowd) + values.tobytes() + sure.tobytes()


@pytest.fixture(scope="session")
def make_pose_file():
    return pose_file
