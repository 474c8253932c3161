"""How far predicted tracks end from the real ones. Each is a plain function of one clip; lower is better."""

import numpy as np


def point_errors(moved: np.ndarray, real: np.ndarray, size: tuple[int, int] | None = None) -> np.ndarray:
    """Distances (..., T - 1, N) in the picture, slot 0 left out, between displacements (..., T, N, D).

    Args:
        size: height and width in pixels, the unit of the result; None leaves shares of the picture's sides.
    """
    unit = (1, 1) if size is None else (size[1], size[0])
    difference = (np.asarray(moved, np.float64) - np.asarray(real, np.float64))[..., 1:, :, :2] * unit
    return np.linalg.norm(difference, axis=-1)


def ade(errors: np.ndarray) -> np.ndarray:
    """Average displacement error: (..., T, N) → (...)."""
    return errors.mean((-2, -1))


def fde(errors: np.ndarray) -> np.ndarray:
    """Final displacement error: the last slot's."""
    return errors[..., -1, :].mean(-1)


def best_of(figures: np.ndarray) -> np.ndarray:
    """Least of K tries, (K, ...) → (...): what a user finds who looks at K samples (minADE, minFDE)."""
    return figures.min(0)


def rotation_error(turned: np.ndarray, real: np.ndarray) -> np.ndarray:
    """Geodesic distance (...) in radians of rotation matrices (..., 3, 3).

    From the chord, |R - S| = 2 √2 sin(angle / 2), which is exact for small angles, where the trace is not.
    """
    chord = np.linalg.norm(np.asarray(turned, np.float64) - np.asarray(real, np.float64), axis=(-2, -1))
    return 2 * np.arcsin(np.clip(chord / (2 * np.sqrt(2)), 0, 1))
