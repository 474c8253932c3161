"""The command that shows captions before and after the cut, on files of captions."""

import csv
import json

import pytest

from motion_lightning.first_action import first_action


@pytest.fixture
def call(call, tmp_path, monkeypatch, capfd):
    """Run ``first_action`` with arguments: (exit status, out, err)."""
    monkeypatch.setenv("MOTION_LIGHTNING_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: (call(first_action, *arguments), *capfd.readouterr())


def test_a_file_of_captions(call, tmp_path):
    (tmp_path / "captions.txt").write_text("a man walks and then sits\n\na man waves\na man waves\n")
    status, out, _ = call("texts=captions.txt", "output=pairs.csv")
    assert status == 0
    assert "2 different captions, 1 of more than one action" in out
    assert "a man walks and then sits\n  → a man walks\n" in out
    rows = list(csv.DictReader((tmp_path / "pairs.csv").open()))
    assert [row["first_action"] for row in rows] == ["a man walks", "a man waves"]


def test_tagged_and_json_files(call, tmp_path):
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "0.txt").write_text(
        "a man sits. he waves#a/DET man/NOUN sit/VERB he/PRON wave/VERB#0.0#0.0\n"
    )
    assert call("texts=texts", "mode=first_sentence", "output=pairs.jsonl")[0] == 0
    assert json.loads((tmp_path / "pairs.jsonl").read_text())["first_sentence"] == "a man sits."
    (tmp_path / "a.json").write_text(
        json.dumps({"1": {"annotations": [{"text": "runs"}, {"text": "runs, then hops"}]}})
    )
    assert "2 different captions, 1 of more than one action" in call("texts=a.json")[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["texts=none.txt"], "none.txt: cannot be read"),
        (["texts=empty.txt"], "empty.txt: there is no caption in it"),
        (["texts=odd.txt"], "odd.txt: line 1: expected caption#word/TAG"),
        (["texts=odd.json"], "odd.json is not JSON"),
        (["texts=odd.txt", "mode=last"], "mode=last: there is no such way to cut captions; take one of none, first"),
        (["texts=odd.txt", "output=pairs.xls"], "output=pairs.xls: name a file that ends in .csv or .jsonl"),
        (["texts=odd.txt", "output=none/pairs.csv"], "in a folder that exists"),
    ],
)
def test_bad_input(call, tmp_path, arguments, message):
    (tmp_path / "empty.txt").write_text("\n")
    (tmp_path / "odd.txt").write_text("a man sits#he\n")
    (tmp_path / "odd.json").write_text("{")
    status, _, err = call(*arguments)
    assert status == 2
    assert err.count("\n") == 1
    assert message in err
