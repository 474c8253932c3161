"""The report shows what is there, and says what is not."""

import csv
import html
import json
import math
import re

import pytest
import yaml

from motion_lightning.view.charts import Line, interval_chart, line_chart
from motion_lightning.view.fragment import Fragment, viewer
from motion_lightning.view.report import logged_skill, read_metrics, write_report

FRAME = [0.9 * 0.7**i for i in range(10)]
EVALUATION = {
    "skill": {
        "bins": list(range(10)),
        "model": [0.5 * f for f in FRAME[:9]] + [math.nan],
        "frame": FRAME,
        "sequence": [0.4 * f for f in FRAME],
        "judged": [False] + [True] * 9,
        "passed": True,
    },
    "audit": {
        "right": [0.08, 0.07, 0.09],
        "null": [0.11, 0.10, 0.12],
        "wrong": [0.1, 0.09, 0.11],
        "passed": False,
        "alarm": "null is undertrained",
    },
    "attributes": {
        "single": {
            "action": {"model": 0.981, "real": 1.0, "retrieval": 0.9},
            "speed": {"model": None, "real": 1.0},
            "count": 77123,
        },
        "paraphrases": {"action": 0.625},
        "compound": None,
    },
    "physical": {"jitter": {"model": 12.0, "real": 10.0, "ratio": 1.2}, "foot_slide": {"model": math.inf}},
    "provenance": {"sampler": "ddim", "guidance": 2.5, "note": "<b>"},
}


@pytest.fixture
def run(tmp_path):
    """A run folder as training leaves it: sparse rows, one loss lost."""
    folder = tmp_path / "my run"
    folder.mkdir()
    skill = [f"val/skill/{name}_{i}" for name in ("model", "frame") for i in range(10)]
    rows = [{"step": s, "lr-AdamW": 1e-3 * (1 - s / 400)} for s in range(0, 400, 10)]
    rows += [{"epoch": 0, "step": s, "train/loss": "nan" if s == 50 else 1 / (1 + s)} for s in range(0, 400, 10)]
    last = dict.fromkeys(skill[:10], 0.1) | dict.fromkeys(skill[10:], 0.2)
    rows.append({"epoch": 1, "step": 399, "val/loss": 0.25, **last})
    with (folder / "metrics.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["epoch", "step", "lr-AdamW", "train/loss", "val/loss", *skill])
        writer.writeheader()
        writer.writerows(rows)
    config = {"name": "my run", "model": {"_target_": "a.b.DiT", "width": 256}, "note": "<script>"}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return folder


def words(page: str) -> str:
    """What a reader sees."""
    body = re.sub(r"<(script|style).*?</\1>", "", page, flags=re.S)
    return re.sub(r"<[^>]*>", " ", body)


def test_full_report(run, clip):
    page = write_report(run, samples=viewer([clip(10), clip(12)]), evaluation=EVALUATION).read_text()
    text = words(page)
    assert text.count("No ") == 0 and page.count('class="chart"') == 4 and page.count("<canvas") == 2
    assert "98.1" in text and "62.5" in text and "null is undertrained" in text and "77123" not in text
    assert re.search(r"0\.9 – 1\.0\s+—\s", text) and "no figure" in text
    assert "1 logged losses were not finite" in text
    assert re.search(r"evaluate '?run=[^ ]*my run' ", html.unescape(page))  # quoted for a shell
    assert not re.search(r"https?:", page) and "default-src 'none'" in page


def test_numbers_that_are_none_are_a_dash_with_a_reason(run):
    page = write_report(run, evaluation=EVALUATION).read_text()
    assert not re.search(r"\b(nan|inf|NaN|Infinity|None)\b", words(page))
    assert 'title="not a finite number">—' in page and 'title="not measured">—' in page


def test_settings_and_provenance_are_text(run):
    page = write_report(run, evaluation=EVALUATION).read_text()
    assert page.count("<script") == 0 and "&lt;script&gt;" in page and "&lt;b&gt;" in page


def test_empty_folder_says_how_to_get_each_part(tmp_path):
    page = write_report(tmp_path).read_text()
    text = words(page)
    for what in ("samples", "curves", "skill", "conditioning audit", "scores", "settings"):
        assert f"No {what}" in text
    assert "motion_lightning.evaluate" in text and [p.name for p in tmp_path.iterdir()] == ["report.html"]


OTHER = {
    "skill": {"model": [0.1] * 10, "frame": [0.2] * 10, "judged": [True] * 10, "passed": True},
    "headline": {"end point error, px": 3.21, "wrong digits": 0.04},
    "tables": {"end point error": {"32 points": {"model": 3.21, "nearest <caption>": 5.5}, "hands": {"model": None}}},
    "shares": {"hands that follow": {"left_hand": {"model": 0.93, "real": 1.0}}},
}


def test_any_kind_of_data_has_a_report(run):
    """Pictures of its own, its own tables; nothing of motions is missed."""
    pictures = Fragment("<img src=data:,x class=own>", ".own { width: 3px }", "<script>own()</script>")
    page = write_report(run, samples=pictures, evaluation=OTHER).read_text()
    text = words(page)
    assert page.count(pictures.body) == page.count(pictures.style) == page.count(pictures.script) == 1
    assert "end point error, px 3.21" in re.sub(r"\s+", " ", text) and "left hand" in text and "93.0" in text
    assert "nearest &lt;caption&gt;" in page and "Physics" not in text and "model / sequence" not in text
    assert "No scores" not in text and "No conditioning audit" in text


def test_what_training_took_is_in_the_head(run):
    (run / "training.json").write_text(json.dumps({"parameters": 2_345_678, "seconds_per_step": 0.0625}))
    text = re.sub(r"\s+", " ", words(write_report(run).read_text()))
    assert "parameters 2.35M" in text and "seconds a step 0.0625" in text


def test_evaluation_of_the_folder_is_read(run):
    (run / "evaluation.json").write_text(json.dumps(EVALUATION))
    assert "98.1" in words(write_report(run).read_text())


def test_sparse_rows_and_logged_skill(run):
    curves = read_metrics(run)
    assert curves["val/loss"] == [(399.0, 0.25)] and len(curves["train/loss"]) == 40
    assert logged_skill(curves) == {"model": [0.1] * 10, "frame": [0.2] * 10}
    page = write_report(run).read_text()
    assert "✓" not in words(page) and "model / frame" in page  # figures without a verdict


@pytest.mark.parametrize("log", [False, True])
def test_chart_keeps_points_inside_and_in_order(log):
    svg = line_chart([Line("a", range(1000), [1 / (1 + x) for x in range(1000)])], "step", "loss", log=log)
    points = re.search(r'<polyline[^>]*points="([^"]*)"', svg)[1].split()
    x, y = zip(*(map(float, p.split(",")) for p in points), strict=True)
    assert len(points) <= 240 and list(x) == sorted(x) and list(y) == sorted(y)
    assert min(x) >= 0 and max(x) <= 640 and min(y) >= 0 and max(y) <= 300


def test_charts_of_nothing_are_nothing():
    assert line_chart([Line("a", [1, 2], [math.nan, math.inf])], "x", "y") == ""
    assert interval_chart([("a", math.nan, 0, 1, "c1")], "x") == ""
    assert "<circle" in line_chart([Line("a", [3], [2])], "x", "y")
