"""The camera of the pictures: an eye on a sphere around a target. scene.js holds the same formulas."""

from dataclasses import dataclass, replace

import numpy as np

FIELD = np.deg2rad(30)  # vertical field of view
AZIMUTH, ELEVATION = 0.62, 0.27  # from the front and the body's left, slightly above
NEAREST = 3.4  # metres; nobody wants to look at a foot


@dataclass(frozen=True)
class Camera:
    """Azimuth 0 looks at the front of a body that faces +Z: its left, +X, is at the viewer's right."""

    target: np.ndarray  # (3,) metres
    distance: float
    azimuth: float = AZIMUTH
    elevation: float = ELEVATION

    @property
    def axes(self) -> np.ndarray:
        """(3, 3): rows are right, up, forward."""
        (ca, sa), (ce, se) = ((np.cos(a), np.sin(a)) for a in (self.azimuth, self.elevation))
        return np.array([[ca, 0, -sa], [-sa * se, ce, -ca * se], [-ce * sa, -se, -ce * ca]])

    def project(self, points: np.ndarray, width: float, height: float) -> tuple[np.ndarray, np.ndarray]:
        """(..., 3) metres → (..., 2) pixels from the upper left corner, and (...) pixels per metre there."""
        right, up, forward = self.axes
        away = np.asarray(points) - self.target + self.distance * forward
        scale = height / 2 / np.tan(FIELD / 2) / np.maximum(away @ forward, 0.05)
        return np.stack([width / 2 + scale * (away @ right), height / 2 - scale * (away @ up)], -1), scale


def fit(points: np.ndarray, aspect: float) -> Camera:
    """Nearest camera that keeps all points (N, 3) in a picture of this width / height, with a margin."""
    low, high = points.min(0), points.max(0)
    camera = Camera((low + high) / 2, 4 + float(np.linalg.norm(high - low)))
    half = np.tan(FIELD / 2) * 0.86
    for _ in range(10):
        xy, _ = camera.project(points, 2 * aspect, 2)
        low, high = xy.min(0), xy.max(0)
        metre = camera.distance * np.tan(FIELD / 2)  # half the picture's height, at the target
        across, down = ((low + high) / 2 - (aspect, 1)) * metre
        size = np.max((high - low) / 2 / (aspect, 1)) * np.tan(FIELD / 2) / half
        camera = replace(
            camera,
            target=camera.target + across * camera.axes[0] - down * camera.axes[1],
            distance=max(NEAREST, camera.distance * float(np.clip(size, 0.5, 2))),
        )
    return camera
