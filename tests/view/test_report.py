"""The report shows what is there, and says what is not."""

import csv
import html
import json
import math
import re

import pytest
import yaml

from motion_lightning.view.charts import Line, interval_chart, line_chart
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
    page = write_report(run, clips=[clip(10), clip(12)], evaluation=EVALUATION).read_text()
    text = words(page)
    assert text.count("No ") == 0 and page.count('class="chart"') == 4 and page.count("<canvas") == 2
    assert "98.1" in text and "62.5" in text and "null is undertrained" in text
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
    for what in ("samples", "curves", "skill", "conditioning audit", "scores", "jitter", "settings"):
        assert f"No {what}" in text
    assert "motion_lightning.evaluate" in text and [p.name for p in tmp_path.iterdir()] == ["report.html"]


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
