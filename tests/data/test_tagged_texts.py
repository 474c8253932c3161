import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from motion_lightning.data.tagged_texts import TaggedText, parse_line, read_tagged_texts
from motion_lightning.errors import UserError

POS = "a/DET man/NOUN kick/VERB"

seconds = st.floats(0, 1e6)
captions = st.text(st.characters(exclude_categories=["C"])).map(str.strip).filter(bool)
words = st.text(st.characters(exclude_categories=["C", "Z"], exclude_characters="#"), min_size=1)
tagged = st.builds(
    TaggedText,
    captions,
    st.lists(st.builds("{}/{}".format, words, st.sampled_from(["NOUN", "VERB", "X"]))).map(" ".join),
    seconds,
    seconds,
)


@given(tagged)
def test_what_is_written_is_read(text):
    assert parse_line(str(text)) == text
    assert parse_line(text.caption, "plain") == TaggedText(text.caption)


@given(st.text() | st.text("#/a1. \t\x00nif-", max_size=20), st.sampled_from(["tagged", "plain"]))
def test_any_line_is_read_or_explained(line, style):
    try:
        text = parse_line(line, style)
    except UserError as error:
        assert str(error) and len(str(error)) < 150 and "\n" not in str(error)
    else:
        assert text.caption and text.caption == text.caption.strip()
        assert 0 <= text.start < math.inf and 0 <= text.end < math.inf


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (f"a man kicks.#{POS}#0.0#0.0", TaggedText("a man kicks.", POS)),
        (f"a man kicks.#{POS}#1.5#4.25\r", TaggedText("a man kicks.", POS, 1.5, 4.25)),
        (f"a man kicks.#{POS}#nan#nan", TaggedText("a man kicks.", POS)),
        (f"step #2, then # 3#{POS}#0#0", TaggedText("step #2, then # 3", POS)),
        ("1 2 3##0.0#0.0", TaggedText("1 2 3")),
        ("a man kicks", TaggedText("a man kicks")),
        (f" a man  kicks #  {POS}  #0.0#0.0", TaggedText("a man  kicks", POS)),
    ],
)
def test_lines_of_the_published_kind(line, text):
    assert parse_line(line) == text


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("a man kicks#0.0#0.0", "expected caption#word/TAG"),
        ("step #2", "expected caption#word/TAG"),
        (f"a man kicks#{POS}#0.0", "expected caption#word/TAG"),
        ("a man kicks#a man kicks#0.0#0.0", "got 'a' for word/TAG"),
        (f"a man kicks#{POS}#0.0#0,5", "got '0,5' for a time"),
        (f"a man kicks#{POS}##", "got '' for a time"),
        (f"a man kicks#{POS}#-1.0#2.0", "a time of -1.0 seconds"),
        (f"a man kicks#{POS}#0.0#inf", "a time of inf seconds"),
        (f" #{POS}#0.0#0.0", "an empty caption"),
        ("a man\x00kicks", "control characters"),
    ],
)
def test_damaged_lines(line, said):
    with pytest.raises(UserError, match=re.escape(said)):
        parse_line(line)


def test_a_file(tmp_path):
    path = tmp_path / "000000.txt"
    path.write_bytes(f"\ufeffa man kicks.#{POS}#0.0#0.0\r\n\r\n   \nwrong#1\nkörper#x/X#2.0#5.0\n".encode())
    texts, wrong = read_tagged_texts(path)
    assert texts == [TaggedText("a man kicks.", POS), TaggedText("körper", "x/X", 2, 5)]
    assert [text.whole for text in texts] == [True, False]
    assert [number for number, _ in wrong] == [4]
    assert len(read_tagged_texts(path, "plain")[0]) == 3


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(UserError, match="cannot be read"):
        read_tagged_texts(tmp_path / "000000.txt")
    (tmp_path / "000000.txt").write_bytes(b"a man\xff kicks")
    with pytest.raises(UserError, match="not UTF-8 at byte 5"):
        read_tagged_texts(tmp_path / "000000.txt")
