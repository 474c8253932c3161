import json
import multiprocessing
import os
import pickle
from pathlib import Path

import filelock
import numpy as np
import pytest

from motion_lightning.data import embedding
from motion_lightning.data.clip import Clip, Rejected
from motion_lightning.data.store import Store
from motion_lightning.data.writer import is_current, prepare_store
from motion_lightning.errors import UserError
from motion_lightning.motion.features import STD_GROUPS


class Stopped(BaseException):
    """Stands for Ctrl-C."""


def stop():
    raise Stopped


def kill():
    os._exit(9)  # nothing is flushed, nothing cleaned up


def contents(path: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in path.iterdir()}


def prepare(corpus, encoder, path):
    return prepare_store(corpus, encoder, path, progress=False)


@pytest.mark.parametrize("width", [263, 7])
def test_everything_comes_back(tmp_path, make_corpus, make_encoder, width):
    corpus, encoder = make_corpus(width=width), make_encoder()
    report = prepare(corpus, encoder, tmp_path / "s")
    store = Store.open(tmp_path / "s")
    clips = [item for item in corpus.clips() if isinstance(item, Clip)]
    assert len(store) == len(clips) == report.clips == 36
    for name in ("train", "val", "test"):
        split, expected = store.split(name), [clip for clip in clips if clip.split == name]
        assert split.ids == [clip.id for clip in expected]
        assert split.lengths.tolist() == [len(clip.features) for clip in expected]
        assert report.splits[name] == (len(expected), pytest.approx(split.lengths.sum() / 20 / 60))
        for i, clip in enumerate(expected):
            np.testing.assert_array_equal(split.features(i), clip.features)
            assert split.captions(i) == clip.captions
            assert split.tags(i) == clip.tags
    for i in range(len(store.texts)):
        text = store.texts[i]
        assert store.texts.lookup(text) == i
        cond = encoder.encode([text])
        np.testing.assert_array_equal(store.texts.tokens(i), cond.tokens[0].numpy().astype(np.float16))
        np.testing.assert_array_equal(store.texts.pooled(i), cond.pooled[0].numpy().astype(np.float16))
    assert store.texts.lookup("never said") is None
    assert store.manifest["skeleton"] == "humanml22" and store.manifest["fps"] == 20
    assert [r["id"] for r in store.manifest["rejected"]] == ["c9", "c19", "c29", "c39"]
    store.verify()


def test_statistics_are_numpys_on_training_frames(small_store, make_corpus):
    clips = [c for c in make_corpus().clips() if isinstance(c, Clip) and c.split == "train"]
    frames = np.concatenate([clip.features for clip in clips]).astype(np.float64)
    stats = small_store.stats
    assert stats.count == len(frames)
    np.testing.assert_allclose(stats.mean, frames.mean(0), rtol=1e-12)
    np.testing.assert_allclose(stats.cov, np.cov(frames.T, bias=True), atol=1e-12)
    for group in STD_GROUPS:
        np.testing.assert_allclose(stats.std[group], frames.std(0)[group].mean(), rtol=1e-10)


def test_statistics_without_groups_and_of_a_constant(tmp_path, make_corpus, make_encoder):
    corpus = make_corpus(width=7)
    item = corpus.item

    def with_constant(i):
        clip = item(i)
        if isinstance(clip, Clip):
            clip.features[:, 3] = 0.1
        return clip

    corpus.item = with_constant
    prepare(corpus, make_encoder(), tmp_path / "s")
    store = Store.open(tmp_path / "s")
    frames = np.concatenate([store.split("train").features(i) for i in range(len(store.split("train")))])
    expected = frames.astype(np.float64).std(0)
    expected[3] = 1
    np.testing.assert_allclose(store.stats.std, expected, rtol=1e-10)


def test_unfit_clips_are_left_out_with_their_reason(tmp_path, make_corpus, make_encoder):
    corpus = make_corpus(8, width=5)
    item = corpus.item

    def spoil(i):
        clip = item(i)
        if i == 1:
            clip.features[3, 2] = np.nan
        if i == 2:
            clip.features = clip.features[:19]
        if i == 3:
            clip.captions = ["  "]
        if i == 4:
            clip.id = "c0"
        if i == 5:
            clip.features = clip.features[:, :4]
        return clip

    corpus.item = spoil
    report = prepare(corpus, make_encoder(), tmp_path / "s")
    assert {r.id: r.reason for r in report.rejected} == {
        "c1": "NaN or infinity in the features",
        "c2": "shorter than 20 frames",
        "c3": "no caption",
        "c0": "id was there before",
        "c5": "features are float32 (4,) a frame, not float32 (5,) a frame",
    }
    assert "left out 1: shorter than 20 frames" in str(report)
    assert Store.open(tmp_path / "s").split("train").ids == ["c0"]
    corpus.min_frames = 10
    assert prepare(corpus, make_encoder(), tmp_path / "s").clips == report.clips + 1


def test_a_corpus_without_a_good_clip(tmp_path, make_corpus, make_encoder):
    corpus = make_corpus(3)
    corpus.item = lambda i: Rejected(f"c{i}", "somewhere", "unreadable")
    with pytest.raises(UserError, match=r"no clip is left.*unreadable"):
        prepare(corpus, make_encoder(), tmp_path / "s")
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize("where", ["clip 0", "clip 1", "clip 17", "clip 39", "text 0", "text 1", "text 2"])
def test_an_interrupted_preparation_goes_on_to_the_same_bytes(tmp_path, make_corpus, make_encoder, monkeypatch, where):
    monkeypatch.setattr(embedding, "TEXTS_A_CHUNK", 5)
    prepare(make_corpus(), make_encoder(), tmp_path / "whole")
    stage, at = where.split()
    stops = {"stop": stop, "stop_at": int(at)}
    with pytest.raises(Stopped):
        prepare(
            make_corpus(**stops if stage == "clip" else {}),
            make_encoder(**stops if stage == "text" else {}),
            tmp_path / "s",
        )
    assert not (tmp_path / "s").exists()
    encoder = make_encoder()
    prepare(make_corpus(), encoder, tmp_path / "s")
    assert contents(tmp_path / "s") == contents(tmp_path / "whole")
    assert not (tmp_path / "s.partial").exists()
    whole = -(-len(Store.open(tmp_path / "s").texts) // 5)
    assert encoder.calls == whole - (int(at) if stage == "text" else 0)  # nothing is embedded twice


def test_a_corpus_that_can_start_in_the_middle_makes_no_clip_twice(tmp_path, make_corpus, make_encoder):
    class Startable(make_corpus):
        made = ()

        def clips(self, start=0):
            for i in range(start, self.n):
                if i == self.stop_at:
                    self.stop()
                self.made += (i,)
                yield self.item(i)

    with pytest.raises(Stopped):
        prepare(Startable(stop=stop, stop_at=25), make_encoder(), tmp_path / "s")
    corpus = Startable()
    prepare(corpus, make_encoder(), tmp_path / "s")
    assert corpus.made == tuple(range(25, 40))
    prepare(make_corpus(), make_encoder(), tmp_path / "whole")
    assert contents(tmp_path / "s") == contents(tmp_path / "whole")


@pytest.mark.parametrize("stage", ["clip", "text"])
def test_a_killed_preparation_leaves_the_old_store_and_goes_on(tmp_path, make_corpus, make_encoder, stage):
    prepare(make_corpus(), make_encoder(), tmp_path / "s")
    before = contents(tmp_path / "s")
    corpus = make_corpus(seed=1, stop=kill, stop_at=20 if stage == "clip" else -1)
    encoder = make_encoder(stop=kill, stop_at=0 if stage == "text" else -1)
    process = multiprocessing.get_context("fork").Process(target=prepare, args=(corpus, encoder, tmp_path / "s"))
    process.start()
    process.join()
    assert process.exitcode == 9
    assert contents(tmp_path / "s") == before
    Store.open(tmp_path / "s").verify()
    prepare(make_corpus(seed=1), make_encoder(), tmp_path / "s")
    prepare(make_corpus(seed=1), make_encoder(), tmp_path / "whole")
    assert contents(tmp_path / "s") == contents(tmp_path / "whole") != before


@pytest.mark.parametrize("torn", ["journal.jsonl", "features.bin", "features.ends", "captions.bin", "texts.ends"])
def test_half_written_ends_are_cut_off(tmp_path, make_corpus, make_encoder, torn):
    with pytest.raises(Stopped):
        prepare(make_corpus(stop=stop, stop_at=20), make_encoder(), tmp_path / "s")
    with open(tmp_path / "s.partial" / torn, "ab") as file:
        file.write(b'{"id"')
    prepare(make_corpus(), make_encoder(), tmp_path / "s")
    prepare(make_corpus(), make_encoder(), tmp_path / "whole")
    assert contents(tmp_path / "s") == contents(tmp_path / "whole")


@pytest.mark.parametrize("lost", ["features.bin", "tags.ends", "texts.bin"])
def test_lost_ends_start_again(tmp_path, make_corpus, make_encoder, lost):
    with pytest.raises(Stopped):
        prepare(make_corpus(stop=stop, stop_at=20), make_encoder(), tmp_path / "s")
    os.truncate(tmp_path / "s.partial" / lost, 100)
    prepare(make_corpus(), make_encoder(), tmp_path / "s")
    prepare(make_corpus(), make_encoder(), tmp_path / "whole")
    assert contents(tmp_path / "s") == contents(tmp_path / "whole")


def test_another_corpus_does_not_go_on_with_the_work_of_the_first(tmp_path, make_corpus, make_encoder):
    with pytest.raises(Stopped):
        prepare(make_corpus(stop=stop, stop_at=20), make_encoder(), tmp_path / "s")
    prepare(make_corpus(seed=1), make_encoder(), tmp_path / "s")
    prepare(make_corpus(seed=1), make_encoder(), tmp_path / "whole")
    assert contents(tmp_path / "s") == contents(tmp_path / "whole")


def test_a_stop_between_the_two_renames_loses_nothing(tmp_path, make_corpus, make_encoder):
    prepare(make_corpus(), make_encoder(), tmp_path / "s")
    before = contents(tmp_path / "s")
    (tmp_path / "s").rename(tmp_path / "s.old")
    with pytest.raises(Stopped):
        prepare(make_corpus(seed=1, stop=stop, stop_at=0), make_encoder(), tmp_path / "s")
    assert contents(tmp_path / "s") == before


def test_a_mapped_store_stays_readable_while_it_is_replaced(tmp_path, make_corpus, make_encoder):
    prepare(make_corpus(), make_encoder(), tmp_path / "s")
    split = Store.open(tmp_path / "s").split("train")
    features = split.features(0).copy()
    prepare(make_corpus(seed=1), make_encoder(), tmp_path / "s")
    np.testing.assert_array_equal(split.features(0), features)
    assert not np.array_equal(Store.open(tmp_path / "s").split("train").features(0), features)


def test_is_current(tmp_path, make_corpus, make_encoder):
    corpus, encoder, path = make_corpus(), make_encoder(), tmp_path / "s"
    assert not is_current(path, corpus, encoder)
    prepare(corpus, encoder, path)
    assert is_current(path, corpus, encoder)
    assert not is_current(path, make_corpus(seed=1), encoder)
    corpus.min_frames = 10
    assert not is_current(path, corpus, encoder)
    corpus.min_frames = 20
    encoder.name = "another"
    assert not is_current(path, corpus, encoder)


def test_bad_stores_are_named(tmp_path, small_store, make_corpus, make_encoder):
    path = tmp_path / "s"
    with pytest.raises(UserError, match=r"is no store; run: python -m motion_lightning\.prepare"):
        Store.open(path)
    prepare(make_corpus(), make_encoder(), path)
    whole = contents(path)
    manifest = json.loads(whole["manifest.json"]) | {"version": 0}
    (path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(UserError, match=r"format 0.*python -m motion_lightning\.prepare data=small"):
        Store.open(path)
    assert not is_current(path, make_corpus(), make_encoder())
    (path / "manifest.json").write_bytes(whole["manifest.json"])
    flipped = bytearray(whole["tokens.bin"])
    flipped[5] ^= 1
    (path / "tokens.bin").write_bytes(flipped)
    with pytest.raises(UserError, match=r"tokens\.bin was changed"):
        Store.open(path).verify()
    os.truncate(path / "features.bin", 100)
    with pytest.raises(UserError, match=r"features\.bin is missing or cut"):
        Store.open(path)
    with pytest.raises(UserError, match="split 'dev' is none of train, val, test"):
        small_store.split("dev")


def test_a_store_takes_no_other_folders_place(tmp_path, make_corpus, make_encoder):
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "thesis.tex").write_text("precious")
    with pytest.raises(UserError, match="exists and is not a store"):
        prepare(make_corpus(), make_encoder(), tmp_path / "s")
    assert (tmp_path / "s" / "thesis.tex").read_text() == "precious"


def test_two_preparations_of_one_store(tmp_path, make_corpus, make_encoder):
    with (
        filelock.FileLock(tmp_path / "s.lock"),
        pytest.raises(UserError, match="another process prepares this store"),
    ):
        prepare(make_corpus(), make_encoder(), tmp_path / "s")
    prepare(make_corpus(), make_encoder(), tmp_path / "s")
    with filelock.FileLock(tmp_path / "s.lock", timeout=0):  # given back
        pass


def test_a_store_travels_to_workers_as_its_path(small_store):
    split = small_store.split("val")
    data = pickle.dumps(split)
    assert len(data) < 500
    np.testing.assert_array_equal(pickle.loads(data).features(1), split.features(1))


def test_collate_pads_and_masks(small_store):
    split = small_store.split("train")
    batch = split.collate([3, 0], max_frames=30, multiple_of=8, starts=[2, 0])
    assert batch.x.shape == (2, 32, 263)
    for row, (i, start) in enumerate([(3, 2), (0, 0)]):
        clip = split.features(i)[start : start + 30]
        assert batch.mask[row].tolist() == [t < len(clip) for t in range(32)]
        np.testing.assert_array_equal(batch.x[row, : len(clip)], clip)
        assert not batch.x[row, len(clip) :].any()
        text = batch.info.caption[row].item()
        assert small_store.texts[text] == split.captions(i)[0]
        n = batch.cond.mask[row].sum()
        np.testing.assert_array_equal(batch.cond.tokens[row, :n], small_store.texts.tokens(text))
        assert not batch.cond.tokens[row, n:].any()
        np.testing.assert_array_equal(batch.cond.pooled[row], small_store.texts.pooled(text))
    assert batch.info.clip.tolist() == [3, 0]


def test_iter_batches_goes_through_all(small_store):
    split = small_store.split("val")
    batches = list(split.iter_batches(4))
    assert [len(b.x) for b in batches] == [4, 4, len(split) - 8]
    assert [i for b in batches for i in b.info.clip.tolist()] == list(range(len(split)))
    assert next(split.iter_batches(2, order=[5, 1])).info.clip.tolist() == [5, 1]
