"""Skeleton text files as the Progressive Transformers for sign language production read and write them.

Four files of the same number of lines: ``NAME.skels``, ``NAME.text``, ``NAME.gloss`` and ``NAME.files``. A line
of ``.skels`` is one sequence, for each frame 50 points × 3 coordinates and a counter from 0 towards 1.

Source: B. Saunders, N. C. Camgoz, R. Bowden, Progressive Transformers for End-to-End Sign Language Production,
ECCV 2020.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from motion_lightning.data.signs.keypoints import Keypoints
from motion_lightning.errors import UserError

FPS = 25.0  # of RWTH-PHOENIX-Weather 2014 T
POINTS, WIDTH = 50, 151
LARGEST = 1 << 34  # bytes of a file; the whole training set has 9e9
LONGEST_LINE = 1 << 26
# The files have head, neck, then the arm and hand with the larger x last: which are the signer's left and right
# follows from where the points lie, x to the right of an unmirrored picture, y down.
ORDER = (0, 1, 2, 3, 4, 5, 6, 7, *range(29, 50), *range(8, 29))


def read_skels(path: str | Path) -> Iterator[Keypoints | UserError]:
    """The sequences of a ``.skels`` file, line by line, in the order of ``keypoints.LAYOUT``.

    A line that is wrong comes out as the error that says why, so that the others keep their texts.

    Raises:
        UserError: the file cannot be read or is no text.
    """
    for number, line in enumerate(_lines(Path(path), longest=LONGEST_LINE), start=1):
        try:
            yield parse_skels(line, f"{Path(path).name} line {number}")
        except UserError as error:
            yield error


def parse_skels(line: str, where: str = "a line of skels") -> Keypoints:
    """One sequence. UserError says what is wrong with it: the number of values, a word, NaN, the counter."""
    words = line.split()
    if not words or len(words) % WIDTH:
        raise UserError(f"{where}: {len(words)} numbers; a frame has {WIDTH}: {POINTS} points in 3-d and a counter")
    try:
        values = np.array(words, np.float64).reshape(-1, WIDTH)
    except ValueError:
        k = next(k for k, word in enumerate(words) if not _is_number(word))
        raise UserError(f"{where}: {words[k][:20]!r} in frame {k // WIDTH} is no number") from None
    if not (np.abs(values) < 1e3).all():  # shoulders are 1/3 apart
        t, k = np.argwhere(~(np.abs(values) < 1e3))[0]
        raise UserError(f"{where}: value {k} of frame {t} is {values[t, k]}; coordinates are some tenths")
    counter = values[:, -1]
    if (np.diff(counter) < 0).any() or counter[0] < 0 or counter[-1] > 1.001:
        raise UserError(f"{where}: the counter should rise from 0 to 1, and goes {counter[0]:.4g} … {counter[-1]:.4g}")
    points = values[:, :-1].reshape(-1, POINTS, 3)[:, ORDER].astype(np.float32)
    return Keypoints(points, np.ones(points.shape[:2], np.float32), FPS)


def read_lines(path: str | Path) -> list[str]:
    """Lines of a ``.text``, ``.gloss`` or ``.files`` file. UserError for what is no UTF-8 text."""
    return list(_lines(Path(path), longest=1 << 16))


def _lines(path: Path, longest: int) -> Iterator[str]:
    try:
        if path.stat().st_size > LARGEST:
            raise UserError(f"{path}: larger than {LARGEST >> 30} GiB")
        with path.open("rb") as file:
            number = 0
            while line := file.readline(longest):
                number += 1
                if len(line) == longest and not line.endswith(b"\n"):
                    raise UserError(f"{path} line {number}: longer than {longest} bytes")
                yield line.decode().rstrip("\r\n")
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error})") from None
    except UnicodeDecodeError:
        raise UserError(f"{path} line {number}: not UTF-8") from None


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True
