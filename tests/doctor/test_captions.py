"""Checks of captions: what is odd is named, prose is left alone, and mirrored copies say the other side."""

from dataclasses import replace

import pytest

from motion_lightning.doctor.captions import oddities, sides, swapped


@pytest.mark.parametrize(
    ("text", "odd"),
    [
        ("Buy now at http://example.com and walk", "a link"),
        ("the best walking shoes, www.shoes.example", "a link"),
        ("walk", "a single word"),
        ("the left leg of a man", "no verb"),
        ("12 + 3", "no words"),
        ("a person " + "walks and " * 40 + "stops", "83 words"),
        ("une personne lève le bras", "not ASCII: è"),
        ("a person walks#a/DET person/NOUN#0.0#0.0", "marks that are not prose"),
        ("a person\twalks", "marks that are not prose"),
        ("A PERSON WALKS FORWARD", "shouting"),
        ("a person walks on on the grass", "“on on”"),
    ],
)
def test_odd_captions(text, odd):
    assert odd in oddities(text)


@pytest.mark.parametrize(
    "text",
    [
        "a person walks forward, then turns left.",
        "Someone is fencing with an invisible foil",
        "A man vaults over a rail",
        "The person doesn't move (for 3 seconds)",
        "He limped away",
    ],
)
def test_prose_is_not_odd(text):
    assert oddities(text) == []


def test_the_corpus_own_parts_of_speech_decide():
    assert oddities("the man on stilts", "the/DET man/NOUN on/ADP stilts/NOUN") == ["no verb"]
    assert oddities("zumba time", "zumba/VERB time/NOUN") == []


@pytest.fixture(scope="module")
def spoiled(examined, clean):
    """Findings where 21 clips have one caption, 22 an odd and 23 the same twice."""
    clips = [replace(clip, captions=["a person moves"]) for clip in clean[:21]] + clean[21:]
    clips[22] = replace(clips[22], captions=[*clips[22].captions, "VISIT www.example.com"])
    clips[23] = replace(clips[23], captions=["A person waves.", "a person waves", "someone waves"])
    return examined(clips)


def test_nothing_is_found_in_clean_captions(healthy):
    for check in ("empty captions", "odd captions", "captions for many clips", "captions twice in a clip"):
        assert healthy[check].state == "fine"


def test_an_odd_caption_is_found_in_a_corpus(spoiled):
    assert {case.row for case in spoiled["odd captions"].cases} == {22}
    assert "a link 1" in spoiled["odd captions"].advice


def test_a_caption_for_everything_is_found(spoiled):
    (case,) = spoiled["captions for many clips"].cases
    assert case.value == 21
    assert "a person moves" in case.what


def test_a_caption_twice_in_a_clip_is_found(spoiled):
    assert [case.row for case in spoiled["captions twice in a clip"].cases] == [23]


def mirrored(clips, captions):
    """A clip and its mirrored copy with captions of its own."""
    first = replace(
        clips[0], captions=["he waves the left hand", "a man waves"], tags={"recording": "1", "mirrored": False}
    )
    copy = replace(clips[1], id="M1", captions=captions, tags={"recording": "1", "mirrored": True}, split=first.split)
    return [first, copy, *clips[2:]]


def test_mirrored_captions_that_were_not_swapped_are_found(examined, clean):
    assert not examined(mirrored(clean, ["he waves the right hand", "a man waves"]))["mirrored captions"].cases
    finding = examined(mirrored(clean, ["he waves the left hand", "a man waves"]))["mirrored captions"]
    assert finding.of == 1
    assert [case.row for case in finding.cases] == [1]
    assert finding.state == "error"


def test_without_copies_nothing_is_said_about_them(healthy):
    assert healthy["mirrored captions"].state == "skipped"


def test_sides_of_a_caption():
    assert sides("turn Left, then anti-clockwise.") == ("turn then", ("left", "counterclockwise"))
    assert swapped(("left", "right", "counterclockwise", "clockwise")) == (
        "right", "left", "clockwise", "counterclockwise",
    )  # fmt: skip
