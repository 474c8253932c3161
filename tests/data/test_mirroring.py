"""Mirrored captions: against the published ones, and word by word."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from motion_lightning.data.clip import Clip
from motion_lightning.data.mirroring import mirror_text, mirrored_clip


@pytest.mark.parametrize(
    ("text", "mirrored"),
    [
        ("a man kicks with his left leg.", "a man kicks with his right leg."),
        ("Left foot, RIGHT hand, right.", "Right foot, LEFT hand, left."),
        ("he steps leftwards, then rightward", "he steps rightwards, then leftward"),
        ("a left-handed throw; the righthand side", "a right-handed throw; the lefthand side"),
        ("left/right", "right/left"),
        ("the rightmost of the leftmost", "the leftmost of the rightmost"),
        ("turns Clockwise and counterclockwise", "turns Counterclockwise and clockwise"),
        ("counter-clockwise, anti-clockwise, anticlockwise, counter clockwise", "clockwise, " * 3 + "clockwise"),
        ("a circle clock-wise", "a circle counterclockwise"),
        ("stands upright, is bright, alright", "stands upright, is bright, alright"),
        ("turns right away at a right angle", "turns right away at a right angle"),
        ("all right, he turns right after that", "all right, he turns left after that"),
        ("his/DET left/ADJ leg/NOUN left/VERB", "his/DET right/ADJ leg/NOUN right/VERB"),
        ("circle/NOUN counter/NOUN clockwise/ADV", "circle/NOUN clockwise/ADV"),
        ("counterclockwise/ADV", "clockwise/ADV"),
        ("", ""),
    ],
)
def test_sides_change_places_and_nothing_else(text, mirrored):
    assert mirror_text(text) == mirrored


WORDS = ["left", "Right", "LEFT", "left-hand", "rightwards", "clockwise", "Counterclockwise", "upright", "leg", "."]


@given(st.lists(st.sampled_from(WORDS)).map(" ".join))
def test_a_mirror_undoes_itself(text):
    assert mirror_text(mirror_text(text)) == text


@given(st.text())
def test_any_text_has_a_mirror_image(text):
    mirrored = mirror_text(text)
    assert mirrored == text or any(word in text.lower() for word in ("left", "right", "clock"))


def test_the_published_mirrored_captions_are_the_same(shared_data):
    texts = json.loads((shared_data / "kitml_text/annotations.json").read_text())
    pairs = [
        (mirror_text(one["text"]), other["text"])
        for clip, entry in texts.items()
        if f"M{clip}" in texts
        for one, other in zip(entry["annotations"], texts[f"M{clip}"]["annotations"], strict=True)
    ]
    wrong = [(ours, theirs) for ours, theirs in pairs if ours != theirs]
    assert len(pairs) == 6082
    odd = ("upleft", "left angle", "degreerightwards", "contercounter")  # of upright, right angle, and two misspelt
    assert len(wrong) == 11 and all(any(word in theirs for word in odd) for _, theirs in wrong)


def test_a_mirrored_clip_is_another_clip_of_the_same_split():
    clip = Clip("7.0", np.zeros((2, 5)), ["left"], "val", {"recording": "7", "labels": {"content": "left", "n": 1}})
    copy = mirrored_clip(clip, np.ones((2, 5)))
    assert (copy.id, copy.captions, copy.split) == ("M7.0", ["right"], "val")
    assert copy.tags == {"recording": "7", "labels": {"content": "right", "n": 1}, "mirrored": True}
    assert (copy.features == 1).all() and clip.captions == ["left"] and "mirrored" not in clip.tags
