"""Shares, intervals and tests against their closed forms; the report of them."""

import json
import math
from pathlib import Path

import pytest

from motion_lightning.judge.answers import Sheet
from motion_lightning.judge.report import summary, write_judging
from motion_lightning.judge.verdicts import share, sign_test, verdicts

Z = 1.959963984540054


@pytest.mark.parametrize(("count", "of"), [(15, 24), (0, 7), (7, 7), (1, 200)])
def test_shares_have_the_interval_of_wilson(count, of):
    p, found = count / of, share(count, of)
    middle = (p + Z**2 / (2 * of)) / (1 + Z**2 / of)
    half = Z / (1 + Z**2 / of) * math.sqrt(p * (1 - p) / of + Z**2 / (4 * of**2))
    assert (found["share"], found["count"], found["of"]) == (p, count, of)
    assert found["low"] == pytest.approx(middle - half, abs=1e-9)
    assert found["high"] == pytest.approx(middle + half, abs=1e-9)
    assert share(0, 0)["share"] is None


def test_the_sign_test_sums_the_tails_of_a_fair_coin():
    tail = sum(math.comb(12, k) for k in range(10, 13)) / 2**12
    assert sign_test(10, 2) == sign_test(2, 10) == pytest.approx(2 * tail)
    assert sign_test(5, 5) == 1 and sign_test(0, 0) is None


def key() -> dict:
    """Six pairs; model ``fox`` is on the left in the first three."""
    sides = [("fox", "ant")] * 3 + [("ant", "fox")] * 3
    items = [
        {"prompt": f"sentence | {i} <b>", "clip": f"c{i}", "left": a, "right": b} for i, (a, b) in enumerate(sides)
    ]
    return {"kind": "pairs", "page": "abc", "seed": 0, "sources": {"fox": {}, "ant": {}}, "items": items}


def sheet(viewer: str, better: str, natural: str = "", kind: str = "pairs") -> Sheet:
    """Answers by their first letters; a dot is none."""
    words = {"l": "left", "r": "right", "n": "neither"}
    answers: dict = {}
    for name, letters in (("better", better), ("natural", natural)):
        for i, letter in enumerate(letters):
            if letter != ".":
                answers.setdefault(i, {"seconds": {}})[name] = words[letter]
                answers[i]["seconds"][name] = 2.0 * (i + 1)
    return Sheet(kind, viewer, answers, Path(f"{viewer}.json"), viewer, "2026")


def test_sides_are_turned_back_into_runs():
    found = verdicts({"pairs": key()}, [sheet("anna", "lllrrl", "nnnlr.")], [])["pairs"]
    better, natural = found["questions"]["better"], found["questions"]["natural"]
    assert better["counts"] == {"ant": 1, "fox": 5, "cannot tell": 0}
    assert natural["counts"] == {"ant": 1, "fox": 1, "cannot tell": 3}
    assert natural["with ties"]["cannot tell"]["share"] == 0.6 and natural["without ties"]["fox"]["of"] == 2
    assert better["left"] == share(4, 6)
    assert better["sign test p"] == sign_test(5, 1)
    assert better["prompts"][5] == {"prompt": "sentence | 5 <b>", "ant": 1, "fox": 0, "cannot tell": 0}
    (viewer,) = found["viewers"]
    assert (viewer["answered"], viewer["of"], viewer["seconds an item, median"]) == (5, 6, 7.0)


def test_several_viewers_of_a_prompt_count_once_by_prompt():
    sheets = [sheet("a", "llrr.."), sheet("b", "llrl.."), sheet("c", "lrnn..")]
    own = verdicts({"pairs": key()}, sheets, [])["pairs"]["questions"]["better"]
    assert own["counts"] == {"ant": 4, "fox": 6, "cannot tell": 2}
    # votes by prompt: fox 3; fox 2, ant 1; ant 2, tie 1; fox 1, ant 1, tie 1
    assert own["by prompt"]["counts"] == {"ant": 1, "fox": 2, "even": 1}
    assert own["by prompt"]["sign test p"] == sign_test(1, 2)


def test_agreement_is_the_share_of_equal_answers_and_kappa_is_beside_chance():
    two = [sheet("a", "lllrrr"), sheet("b", "llrrrl")]  # as runs: fox 6 times, and fox fox ant fox fox ant
    own = verdicts({"pairs": key()}, two, [])["pairs"]["questions"]["better"]["agreement"]
    assert (own["same"], own["of"]) == (4, 6) and own["kappa"] == pytest.approx(0)  # a always says fox
    two = [sheet("a", "llrr.."), sheet("b", "lrr...")]  # fox fox ant | fox ant ant
    own = verdicts({"pairs": key()}, two, [])["pairs"]["questions"]["better"]["agreement"]
    assert (own["same"], own["of"]) == (2, 3)
    assert own["kappa"] == pytest.approx((2 / 3 - 4 / 9) / (1 - 4 / 9))
    alone = verdicts({"pairs": key()}, two[:1], [])["pairs"]["questions"]["better"]
    assert alone["agreement"] is None


def choices() -> tuple[dict, Sheet]:
    sources = ["fox", "fox", "real", "real", "real"]
    items = [
        {
            "prompt": f"s{i}",
            "clip": "",
            "source": source,
            "options": [f"s{(i + k) % 9}" for k in range(8)],
            "right": "1",
        }
        for i, source in enumerate(sources)
    ]
    chosen = {i: {"chosen": answer, "seconds": {"chosen": 4}} for i, answer in enumerate("21111")}
    return {"kind": "choose", "page": "d", "sources": {"fox": {}, "real": {}}, "items": items}, Sheet(
        "choose", "ann", chosen, Path("c.json"), "s", "2026"
    )


def test_accuracy_is_by_source_and_wrong_choices_are_named():
    key, sheet = choices()
    found = verdicts({"choose": key}, [sheet], [])["choose"]
    assert found["chance"] == 1 / 8
    fox, real = found["accuracy"]["fox"], found["accuracy"]["real"]
    assert {n: fox[n] for n in share(1, 2)} == share(1, 2) and {n: real[n] for n in share(3, 3)} == share(3, 3)
    assert real["p of chance"] == pytest.approx(1 / 8**3)
    assert fox["p of chance"] == pytest.approx(1 - (7 / 8) ** 2)
    assert found["confusions"] == [{"source": "fox", "prompt": "s0", "taken for": "s1", "times": 1}]


def test_the_report_says_all_of_it_in_three_forms(tmp_path):
    choose, chosen = choices()
    sheets = [sheet("anna", "lllrrl", "nnnlr."), sheet("ben", "llrrrl", "llllll"), chosen]
    found = verdicts({"pairs": key(), "choose": choose}, sheets, ["x.json is damaged; not counted"])
    page = write_judging(tmp_path, found)
    text = (tmp_path / "judging.md").read_text()
    assert json.loads((tmp_path / "judging.json").read_text()) == json.loads(json.dumps(found))
    better = found["pairs"]["questions"]["better"]["without ties"]["fox"]
    said = f"{100 * better['share']:.1f} % ({100 * better['low']:.1f} – {100 * better['high']:.1f})"
    for words in (said, "Wilson", "sign test", "kappa", "12.5 %", "x.json is damaged", "sentence / 0 <b>"):
        assert words in text
    tables = [block.splitlines() for block in text.split("\n\n") if block.startswith("|")]
    assert all(len({len(line) for line in table}) == 1 for table in tables) and len(tables) == 8
    html = page.read_text()
    assert said in html and "sentence | 0 &lt;b&gt;" in html and "<svg" in html
    assert "None" not in html + text and "nan" not in html + text


def test_a_page_that_nobody_answered_is_left_out(tmp_path):
    found = verdicts({"pairs": key(), "choose": choices()[0]}, [sheet("a", "nn")], [])
    write_judging(tmp_path, found)
    text = (tmp_path / "judging.md").read_text()
    assert "One sentence" not in text and "no answers" in text
    assert summary(found) == "better    fox no answers  ant no answers\nnatural   fox no answers  ant no answers"


def test_the_terminal_says_the_main_figures():
    choose, chosen = choices()
    lines = summary(verdicts({"pairs": key(), "choose": choose}, [sheet("anna", "lllrrl"), chosen], [])).splitlines()
    assert lines[0].startswith("better    fox 83.3 % (") and lines[0].endswith("p 0.219")
    assert lines[2].startswith("chosen    fox 50.0 % (") and "real 100.0 % (" in lines[2] and len(lines) == 3
