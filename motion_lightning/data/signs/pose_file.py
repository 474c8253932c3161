"""``.pose`` files, versions 0.0, 0.1 and 0.2, read with the pose-format library.

The library trusts a file: its claims decide how much is read and allocated. So every count is held against
the bytes that are there before the library sees them.
"""

import io
import math
import struct
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from motion_lightning.data.signs.keypoints import Keypoints
from motion_lightning.errors import UserError

LARGEST = 1 << 29  # bytes of a file
MOST_POINTS = 4096  # whole-body estimates have some 600
FARTHEST = 1e6  # pixels or metres; what lies beyond is no coordinate


def read_pose(source: str | Path | bytes, where: str | None = None) -> Keypoints:
    """Keypoints of the first person in a file, or in its bytes; ``where`` names them in errors.

    A point with confidence 0 was not seen: whatever the file has in its place becomes 0. Frames without a
    person hold only such points. Coordinates are as in the file, names are "COMPONENT:POINT".

    Raises:
        UserError: pose-format is missing, or the file cannot be read, ends too early, claims what it does not
            hold, or has NaN, infinity or a negative confidence; with the byte, or the frame and the point.
    """
    library = _library()
    data, where = _bytes(source), where or str(source)
    frames = _Header(data, where).frames()
    try:
        pose = library.Pose.read(data)
        points = np.asarray(np.ma.getdata(pose.body.data), np.float32)[:, 0]  # (T, K, D)
        confidence = np.asarray(np.ma.getdata(pose.body.confidence), np.float32)[:, 0]
    except Exception as error:  # the library says what is wrong in many ways
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise UserError(f"{where}: pose-format cannot read it ({reason})") from None
    names = tuple(f"{c.name}:{point}" for c in pose.header.components for point in c.points)
    if points.shape[:2] != (frames, len(names)) or confidence.shape != points.shape[:2]:
        raise UserError(f"{where}: read {points.shape} points, not those of {frames} frames, {len(names)} points")
    with np.errstate(invalid="ignore"):
        wrong = ~(confidence >= 0) | np.isinf(confidence)
        astray = ~(np.abs(points) <= FARTHEST).all(-1) & (confidence > 0)
    for bad, what in ((wrong, "confidence"), (astray, "coordinates")):
        if bad.any():
            t, k = np.argwhere(bad)[0]
            value = confidence[t, k] if what == "confidence" else points[t, k].tolist()
            raise UserError(
                f"{where}: {what} {value} of {names[k][:80]!r} in frame {t}; mark unseen points by confidence 0"
            )
    points = np.where(confidence[..., None] > 0, points, 0)
    return Keypoints(points, confidence, float(pose.body.fps), names, pose.body.data.shape[1])


def pose_bytes(keypoints: Keypoints, size: tuple[int, int, int] = (1000, 1000, 0)) -> bytes:
    """A file of version 0.2 with one person. ``size`` is the picture's width, height and depth.

    Names are "COMPONENT:POINT", a component's points together. UserError where pose-format is missing.
    """
    library = _library()
    if not (np.isfinite(keypoints.points).all() and np.isfinite(keypoints.confidence).all()):
        raise ValueError("NaN or infinity in the keypoints")
    parts: dict[str, list[str]] = {}
    for name in keypoints.names:
        component, _, point = name.partition(":")
        if component in parts and next(reversed(parts)) != component:
            raise ValueError(f"points of {component} do not lie together")
        parts.setdefault(component, []).append(point)
    letters = "XYZ"[: keypoints.points.shape[-1]] + "C"
    components = [library.Component(name, points, [], [], letters) for name, points in parts.items()]
    header = library.Header(0.2, library.Dimensions(*size), components)
    data = np.ma.masked_array(keypoints.points[:, None].astype(np.float32))
    body = library.Body(keypoints.fps, data, keypoints.confidence[:, None].astype(np.float32))
    buffer = io.BytesIO()
    library.Pose(header, body).write(buffer)
    return buffer.getvalue()


def write_pose(path: str | Path, keypoints: Keypoints, size: tuple[int, int, int] = (1000, 1000, 0)) -> Path:
    """Writes ``pose_bytes`` to a file, which appears when it is whole."""
    path = Path(path)
    partial = path.with_name(f".partial-{path.name}")
    try:
        partial.write_bytes(pose_bytes(keypoints, size))
        return partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _library() -> SimpleNamespace:
    try:
        from pose_format import Pose
        from pose_format.numpy import NumPyPoseBody
        from pose_format.pose_header import PoseHeader, PoseHeaderComponent, PoseHeaderDimensions
    except ImportError as error:
        raise UserError(f".pose files need the pose-format library ({error}): pip install pose-format") from None
    return SimpleNamespace(
        Pose=Pose,
        Body=NumPyPoseBody,
        Header=PoseHeader,
        Component=PoseHeaderComponent,
        Dimensions=PoseHeaderDimensions,
    )


def _bytes(source: str | Path | bytes) -> bytes:
    if isinstance(source, bytes):
        return source
    try:
        if Path(source).stat().st_size > LARGEST:
            raise UserError(f"{source}: larger than {LARGEST >> 20} MiB; is it a .pose file?")
        return Path(source).read_bytes()
    except OSError as error:
        raise UserError(f"{source}: cannot be read ({error.strerror or error})") from None


class _Header:
    """Goes through the header of a file and holds its claims against the bytes that follow."""

    def __init__(self, data: bytes, where: str):
        self.data, self.where, self.at = data, where, 0

    def frames(self) -> int:
        """Number of frames that the file holds."""
        (self.version,) = self._take("f", "the version")
        if not any(abs(self.version - known) < 1e-3 for known in (0, 0.1, 0.2)):
            self._fail(0, f"version {self.version:.3g}; known are 0.0, 0.1 and 0.2: is it a .pose file?")
        self._take("HHH", "the picture's size")
        start = self.at
        (components,) = self._take("H", "the number of components")
        formats, self.points = set(), []
        for _ in range(components):
            self._component(formats)
        if not 1 <= sum(self.points) <= MOST_POINTS:
            self._fail(start, f"{sum(self.points)} points in {components} components; 1 to {MOST_POINTS} are read")
        if len(formats) != 1:
            self._fail(start, f"components of different formats: {', '.join(sorted(formats))}")
        self.person = 4 * sum(self.points) * len(formats.pop())  # bytes, with the confidence
        return self._body_0() if self.version < 0.05 else self._body()

    def _component(self, formats: set[str]) -> None:
        name, start = repr(self._text("a component's name")[:40]), self.at
        letters = self._text(f"the format of {name}")
        if letters not in ("XYC", "XYZC"):
            self._fail(start, f"format {letters[:20]!r} of {name}; XYC and XYZC are read")
        formats.add(letters)
        points, limbs, colours = self._take("HHH", f"the counts of {name}")
        self.points.append(points)
        if sum(self.points) > MOST_POINTS:
            self._fail(self.at - 6, f"{sum(self.points)} points; up to {MOST_POINTS} are read")
        for k in range(points):
            self._text(f"point {k} of {name}")
        self._skip(4 * limbs + 6 * colours, f"limbs and colours of {name}")

    def _body(self) -> int:
        """Versions 0.1, whose count of frames may have overflowed, and 0.2."""
        short = self.version < 0.15
        start = self.at
        fps, frames, people = self._take("HHH" if short else "fIH", "rate, frames and people")
        self._rate(fps, start)
        if people < 1:
            self._fail(start, "no people in it")
        rest, a_frame = len(self.data) - self.at, people * self.person
        claimed = f"{frames} frames of {people} people and {sum(self.points)} points"
        if short and (rest // a_frame) & 0xFFFF == frames:
            frames = rest // a_frame
        if frames < 1 or frames * a_frame != rest:
            self._fail(start, f"claims {claimed}, {frames * a_frame} bytes, but {rest} follow")
        return frames

    def _body_0(self) -> int:
        """Version 0.0: each frame has a number of people, each with a number of their own."""
        start = self.at
        fps, frames = self._take("HH", "rate and frames")
        self._rate(fps, start)
        for t in range(frames):
            (people,) = self._take("H", f"the people of frame {t}")
            self._skip(people * (2 + self.person), f"frame {t} with {people} people")
        if frames < 1 or self.at != len(self.data):
            self._fail(start, f"claims {frames} frames, which end at byte {self.at} of {len(self.data)}")
        return frames

    def _rate(self, fps: float, at: int) -> None:
        if not (math.isfinite(fps) and 0 < fps <= 1000):
            self._fail(at, f"{fps} frames a second")

    def _take(self, form: str, what: str) -> tuple:
        shape = struct.Struct("<" + form)
        self._skip(shape.size, what)
        return shape.unpack_from(self.data, self.at - shape.size)

    def _text(self, what: str) -> str:
        (length,) = self._take("H", what)
        self._skip(length, what)
        try:
            return self.data[self.at - length : self.at].decode()
        except UnicodeDecodeError:
            self._fail(self.at - length, f"{what} is not UTF-8")

    def _skip(self, size: int, what: str) -> None:
        if self.at + size > len(self.data):
            self._fail(self.at, f"{what} should have {size} bytes, but the file ends after {len(self.data) - self.at}")
        self.at += size

    def _fail(self, at: int, what: str):
        raise UserError(f"{self.where}: byte {at}: {what}")
