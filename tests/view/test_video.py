"""Films have the right length, size and colours."""

import imageio.v2 as imageio
import numpy as np
import pytest

from motion_lightning.errors import UserError
from motion_lightning.view.drawing import COLOURS
from motion_lightning.view.video import pictures, write_gif, write_mp4


def near(picture: np.ndarray, colour: str) -> np.ndarray:
    """Where a picture (H, W, 3) has about the hue of a colour of the palette."""
    want = np.array(COLOURS[colour], float)
    pixels = picture.astype(float)
    pixels, want = pixels - pixels.mean(-1, keepdims=True), want - want.mean()
    cosine = pixels @ want / (np.linalg.norm(pixels, axis=-1) * np.linalg.norm(want) + 1e-6)
    return (cosine > 0.95) & (np.linalg.norm(pixels, axis=-1) > 40)


def test_mp4(tmp_path, clip):
    path = write_mp4(tmp_path / "film.mp4", [clip(12), clip(7, "a person walks and then stops, " * 4)], size=97)
    frames = imageio.mimread(path, memtest=False)
    assert len(frames) == 12
    assert frames[0].shape[0] % 2 == frames[0].shape[1] % 2 == 0
    assert np.abs(frames[0].astype(int) - frames[-1]).max() > 60  # it moves
    assert [p.name for p in tmp_path.iterdir()] == ["film.mp4"]


def test_gif(tmp_path, clip):
    path = write_gif(tmp_path / "film.gif", [clip(21) for _ in range(6)], size=90)
    frames = imageio.mimread(path)
    assert len(frames) == 11  # one second and its end at 10 fps
    assert path.stat().st_size < 3_000_000


def test_clip_that_is_over_holds_its_last_frame(clip):
    frames = [np.asarray(p) for p in pictures([clip(4), clip(9)], size=80)]
    half = frames[0].shape[1] // 2
    assert len(frames) == 9
    assert (frames[3][:, :half] == frames[8][:, :half]).all()
    assert (frames[3][:, half:] != frames[8][:, half:]).any()


def test_left_stays_left(clip):
    """From the front left a T-pose has its left hand at the right of the picture, in the left colour."""
    picture = np.asarray(next(pictures([clip(2, "")], size=240)))[:240]
    across = {side: np.nonzero(near(picture, side))[1] for side in ("left", "right")}
    assert min(len(x) for x in across.values()) > 100
    assert across["left"].mean() > across["right"].mean() + 30


def test_rates_differ(clip):
    assert len(list(pictures([clip(31, fps=30)], size=64, fps=10))) == 11


def test_long_path_is_followed(clip):
    """A walker who covers 15 m stays as large as one who covers 2 m, near enough."""
    tall = []
    for frames in (41, 301):
        picture = np.asarray(next(pictures([clip(frames, "")], size=160)))[:160]
        rows = np.nonzero((near(picture, "left") | near(picture, "right")).any(1))[0]
        tall.append(rows.max() - rows.min())
    assert tall[1] > tall[0]


def test_broken_clip_leaves_no_file(tmp_path, clip):
    broken = clip(5)
    broken.joints[2] = np.inf
    with pytest.raises(UserError, match="frame 2"):
        write_mp4(tmp_path / "film.mp4", [broken])
    assert not list(tmp_path.iterdir())
