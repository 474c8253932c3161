"""Files that come back: whose count, and what is said of the others."""

import json
import re

import pytest

from motion_lightning.judge.answers import read_answers, read_keys

PAIRS = {"kind": "pairs", "page": "abc", "items": [{"prompt": f"p{i}", "left": "x", "right": "y"} for i in range(4)]}
CHOOSE = {
    "kind": "choose",
    "page": "def",
    "items": [{"prompt": "a", "source": "x", "options": [*"abcdefgh"], "right": "1"} for _ in range(2)],
}


@pytest.fixture
def folder(tmp_path):
    for key in (PAIRS, CHOOSE):
        (tmp_path / f"{key['kind']}.key.json").write_text(json.dumps(key))
    return tmp_path


@pytest.fixture
def sheet(folder):
    """Writes a file of answers; ``more`` replaces parts of it."""

    def sheet(name: str, viewer: str = "", session: str = "s1", saved: str = "2026-01-01T10:00:00.000Z", **more):
        answers = [
            {"item": i, "better": "left", "natural": "right", "seconds": {"better": 2, "natural": 3}} for i in range(4)
        ]
        content = {"kind": "pairs", "page": "abc", "viewer": viewer, "session": session, "saved": saved, "items": 4}
        path = folder / name
        path.write_text(json.dumps({**content, "answers": answers, **more}))
        return path

    return sheet


def read(folder, *files):
    return read_answers(files, read_keys(folder), folder)


def test_whole_files_count_and_nothing_is_said(folder, sheet):
    sheets, notes = read(folder, sheet("a.json", "Anna"), sheet("b.json", "Ben", "s2"))
    assert [s.viewer for s in sheets] == ["Anna", "Ben"] and not notes
    assert sheets[0].answers[3]["natural"] == "right"


ONE = {"item": 0, "better": "left", "natural": "left", "seconds": {}}
REFUSED = [
    ({"page": "other"}, "answers page other, .*pairs.key.json is of page abc"),
    ({"kind": "poll"}, "answers a page of kind 'poll'"),
    ({"answers": [ONE, ONE]}, "damaged"),
    ({"answers": [ONE | {"item": 4}]}, "damaged"),
    ({"answers": [ONE | {"item": True}]}, "damaged"),
    ({"answers": [ONE | {"item": [0]}]}, "damaged"),
    ({"answers": [ONE | {"better": "both"}]}, "damaged"),
    ({"answers": [ONE | {"better": ["left"]}]}, "damaged"),
    ({"answers": [ONE | {"seconds": 3}]}, "damaged"),
    ({"answers": None}, "damaged"),
    ({"answers": [5]}, "damaged"),
    ({"kind": ["pairs"]}, "kind"),
]


@pytest.mark.parametrize(("wrong", "says"), REFUSED, ids=[str(case[0])[:40] for case in REFUSED])
def test_what_is_damaged_or_of_another_page_is_named_and_not_counted(folder, sheet, wrong, says):
    sheets, notes = read(folder, sheet("good.json", "Anna"), sheet("bad.json", "Ben", "s2", **wrong))
    assert [s.viewer for s in sheets] == ["Anna"]
    (note,) = notes
    assert re.search(says, note) and "bad.json" in note and note.endswith("not counted")


@pytest.mark.parametrize("content", [b"", b'{"kind": "pairs", "pa', b"[]", b"\xff\xfe\x00", b"null"])
def test_what_is_no_file_of_answers_is_named(folder, sheet, content):
    (folder / "torn.json").write_bytes(content)
    sheets, notes = read(folder, folder / "torn.json", folder / "none.json", sheet("a.json"))
    assert len(sheets) == 1
    assert "torn.json is damaged" in notes[0] and "none.json: there is no such file" in notes[1]


def test_a_later_file_of_a_viewer_replaces_the_earlier_one_whatever_the_order(folder, sheet):
    late = sheet("late.json", "anna ", "s9", "2026-01-02T10:00:00.000Z")
    early = sheet("early.json", "Anna")
    for files in ((late, early), (early, late)):
        sheets, notes = read(folder, *files)
        assert [s.file for s in sheets] == [late]
        assert notes == [f"{early} is replaced by {late}, which the same viewer saved later; counted once"]


def test_viewers_without_names_are_told_apart_by_their_sessions(folder, sheet):
    one, two = sheet("1.json", "", "s1"), sheet("2.json", "", "s2", "2026-01-01T11:00:00.000Z")
    assert len(read(folder, one, two)[0]) == 2
    named = sheet("3.json", "Ben", "s2", "2026-01-01T12:00:00.000Z")
    sheets, notes = read(folder, one, two, named)
    assert {s.file for s in sheets} == {one, named} and "2.json is replaced by" in notes[0]
    other = sheet("4.json", "Carl", "s2", "2026-01-01T13:00:00.000Z")  # another person at the same browser
    assert {s.file for s in read(folder, named, other)[0]} == {named, other}


def test_the_same_file_twice_counts_once(folder, sheet):
    path = sheet("a.json", "Anna")
    sheets, notes = read(folder, path, folder / "." / "a.json")
    assert len(sheets) == 1 and "named twice" in notes[0]


def test_an_incomplete_file_counts_as_far_as_it_goes(folder, sheet):
    half = [ONE, {"item": 2, "better": "neither", "seconds": {"better": 1}}]
    sheets, notes = read(folder, sheet("half.json", answers=half))
    assert set(sheets[0].answers) == {0, 2}
    assert "half.json is incomplete: 1 of 4 answered" in notes[0]


def test_answers_to_both_pages_of_one_viewer_stand_beside_each_other(folder, sheet):
    chosen = [{"item": i, "chosen": "8", "seconds": {"chosen": 1.5}} for i in range(2)]
    other = sheet("choose.json", "Anna", kind="choose", page="def", answers=chosen)
    sheets, notes = read(folder, sheet("a.json", "Anna"), other)
    assert {s.kind for s in sheets} == {"pairs", "choose"} and not notes
    chosen[0]["chosen"] = "9"
    assert (
        len(read(folder, sheet("a.json", "Anna"), sheet("choose.json", kind="choose", page="def", answers=chosen))[0])
        == 1
    )
