"""Signers on a page and in pictures."""

import base64
import json
import re
import shutil
import subprocess

import numpy as np
import pytest

from motion_lightning.errors import UserError
from motion_lightning.view.drawing import COLOURS
from motion_lightning.view.fragment import write_page
from motion_lightning.view.signer import GRAIN, UNSEEN, SignerView, Stick, encode, signer_fragment, signer_pictures

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
STICK = Stick(limbs=((1, 0), (1, 2), (2, 3), (1, 4)), sides=("body", "body", "left", "left", "right"), fingers=3)


@pytest.fixture
def clip() -> np.ndarray:
    clip = np.zeros((5, 5, 4), np.float32)
    clip[:, :, :2] = [(0, -0.6), (0, 0), (0.5, 0.4), (0.8, 0.9), (-0.5, 0.4)]
    clip[..., 3] = 1
    clip[:, 3, 0] += np.linspace(0, 0.2, 5)
    return clip


def has(picture: np.ndarray, name: str) -> np.ndarray:
    return (np.abs(picture.astype(int) - COLOURS[name]).max(-1) < 40).nonzero()[1]


def test_limbs_are_drawn_in_the_colours_of_their_sides(clip):
    film = signer_pictures(SignerView(clip, "rain"), STICK, size=96)
    assert film.shape == (5, 96, 96, 3) and film.dtype == np.uint8
    assert has(film[0], "left").min() > 45 and has(film[0], "right").max() < 51
    assert has(film[4], "left").max() > has(film[0], "left").max() + 3  # it moves
    clip[2, 4, 3] = 0
    hidden = signer_pictures(SignerView(clip, "rain"), STICK, size=96)
    assert not len(has(hidden[2], "right")) and len(has(hidden[1], "right"))


def test_a_page_holds_the_coordinates_to_a_thousandth_of_a_shoulder_width(clip):
    clip[1, 2, 3] = 0
    values = np.frombuffer(base64.b64decode(encode(SignerView(clip, "rain"))), "<i2").reshape(5, 5, 2)
    assert (values[1, 2] == UNSEEN).all()
    seen = clip[..., 3] > 0
    np.testing.assert_allclose(values[seen] / GRAIN, clip[..., :2][seen], atol=1e-3)


def test_clips_of_one_caption_stand_in_one_row_and_texts_are_escaped(clip, tmp_path):
    views = [
        SignerView(clip, "<rain> & wind", "sample"),
        SignerView(clip, "<rain> & wind", "real"),
        SignerView(clip, "fog"),
    ]
    fragment = signer_fragment(views, STICK)
    assert fragment.body.count('<section class="sg-row">') == 2 and fragment.body.count("<canvas") == 3
    assert "&lt;rain&gt; &amp; wind" in fragment.body and "<rain>" not in fragment.body
    data = json.loads(re.search(r'<script type="application/json">(.*?)</script>', fragment.body).group(1))
    assert len(data["clips"]) == 3 and data["limbs"][2] == [2, 3, "left", True] and data["points"] == 5
    page = write_page(tmp_path / "page.html", "Signs", fragment).read_text()
    assert "http" not in page.replace("http-equiv", "") and page.count("new Signers") == 1


def test_what_cannot_be_drawn_is_refused_by_name(clip):
    with pytest.raises(UserError, match="at least one"):
        signer_fragment([], STICK)
    clip[2, 1, 0] = np.nan
    with pytest.raises(UserError, match=r"clip 1 .*point 1 of frame 2"):
        signer_fragment([SignerView(clip[:2], "a"), SignerView(clip, "b")], STICK)
    clip[2, 1, 3] = 0  # not seen, so not drawn
    assert signer_fragment([SignerView(clip, "b")], STICK)


@pytest.mark.slow
@pytest.mark.skipif(not CHROMIUM, reason="chromium is not installed")
def test_a_browser_draws_every_panel(clip, tmp_path):
    views = [SignerView(clip, "rain", "sample"), SignerView(clip[:1], "fog")]
    page = write_page(tmp_path / "page.html", "Signs", signer_fragment(views, STICK))
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    for _ in range(4):  # on a busy machine virtual time can run out before the first frame is drawn
        run = [*command, "--virtual-time-budget=20000", "--dump-dom", str(page)]
        dom = subprocess.run(run, capture_output=True, text=True, timeout=120).stdout
        if dom.count("<canvas") == len(re.findall(r"<canvas[^>]* width=", dom)) == 2:  # set when it is drawn
            return
    pytest.fail(dom[-2000:])
