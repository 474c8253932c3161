"""The command: what it writes, what it prints, and its exit status."""

import json
import re
from functools import partial

import numpy as np
import pytest

from motion_lightning.data.bvh_corpus import BvhCorpus
from motion_lightning.data.clip import Clip
from motion_lightning.data.store import Store
from motion_lightning.data.writer import prepare_store
from motion_lightning.doctor.__main__ import doctor
from motion_lightning.doctor.clips import Clips
from motion_lightning.doctor.examine import examine
from motion_lightning.doctor.finding import Case, Finding
from motion_lightning.doctor.report import terminal_table, write_page

CORPUS = ["data.corpus.train=8", "data.corpus.val=3", "data.corpus.test=3", "data.corpus.workers=0"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("MOTION_LIGHTNING_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def call(call):
    """Run ``doctor`` on a small corpus with arguments; its exit status."""
    return partial(call, doctor, *CORPUS)


def test_a_corpus_is_examined(folder, capsys, monkeypatch, clean, listed, tiny_encoder, call):
    store = folder / "store"
    prepare_store(listed(clean), tiny_encoder, store, progress=False)
    monkeypatch.setattr("motion_lightning.doctor.__main__.ensure_store", lambda cfg: store)
    assert call("out=seen") == 0
    assert re.search(r"✓ frozen frames +none of 24 clips", capsys.readouterr().out)
    page = (folder / "seen/doctor.html").read_text()
    assert "Examination of Listed &lt;clips&gt;" in page
    assert "default-src 'none'" in page  # no network
    report = json.loads((folder / "seen/doctor.json").read_text())
    assert report["clips"] == 24
    assert {f["state"] for f in report["findings"]} <= {"fine", "note", "warning", "skipped"}
    assert len(report["figures"]["tempo"]) == 24

    # what was changed since it was prepared is an error
    texts = bytearray((store / "texts.bin").read_bytes())
    texts[0] ^= 1
    (store / "texts.bin").write_bytes(texts)
    assert call() == 1
    assert "✗ store files" in capsys.readouterr().out
    assert (store / "doctor/doctor.html").is_file()
    assert call("fail_on=never") == 0
    assert call("fail_on=sometimes") == 2


@pytest.mark.slow
def test_a_corpus_is_prepared_first(folder, capsys, call):
    assert call("out=seen") == 0
    out = capsys.readouterr().out
    assert "preparing the store, once" in out
    assert "none of 14 clips" in out


def test_a_page_escapes_what_captions_say(tiny_store, tmp_path):
    finding = Finding("odd <captions>", "note", "read <them>", 3, "captions", [Case("“<script>alert(1)</script>”", 0)])
    page = write_page(tmp_path / "page.html", [finding], Clips(tiny_store)).read_text()
    assert "<script>alert" not in page
    assert page.count("<figure") == 1
    assert "&lt;script&gt;alert(1)" in page
    table = terminal_table([finding])
    assert table.splitlines()[1].startswith("· odd <captions>")
    assert "→ read <them>" in table


class Pictures:
    name, representation, skeleton, fps, min_frames, about = "pictures", "image", None, 1.0, 1, {}

    def fingerprint(self):
        return {}

    def __len__(self):
        return 12

    def clips(self):
        for i in range(12):
            pixels = np.random.default_rng(i % 11).integers(0, 256, (1, 8, 8, 1), np.uint8)
            yield Clip(f"p{i}", pixels, [f"the digit {i % 7}"], "train" if i < 9 else "test")


def test_other_representations_have_the_checks_that_apply(tmp_path, tiny_encoder):
    prepare_store(Pictures(), tiny_encoder, tmp_path / "store", progress=False)
    findings, measured = examine(Store.open(tmp_path / "store"))
    found = {finding.check: finding for finding in findings}
    assert measured == {}
    assert "sliding feet" not in found
    assert [case.row for case in found["same clip in several splits"].cases] == [11]
    assert found["splits that differ"].state == "skipped"
    assert write_page(tmp_path / "page.html", findings, Clips(Store.open(tmp_path / "store"))).is_file()


def test_the_doctor_finds_what_is_wrong_with_real_recordings(shared_data, tmp_path, tiny_encoder):
    """T-pose starts, found where the captions file does not say how many frames to skip."""
    rows = [json.loads(line) for line in (shared_data / "captions.jsonl").read_text().splitlines()]
    few = [row for row in rows if row["id"] in ("cmu_07_03", "cmu_07_09", "cmu_06_02", "cmu_02_04")]
    for row in few:
        row["skip_frames"] = 0
    (tmp_path / "captions.jsonl").write_text("\n".join(map(json.dumps, few)))
    (tmp_path / "cmu_bvh.zip").symlink_to(shared_data / "cmu_bvh.zip")
    prepare_store(BvhCorpus(tmp_path, workers=0), tiny_encoder, tmp_path / "store", progress=False)
    clips = Clips(store := Store.open(tmp_path / "store"))
    found = {finding.check: finding for finding in examine(store)[0]}
    named = {name: {clips.ids[case.row] for case in found[name].cases} for name in found if found[name].cases}
    assert named["T-pose starts"] == {"cmu_07_03.0", "cmu_07_09.0"}
    assert named["teleporting roots"] == {"cmu_07_03.0", "cmu_07_09.0"}
    assert named["frozen frames"] == {"cmu_06_02.0"}
