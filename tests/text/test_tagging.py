"""Parts of speech: the corpus' own on its text, spaCy's from the cache, several processes at one cache."""

import sqlite3
import subprocess
import sys

import pytest

from motion_lightning.errors import UserError
from motion_lightning.text import tagging
from motion_lightning.text.first_action import words
from motion_lightning.text.tagging import align, line_of_beginning, tag


@pytest.mark.parametrize(
    ("text", "line", "tags"),
    [
        ("A man kicks.", "a/DET man/NOUN kick/VERB", "DET NOUN VERB"),
        ("he turns counter-clockwise", "he/PRON turn/VERB counterclockwise/ADV", "PRON VERB ADV"),
        ("turns 90 degrees", "turn/VERB degree/NOUN", "VERB NUM NOUN"),
        ("jumps 30cm", "jump/VERB cm/NOUN", "VERB NOUN"),
        ("he doesn't move", "he/PRON does/AUX move/VERB", "PRON AUX VERB"),
        ("he can’t move", "he/PRON ca/AUX move/VERB", "PRON AUX VERB"),
        ("the man's left foot", "the/DET man/NOUN left/ADJ foot/NOUN", "DET NOUN ADJ NOUN"),
        ("he is running and stood", "he/PRON be/VERB run/VERB and/CCONJ stand/VERB", "PRON VERB VERB CCONJ VERB"),
        ("two men went by", "two/NUM man/NOUN go/VERB by/ADP", "NUM NOUN VERB ADP"),
        ("...", "", ""),
    ],
)
def test_a_corpus_line_fits_its_text(text, line, tags):
    assert align(text, line) == tags.split()


@pytest.mark.parametrize(
    "line",
    [
        "a/DET man/NOUN",  # too short
        "a/DET man/NOUN kick/VERB twice/ADV",  # too long
        "the/DET man/NOUN kick/VERB",  # another word
        "a/DET man/NOUN walk/VERB",  # another lemma
        "a/DET man kick/VERB",
        "a man kicks",
        "/ / /",
    ],
)
def test_a_line_of_another_text_does_not(line, tmp_path):
    assert align("a man kicks", line) is None
    assert tag(["a man kicks"], [line], tmp_path / "cache") == [["DET", "NOUN", "VERB"]]  # spaCy's


def test_the_corpus_own_tags_go_first(tmp_path):
    cache = tmp_path / "none" / "cache"
    told = ["a/X man/VERB kick/NOUN", "a/DET man/ADV sit/VERB"]
    assert tag(["a man kicks", "a man sits"], told, cache) == [["X", "VERB", "NOUN"], ["DET", "ADV", "VERB"]]
    assert not cache.exists()  # nor was spaCy asked
    assert line_of_beginning("a man", "a man kicks", told[0]) == "a/X man/VERB"
    assert line_of_beginning("a man", "a man kicks", told[1]) == ""


def test_published_lines(shared_data, tmp_path):
    """Four captions of HumanML3D with the tags it came with: they fit, and are spaCy's but for "his" and "their"."""
    for line in (shared_data / "humanml3d_reference" / "texts" / "000000.txt").read_text().splitlines():
        text, told, *_ = line.split("#")
        (spacys,) = tag([text], cache=tmp_path / "cache")
        named = [text[a:b] for a, b in words(text)]
        differ = {word for word, own, other in zip(named, align(text, told), spacys, strict=True) if own != other}
        assert differ <= {"his", "their"}


def test_each_text_is_tagged_once(tmp_path, monkeypatch):
    cache, texts = tmp_path / "cache", ["a man doesn't sit", "", "he waves - left-right", "a man doesn't sit", "日本"]
    first = tag(texts, cache=cache)
    assert [len(tags) for tags in first] == [len(words(text)) for text in texts]
    assert first[0] == ["DET", "NOUN", "AUX", "VERB"]
    monkeypatch.setattr(tagging, "load_tagger", lambda: pytest.fail("all of it is in the cache"))
    assert tag(texts, cache=cache) == first
    assert tag(texts, ["", "", "", "a/DET man/NOUN does/AUX sit/VERB", ""], cache=cache)[0] == first[0]
    assert len(sqlite3.connect(cache).execute("SELECT * FROM tagged").fetchall()) == 4


def test_an_interrupted_run_keeps_what_it_had(tmp_path, monkeypatch):
    tagger = tagging.load_tagger()

    class Stopping:
        def pipe(self, texts, batch_size):
            assert "text 2" not in texts, "stop"
            return tagger.pipe(texts, batch_size=batch_size)

    monkeypatch.setattr(tagging, "CHUNK", 2)
    monkeypatch.setattr(tagging, "load_tagger", Stopping)
    with pytest.raises(AssertionError, match="stop"):
        tag([f"text {i}" for i in range(5)], cache=tmp_path / "cache")
    assert len(sqlite3.connect(tmp_path / "cache").execute("SELECT * FROM tagged").fetchall()) == 2


def test_a_broken_cache_is_named(tmp_path):
    (tmp_path / "cache").write_bytes(b"not a database" * 100)
    with pytest.raises(UserError, match=r"cache, the tagger's cache: .* delete the file"):
        tag(["a man sits"], cache=tmp_path / "cache")


def test_without_the_pipeline(tmp_path, monkeypatch):
    monkeypatch.setattr(tagging, "MODEL", "en_core_web_none")
    tagging.load_tagger.cache_clear()
    with pytest.raises(UserError, match="pip install en-core-web-none"):
        tag(["a man sits"], cache=tmp_path / "cache")
    tagging.load_tagger.cache_clear()


def test_processes_share_a_cache(tmp_path):
    """Three at once on overlapping texts: none fails, and each text is there once."""
    program = (
        "import sys; from pathlib import Path; from motion_lightning.text import tagging; tagging.CHUNK = 10\n"
        "class Doc(list): pass\n"
        "class Token(str): idx, pos_ = 0, 'X'\n"
        "class Tagger:\n    def pipe(self, texts, batch_size): return [[Token(t)] for t in texts]\n"
        "tagging.load_tagger = Tagger\n"
        "start = int(sys.argv[2]); tagging.tag([f'w{i}' for i in range(start, start + 300)], cache=Path(sys.argv[1]))"
    )
    jobs = [subprocess.Popen([sys.executable, "-c", program, tmp_path / "cache", str(100 * k)]) for k in range(3)]
    assert [job.wait() for job in jobs] == [0, 0, 0]
    assert len(sqlite3.connect(tmp_path / "cache").execute("SELECT * FROM tagged").fetchall()) == 500
