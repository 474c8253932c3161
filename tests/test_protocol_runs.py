"""Trained runs by a protocol, as a user meets it: tables, resuming, the ground-truth test, bad input."""

import json
import shutil

import numpy as np
import pytest
import torch

from motion_lightning import protocol_runs
from motion_lightning.evaluate import evaluate
from motion_lightning.evaluator import load_evaluator, overrides
from motion_lightning.protocol import Protocol
from motion_lightning.replications import Replications
from motion_lightning.retrieve import retrieve
from motion_lightning.sample import sample
from motion_lightning.train import train

CORPUS = ["data.corpus.train=24", "data.corpus.val=6", "data.corpus.test=12", "data.corpus.workers=0"]
SHORT = ["loader.batch_size=8", "loader.steps_per_epoch=2", "trainer.max_epochs=1", "trainer.accelerator=cpu"]
SMALL = ["model.width=32", "model.depth=1", "model.ff=64", *SHORT, *CORPUS, "logger=csv"]
FEW = ["protocol.pool=4", "protocol.diversity_pairs=8"]
PROTOCOL = [
    "protocol=programs", "protocol.replications=2", *FEW,
    *("protocol.multimodality.captions=2", "protocol.multimodality.samples=3", "protocol.multimodality.pairs=2"),
    "protocol.multimodality.replications=1",
]  # fmt: skip


@pytest.fixture(scope="module")
def work(tmp_path_factory, call):
    """A folder with a run and an evaluator of one corpus."""
    folder = tmp_path_factory.mktemp("work")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOTION_LIGHTNING_HOME", str(tmp_path_factory.mktemp("home")))
        patch.chdir(folder)
        steps = ["sampler.steps=2", "evaluate=null", "callbacks.samples=null", "logger=csv"]
        assert call(train, "name=a", "model=dit_xs", *SHORT, *CORPUS, *steps) == 0
        assert call(train, "name=judge", "model=evaluator", *SMALL) == 0
        yield folder


@pytest.fixture
def scored(work, call):
    """The run, scored."""
    assert call(evaluate, "run=runs/a", "evaluator=runs/judge", "out=table", *PROTOCOL) == 0
    return json.loads((work / "runs/a/protocol-programs.json").read_text())


def test_a_run_gets_figures_with_intervals_and_where_they_came_from(work, scored):
    names = list(scored["metrics"])
    assert names[:7] == [*(f"R-precision {k}" for k in (1, 2, 3)), "FID", "MM-Dist", "Diversity", "MultiModality"]
    assert scored["metrics"]["FID"]["replications"] == 2 and scored["metrics"]["MultiModality"]["replications"] == 1
    assert "action accuracy, single" in names and "jitter (m/s³)" in names
    assert scored["real"]["FID"]["mean"] < 1e-6 and scored["comparable"], scored["reasons"]
    assert scored["provenance"]["evaluator"] == load_evaluator(work / "runs/judge").digest[:16]
    for suffix in ("md", "tex", "html"):
        assert "FID" in (work / f"table/results.{suffix}").read_text()


def test_a_second_call_samples_only_what_is_missing(work, scored, monkeypatch, call):
    drawn = []
    plain = protocol_runs.sample_split
    monkeypatch.setattr(protocol_runs, "sample_split", lambda *a: drawn.append(len(a[6])) or plain(*a))
    arguments = ["run=runs/a", "evaluator=runs/judge", "out=table", *PROTOCOL]
    assert call(evaluate, *arguments) == 0 and drawn == []
    rows = work / "runs/a/protocol-programs.rows.json"
    kept = json.loads(rows.read_text())
    rows.write_text(json.dumps(kept | {"rows": kept["rows"][:1]}))  # as after an interruption
    assert call(evaluate, *arguments) == 0 and drawn == [12]
    assert json.loads(rows.read_text()) == kept  # the same figures, whenever they are computed
    assert call(evaluate, *arguments, "guidance=1") == 0 and len(drawn) == 4  # other settings, other figures


def test_an_evaluator_is_told_from_a_run_and_a_run_from_an_evaluator(work, capsys, call):
    for arguments, said in [
        (["run=runs/a", "evaluator=runs/a"], "evaluator=runs/a is a run of another kind"),
        (["run=runs/judge", "evaluator=runs/judge"], "makes no samples: it is a first stage, or an evaluator"),
        (["run=runs/a", "evaluator=runs/none"], "evaluator=runs/none: no checkpoints/last.ckpt"),
        (["runs=[runs/a,runs/b]", "evaluator=runs/judge"], "there is no run at runs/b"),
    ]:
        assert call(evaluate, *arguments, *PROTOCOL) == 2
        assert said in capsys.readouterr().err


def test_what_cannot_be_measured_is_said_in_one_line(work, capsys, call):
    for arguments, said in [
        ([*PROTOCOL, "protocol.pool=32"], "12 clips, and a pool of protocol=programs takes 32"),
        ([*PROTOCOL, "protocol.diversity_pairs=13"], "or set protocol.diversity_pairs=12"),
        (["protocol=t2m", *FEW], "python -m motion_lightning.zoo import guo PATH"),
        (["protocol=fid"], "there is no protocol=fid; there are"),
        ([], "say what to score"),
    ]:
        run = ["run=runs/a"] if arguments else []
        judge = ["evaluator=runs/judge"] if arguments and "t2m" not in arguments[0] else []
        assert call(evaluate, *run, *judge, *arguments) == 2
        err = capsys.readouterr().err
        assert said in err and err.count("\n") == 1
    assert call(evaluate, "runs=[runs/a]", "evaluator=runs/judge") == 2
    assert "add protocol=NAME" in capsys.readouterr().err


def test_too_few_clips_are_refused_before_an_evaluator_is_trained_or_a_model_sampled(work, capsys, monkeypatch, call):
    for late in ("find_evaluator", "sample_split"):
        monkeypatch.setattr(protocol_runs, late, None)  # calling it would not end in one line
    assert call(evaluate, "runs=[runs/a]", "protocol=programs", "protocol.pool=5", "protocol.diversity_pairs=11") == 2
    err = capsys.readouterr().err
    assert "test: 12 clips, of which a replication scores 10: too few for the 11 pairs that protocol=programs" in err
    assert err.count("\n") == 1


def test_a_sample_of_nan_gets_no_figure(work, capsys, monkeypatch, call):
    monkeypatch.setattr(
        protocol_runs, "sample_split", lambda model, *a: [torch.full((40, 137), torch.nan) for _ in a[5]]
    )
    assert call(evaluate, "run=runs/a", "evaluator=runs/judge", "guidance=0", *PROTOCOL) == 2
    assert "12 of 12 samples hold NaN" in capsys.readouterr().err


def test_a_diverged_run_is_marked_and_the_others_are_scored(work, scored, monkeypatch, call):
    if not (work / "runs/b").is_dir():
        shutil.copytree(work / "runs/a", work / "runs/b")
        (work / "runs/b/protocol-programs.rows.json").unlink()
    monkeypatch.setattr(
        protocol_runs, "sample_split", lambda model, *a: [torch.full((40, 137), torch.nan) for _ in a[5]]
    )
    assert call(evaluate, "runs=[runs/b,runs/a]", "evaluator=runs/judge", "out=both", *PROTOCOL) == 0
    table = (work / "both/results.md").read_text()
    assert "12 of 12 samples hold NaN" in table and "nan" not in table.replace("NaN", "")
    assert json.loads((work / "runs/a/protocol-programs.json").read_text())["metrics"] == scored["metrics"]
    assert not json.loads((work / "runs/b/protocol-programs.json").read_text())["comparable"]


# ------------------------------------------------------------------------------- the ground-truth test


@pytest.fixture
def judged(work, scored):
    """The evaluator's ground truth on its store: (evaluator, store) → reasons against comparing."""
    protocol = Protocol("programs", pool=4, replications=2, diversity_pairs=8)
    judge = load_evaluator(work / "runs/judge")
    store = protocol_runs.open_data(judge.config, judge.config["store"])

    def judged(evaluator, store) -> list[str]:
        return protocol_runs.ground_truth(Replications(protocol, store.split("test"), evaluator))[2]

    assert judged(judge, store) == []
    return judge, store, judged


def test_another_deviation_in_the_evaluator_is_caught(judged):
    judge, store, reasons = judged
    judge.model.codec.std.copy_(judge.model.codec.std.flip(0))
    assert any("real motions have" in line for line in reasons(judge, store))


def test_a_changed_evaluator_is_caught(work, judged, tmp_path):
    _, store, reasons = judged
    shutil.copytree(work / "runs/judge", tmp_path / "judge")
    file = tmp_path / "judge/checkpoints/last.ckpt"
    state = torch.load(file, weights_only=True)
    state["state_dict"]["model.codec.std"] = state["state_dict"]["model.codec.std"].flip(0)
    torch.save(state, file)
    found = reasons(load_evaluator(tmp_path / "judge"), store)
    assert any("was changed since its figures of real motions were kept" in line for line in found)
    assert any("real motions have" in line for line in found)


class Other:
    """The store with other captions, or other motions."""

    def __init__(self, store, captions=None, speed: float = 1.0):
        self._store, self._captions, self._speed = store, captions, speed
        self.digest = "0" * 64

    def __getattr__(self, name):
        return getattr(self._store, name)

    def split(self, name):
        split, captions, speed = self._store.split(name), self._captions, self._speed
        split.store = self
        ids, collate = split.text_ids, split.collate
        if captions is not None:
            split.text_ids = lambda i: ids(captions[i])

        def faster(*args, **kwargs):
            batch = collate(*args, **kwargs)
            batch.x[..., [0, 1, 2]] *= speed  # as of frames that are further apart than they should be
            batch.x[..., 4 + 63 + 126 : 4 + 63 + 126 + 66] *= speed
            return batch

        split.collate = faster
        return split


def test_shuffled_captions_and_another_frame_rate_are_caught(judged):
    judge, store, reasons = judged
    shuffled = Other(store, captions=np.roll(np.arange(12), 1))
    for other in (shuffled, Other(store, speed=2.0)):
        found = reasons(judge, other)
        assert any("is not the one that the evaluator was trained on" in line for line in found)
        assert any("real motions have" in line for line in found)


# --------------------------------------------------------------------- an evaluator on demand; retrieval


def test_the_overrides_make_the_runs_own_corpus():
    data = {"skeleton": "humanml22", "corpus": {"_target_": "x", "train": 24, "texts": 3, "seed": 0}}
    made = overrides("programs", data)
    assert "data.corpus.train=24" in made and "data.corpus._target_='x'" in made
    assert not any(part.startswith(("data.corpus.texts", "data.corpus.seed", "data.skeleton")) for part in made)


@pytest.mark.slow
def test_an_evaluator_is_trained_on_demand_once(work, capfd, call):
    assert call(evaluate, "run=runs/a", "out=own", *PROTOCOL) == 0
    assert "training an evaluator first, once" in capfd.readouterr().out
    assert call(evaluate, "run=runs/a", "out=own", *PROTOCOL) == 0
    assert "training" not in capfd.readouterr().out


def test_clips_and_sentences_are_found(work, capsys, call):
    assert call(retrieve, "prompt=a person kicks", "evaluator=runs/judge", "n=3", *CORPUS) == 0
    assert call(retrieve, "clip=2", "evaluator=runs/judge", "n=3", *CORPUS) == 0
    assert len(list((work / "retrieval").glob("*.html"))) == 2
    assert call(retrieve, "clip=99", "evaluator=runs/judge", *CORPUS) == 2
    assert "give a number below 12 or an id" in capsys.readouterr().err
    assert call(retrieve, "clip=2", "prompt=x", *CORPUS) == 2


def test_samples_are_as_long_as_their_sentence_leads_to_expect(work, call):
    assert call(sample, "run=runs/a", "prompt=a person walks", "steps=1", "out=long") == 0
    (file,) = (work / "long").glob("*.npz")
    store = protocol_runs.open_data(*(lambda c: (c, c["store"]))(load_evaluator(work / "runs/judge").config))
    lengths = store.split("train").lengths
    assert lengths.min() <= np.load(file)["lengths"][0] <= lengths.max()
