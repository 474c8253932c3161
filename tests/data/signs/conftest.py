"""Small files of each format, and their mutations."""

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


def mutate(data: bytes, rng: np.random.Generator) -> bytes:
    """A few bytes or fields changed, taken out or put in, or the end cut off."""
    data = bytearray(data)
    odd = (
        b"\xff\xff\xff\xff",
        b"\0\0\0\0",
        b"\0\0\xc0\x7f",
        b"\0\0\x80\xff",
        b"\xff\xff",
        b"\0\0",
        b"nan",
        b" ",
        b"\n",
        b"-",
    )
    for _ in range(rng.integers(1, 5)):
        at = int(rng.integers(max(1, len(data))))
        kind = rng.integers(6)
        if kind == 0:
            data[at : at + 1] = rng.bytes(1)
        elif kind == 1:
            piece = odd[rng.integers(len(odd))]
            data[at : at + len(piece)] = piece
        elif kind == 2:
            del data[at : at + int(rng.integers(1, 9))]
        elif kind == 3:
            data[at:at] = rng.bytes(int(rng.integers(1, 9)))
        elif kind == 4:
            data[at:at] = data[at : at + int(rng.integers(1, 40))]
        elif rng.random() < 0.3:
            del data[at:]
    return bytes(data)


@pytest.fixture(scope="session")
def make_pose_file():
    return pose_file


@pytest.fixture(scope="session")
def make_mutation():
    return mutate
