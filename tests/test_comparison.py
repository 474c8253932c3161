"""Runs side by side: order, marks, names, and what a sweep leaves."""

import csv
import json
import re

import pytest
import yaml

from motion_lightning.compare import compare
from motion_lightning.comparison import compare_runs
from motion_lightning.config import main
from motion_lightning.errors import UserError
from motion_lightning.train import train


@pytest.fixture
def run(tmp_path):
    """Makes the folder of a run that was scored: name, skill ratio, and what differs."""

    def run(name: str, ratio: float = 0.5, data: str = "programs test", overrides=(), scored=True, **corpus):
        folder = tmp_path / name
        (folder / ".hydra").mkdir(parents=True)
        (folder / ".hydra" / "overrides.yaml").write_text(yaml.safe_dump(list(overrides)))
        config = {"seed": 3, "data": {"corpus": {"train": 40, "workers": len(name), **corpus}}, "loader": {}}
        (folder / "config.yaml").write_text(yaml.safe_dump(config))
        facts = {"parameters": 2_345_678, "steps": 70, "seconds": 90.0, "seconds_per_step": 0.25}
        (folder / "training.json").write_text(json.dumps(facts))
        scores = {
            "skill": {
                "model": [ratio, 9, ratio],
                "frame": [1, 1, 2],
                "judged": [True, False, True],
                "passed": ratio < 1,
            },
            "audit": {"right": [0.2, 0.1, 0.3], "null": [0.3, 0.2, 0.4], "wrong": [0.4, 0.3, 0.5], "passed": True},
            "headline": {"accuracy": 0.9, "slide, <m>": ratio},
            "provenance": {"step": 70, "data": data, "sampler": "ddim", "steps": 10, "guidance": 2.0, "clips": 6},
        }
        if scored:
            (folder / "evaluation.json").write_text(json.dumps(scores))
        return folder

    return run


@pytest.fixture
def table(tmp_path):
    """Compares runs; the rows of the CSV, by name and in order."""

    def table(*folders) -> dict[str, dict]:
        compare_runs(folders, tmp_path / "out", clips=0)
        with (tmp_path / "out" / "comparison.csv").open() as file:
            return {row["run"]: row for row in csv.DictReader(file)}

    return table


def test_better_skill_stands_first_with_all_its_figures(run, table, tmp_path):
    rows = table(run("a", 0.8), run("b", 0.4), run("c", 1.5))
    assert list(rows) == ["b", "a", "c"]
    row = rows["b"]
    assert (float(row["skill low"]), float(row["skill high"]), row["skill passed"]) == (0.2, 0.4, "True")
    assert (row["accuracy"], row["audit null"], row["parameters"]) == ("0.9", "0.3", "2345678")
    assert (row["seconds a step"], row["minutes"], row["steps"], row["seed"]) == ("0.25", "1.5", "70", "3")
    text = (tmp_path / "out" / "comparison.md").read_text()
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len(lines) == 5 and len({len(line) for line in lines}) == 1
    assert "| 0.75 – 1.50 failed | 0.2 / 0.3 / 0.4 passed |" in lines[-1]
    assert "Every run: steps 70, sampler ddim 10, guidance 2, data programs test, seed 3." in text
    assert "sampler" not in lines[0]


def test_runs_of_other_data_or_other_clips_are_marked_and_stand_below(run, table):
    rows = table(run("other", 0.1, "bvh test"), run("a"), run("b", 0.9), run("small", 0.1, train=4))
    assert list(rows) == ["a", "b", "other", "small"]
    assert rows["a"]["note"] == rows["b"]["note"] == ""
    assert rows["other"]["note"] == "not comparable: scored on bvh test, the others on programs test"
    assert rows["small"]["note"] == "not comparable: data.corpus.train=4 (40)"


def test_runs_without_scores_say_why(run, table, tmp_path):
    failed = run("broken", scored=False)
    (failed / "failed.txt").write_text("the moon is missing")
    started = tmp_path / "2"
    (started / ".hydra").mkdir(parents=True)
    (started / ".hydra" / "overrides.yaml").write_text("[seed=2]")
    rows = table(run("plain", scored=False), failed, started, run("good", 2.0))
    assert next(iter(rows)) == "good"
    assert rows["plain"]["note"].startswith("not scored: python -m motion_lightning.evaluate run=")
    assert rows["plain"]["parameters"] == "2345678"
    assert rows["broken"]["note"] == "failed: the moon is missing"
    assert rows["seed=2"]["note"] == "did not start"


def test_jobs_of_a_sweep_are_named_by_what_was_varied(run, table):
    rows = table(
        run("0", overrides=["model=dit", "seed=1", "name=x"]),
        run("1", overrides=["model=mdm", "seed=1", "name=x"]),
        run("2", overrides=["model=mdm", "seed=2", "name=x"]),
    )
    assert set(rows) == {"model=dit seed=1", "model=mdm seed=1", "model=mdm seed=2"}


def test_runs_of_the_same_name_are_told_apart_by_their_folders(run, table):
    assert all(name.endswith(("x/same", "y/same")) for name in table(run("x/same"), run("y/same")))


def test_the_page_is_whole_and_escapes_what_it_shows(run, tmp_path):
    page = compare_runs([run("a <b>"), run("b", data="bvh test")], tmp_path / "out", clips=0).read_text()
    assert "a &lt;b&gt;" in page and "slide, &lt;m&gt;" in page
    assert page.count('<tr class="apart">') == 1
    assert not re.search(r"https?:|\b(nan|None)\b", page)


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"no config\.yaml"):
        compare_runs([tmp_path], tmp_path / "out")


# ----------------------------------------------------------------------------------------- commands


@pytest.fixture
def call(call, monkeypatch, capsys, tmp_path):
    """Run a command; (exit status, what it printed)."""
    monkeypatch.chdir(tmp_path)
    return lambda command, *arguments: (call(command, *arguments), "".join(capsys.readouterr()))


def test_the_command_compares_runs(run, call, tmp_path):
    run("a"), run("b")
    assert call(compare, "runs=[a,b]", "clips=0", "out=here")[0] == 0
    assert {path.name for path in (tmp_path / "here").iterdir()} == {f"comparison.{k}" for k in ("html", "md", "csv")}
    status, said = call(compare, "runs=[a,none]")
    assert status == 2 and "error: none is not the folder of a run" in said


def test_a_sweep_goes_on_past_a_job_that_fails_and_ends_with_a_comparison(call, tmp_path):
    seen = []

    def job(cfg) -> None:
        seen.append(cfg.seed)
        if cfg.seed == 3:
            raise UserError("the moon is missing: put it back")

    status, said = call(main("train")(job), "-m", "seed=3,5", "sweep=trial")
    assert (status, seen) == (2, [3, 5])
    assert "error: sweeps/trial/0 (seed=3 sweep=trial): the moon is missing: put it back" in said
    with (tmp_path / "sweeps/trial/comparison.csv").open() as file:
        notes = {row["run"]: row["note"] for row in csv.DictReader(file)}
    assert notes == {"seed=3": "failed: the moon is missing: put it back", "seed=5": "did not start"}


def test_a_defect_in_a_job_shows_where_it_is(call, tmp_path):
    def job(cfg) -> None:
        1 / (cfg.seed - 3)

    status, said = call(main("train")(job), "-m", "seed=3,5", "sweep=trial")
    assert status == 2 and "Traceback" in said and "1 / (cfg.seed - 3)" in said
    assert (tmp_path / "sweeps/trial/0/failed.txt").read_text() == "ZeroDivisionError: division by zero"


def test_jobs_of_a_sweep_lie_in_one_folder_whatever_is_varied(call, tmp_path):
    status, _ = call(main("train")(lambda cfg: None), "-m", "model=dit,dit_xs")
    assert status == 0
    (sweep,) = (tmp_path / "sweeps").iterdir()
    assert {path.name for path in sweep.iterdir()} >= {"0", "1", "comparison.html"}


@pytest.mark.slow
def test_a_sweep_over_models_ends_with_their_figures_and_samples_side_by_side(call, tmp_path, monkeypatch):
    monkeypatch.setenv("MOTION_LIGHTNING_HOME", str(tmp_path / "home"))
    little = [f"data.corpus.{name}" for name in ("train=12", "val=4", "test=4", "workers=0")]
    little += ["loader.batch_size=4", "loader.steps_per_epoch=2", "trainer.max_epochs=1", "trainer.accelerator=cpu"]
    little += ["callbacks.samples=null", "sampler.steps=2", "evaluate.shown=1", "logger=csv"]
    status, said = call(train, "-m", "model=dit_xs,mdm", "sweep=models", *little)
    assert status == 0, said[-2000:]
    with (tmp_path / "sweeps/models/comparison.csv").open() as file:
        rows = {row["run"]: row for row in csv.DictReader(file)}
    assert set(rows) == {"model=dit_xs", "model=mdm"}
    for row in rows.values():
        assert row["note"] == "" and row["steps"] == "2" and row["data"] == "programs test"
        for name in ("skill low", "parameters", "seconds a step", "seconds a sample", "jitter, × real"):
            assert float(row[name]) > 0, name
    page = (tmp_path / "sweeps/models/comparison.html").read_text()
    assert page.count("<canvas") == 3 * 4  # real clips and two models, four clips of the split
    assert re.findall(r"<h3>(.*?)</h3>", page) == ["real", *rows]
    assert "model=dit_xs" in (tmp_path / "sweeps/models/comparison.md").read_text()
