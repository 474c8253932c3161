"""The page is whole, small, closed to the network, and keeps every joint to half a millimetre."""

import base64
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from motion_lightning.errors import UserError
from motion_lightning.view import ClipView, viewer_html, write_viewer
from motion_lightning.view.body import figure
from motion_lightning.view.camera import Camera, fit
from motion_lightning.view.page import encode_joints

VOID = {"meta", "link", "input", "img", "br", "path", "circle", "line", "rect", "polyline", "polygon"}


class Elements(HTMLParser):
    """Elements with their attributes and text; fails on a tag that closes another."""

    def __init__(self, page: str):
        super().__init__()
        self.open, self.found, self.text = [], [], {}
        self.feed(page)
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open:
            self.text.setdefault(self.open[-1], []).append(data)


def decode(text: str, joints: int) -> np.ndarray:
    """The reader's side: base64 of zigzag varints, differences between frames, millimetres."""
    values, code, shift = [], 0, 0
    for byte in base64.b64decode(text):
        code |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            values.append((code >> 1) ^ -(code & 1))
            code = shift = 0
    return np.cumsum(np.array(values).reshape(-1, joints, 3), 0) / 1000


def page_data(page: str) -> dict:
    return json.loads(re.search(r'<script type="application/json">(.*?)</script>', page, re.S)[1])


@given(arrays(np.float64, st.tuples(st.integers(1, 6), st.integers(1, 4), st.just(3)), elements=st.floats(-9e4, 9e4)))
@settings(max_examples=60, deadline=None)
def test_joints_survive_to_half_a_millimetre(joints):
    assert np.abs(decode(encode_joints(joints), joints.shape[1]) - joints).max() <= 0.0005 + 1e-9


def test_page_holds_every_clip_and_parses(clip, skeleton, walk):
    page = viewer_html([clip(20), clip(35, "a person runs", title="second", fps=30, notes="slow")], "Two")
    elements = Elements(page)
    assert sum(tag == "canvas" for tag, _ in elements.found) == 2
    assert "Two" in elements.text["h1"] and "a person runs" in elements.text["span"]
    data = page_data(page)
    assert [c["fps"] for c in data["clips"]] == [20, 30]
    assert np.abs(decode(data["clips"][1]["joints"], 22) - walk(35)).max() <= 0.0005 + 1e-9


def test_page_loads_nothing(clip):
    page = viewer_html([clip()], "Closed")
    assert not re.search(r"https?:|//[a-z]+\.[a-z]|@import|url\(|<iframe|fetch\(|XMLHttpRequest|WebSocket", page)
    for tag, attributes in Elements(page).found:
        for key in ("src", "href"):
            assert attributes.get(key, "data:").startswith("data:"), tag
    assert "default-src 'none'" in page


def test_size_of_eight_restless_clips(tmp_path, walk):
    noise = np.random.default_rng(0).normal(0, 0.5, (8, 100, 22, 3))  # far worse than any motion
    clips = [ClipView(walk(100) + n, "a person trembles") for n in noise]
    assert write_viewer(tmp_path / "page.html", clips, "Eight").stat().st_size < 200_000 + 8 * 25_000


def test_captions_are_text(clip):
    evil = '<script>alert("1")</script> & </script><!-- $data'
    page = viewer_html([clip(caption=evil, title=evil, notes=evil, group=evil)], evil)
    assert "<script>alert" not in page
    elements = Elements(page)
    assert [tag for tag, _ in elements.found].count("script") == 2
    assert "".join(elements.text["h3"]) == evil


def test_clips_of_one_group_share_a_row(clip):
    page = viewer_html([clip(group="walk"), clip(group="walk"), clip(group="run")], "Rows")
    assert page.count("<h3>") == 2


def test_sides_are_the_bodys_own(skeleton):
    shape = figure(skeleton)
    assert [shape.sides[skeleton.index(f"{side}_wrist")] for side in ("left", "right")] == ["left", "right"]
    assert shape.sides[0] == "centre" and shape.joints[shape.head] == "head"


def test_left_is_at_the_right_of_a_viewer_in_front(skeleton, walk):
    pose = walk(1)[0]
    for azimuth, sign in ((0, 1), (0.62, 1), (np.pi, -1)):
        xy, _ = Camera(np.array([0, 0.9, 0]), 4.0, azimuth).project(pose, 400, 300)
        across = xy[skeleton.index("left_wrist"), 0] - xy[skeleton.index("right_wrist"), 0]
        assert across * sign > 20


@pytest.mark.parametrize("aspect", [0.6, 1.0, 2.0])
def test_camera_keeps_everything_in_the_picture(aspect, walk):
    points = walk(80)[::8].reshape(-1, 3)
    camera = fit(points, aspect)
    xy, _ = camera.project(points, 100 * aspect, 100)
    low, high = xy.min(0), xy.max(0)
    assert (low > 0).all() and (high < (100 * aspect, 100)).all()
    assert max((high - low) / (100 * aspect, 100)) > 0.8  # and no farther than needed


@pytest.mark.parametrize("joints", [np.zeros((5, 21, 3)), np.zeros((0, 22, 3)), np.full((5, 22, 3), np.nan)])
def test_joints_that_cannot_be_drawn(tmp_path, joints):
    with pytest.raises(UserError, match="clip 0"):
        write_viewer(tmp_path / "page.html", [ClipView(joints, "broken")], "Broken")
    assert not list(tmp_path.iterdir())


def test_no_clips():
    with pytest.raises(UserError, match="no clips"):
        viewer_html([], "Empty")
