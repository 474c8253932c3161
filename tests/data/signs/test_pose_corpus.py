"""Sentences of the invented language, and folders of .pose files."""

import itertools
import json

import numpy as np
import pytest

from motion_lightning.data.clip import SPLITS, Rejected
from motion_lightning.data.signs.keypoints import BODY, conform
from motion_lightning.data.signs.lexicon import ENGLISH, SIGNS, sample_gloss, translations
from motion_lightning.data.signs.pose_corpus import PoseFolderCorpus, SignPoseCorpus
from motion_lightning.data.signs.signing import make_person, perform
from motion_lightning.data.store import Store
from motion_lightning.data.writer import prepare_store
from motion_lightning.errors import UserError

pytest.importorskip("pose_format")


@pytest.fixture(scope="module")
def corpus() -> SignPoseCorpus:
    return SignPoseCorpus(train=12, val=4, test=4, missing=0.05)


@pytest.fixture(scope="module")
def clips(corpus):
    return list(corpus.clips())


def test_clips_have_keypoints_gloss_and_english(corpus, clips):
    assert len(clips) == 20 and len({c.id for c in clips}) == 20
    for clip in clips:
        assert clip.features.dtype == np.float32 and clip.features.shape[1:] == (50, 4)
        assert 45 < len(clip.features) < 120 and np.abs(clip.features).max() < 3
        gloss, spans = clip.tags["gloss"], clip.tags["spans"]
        assert set(gloss) <= set(SIGNS) and len(spans) == len(gloss) in (3, 4)
        assert all(a < b for a, b in spans) and spans[-1][1] <= len(clip.features)
        assert all(b < a for (_, b), (a, _) in itertools.pairwise(spans))
        assert len(set(clip.captions)) == 3
        for text in clip.captions:
            assert all(any(words.strip() in text for words in ENGLISH[sign]) for sign in gloss), (gloss, text)
    unseen = np.mean([c.tags["unseen"] for c in clips])
    assert 0.005 < unseen < 0.1
    people = {split: {c.tags["signer"] for c in clips if c.split == split} for split in SPLITS}
    assert not people["train"] & people["val"] and not people["test"] & (people["train"] | people["val"])
    assert [c.id for c in corpus.clips(start=18)] == [c.id for c in clips[18:]]


def test_bones_keep_their_lengths_and_hands_their_wrists():
    rng = np.random.default_rng(0)
    keypoints, _ = perform(["TODAY", "SEA", "SNOW"], make_person(3), rng)
    points = conform(keypoints).points
    for a, b in ((2, 3), (3, 4), (5, 6), (6, 7), (8, 13), (13, 14), (15, 16), (29, 46), (48, 49)):
        length = np.linalg.norm(points[:, a] - points[:, b], axis=-1)
        np.testing.assert_allclose(length, length[0], rtol=1e-3)
    np.testing.assert_allclose(points[:, [4, 7]], points[:, [8, 29]], atol=1e-5)
    assert len(BODY) == 8 and np.abs(np.diff(points, axis=0)).max() < 0.6  # nothing jumps


def test_signs_differ_and_people_sign_them_alike():
    """A word is told from the others by its hands: the nearest of other people's is the same word."""
    rng, shown = np.random.default_rng(0), {}
    assert [make_person(k).leads for k in (0, 1, 10)] == ["right", "right", "left"]
    for word in SIGNS:
        for k in (0, 1, 10):
            keypoints, spans = perform([word], make_person(k), rng)
            (start, end), lead = spans[0], make_person(k).leads
            points = conform(keypoints).points[start:end]
            if lead == "left":
                points = points * (-1, 1, 1)
                points = points[:, [0, 1, 5, 6, 7, 2, 3, 4, *range(29, 50), *range(8, 29)]]
            at = np.linspace(0, len(points) - 1, 8).round().astype(int)
            shown[word, k] = points[at].ravel()
    right = 0
    for (word, k), own in shown.items():
        others = {key: np.linalg.norm(own - v) for key, v in shown.items() if key[1] != k}
        right += min(others, key=others.get)[0] == word
    # East and west are told by where they go, which a left-handed signer's mirror turns round.
    assert right >= 0.9 * len(shown), right / len(shown)


def test_what_is_exported_is_read_as_a_folder(corpus, clips, tmp_path, make_encoder):
    corpus.export(tmp_path / "poses", progress=False)
    folder = PoseFolderCorpus(tmp_path / "poses", dims=3)
    read = {c.id: c for c in folder.clips()}
    assert set(read) == {c.id for c in clips}
    for clip in clips:
        np.testing.assert_array_equal(read[clip.id].features, clip.features)
        assert read[clip.id].captions == clip.captions and read[clip.id].tags["signer"] == clip.tags["signer"]
    splits = {}
    assert all(splits.setdefault(c.tags["signer"], c.split) == c.split for c in read.values())
    assert set(splits.values()) == set(SPLITS)
    report = prepare_store(folder, make_encoder(), tmp_path / "store", progress=False)
    assert report.clips == 20 and Store.open(tmp_path / "store").split("train").collate([0, 1]).x.shape[2:] == (50, 4)


def test_a_folder_with_good_and_bad_files(make_pose_file, tmp_path):
    good = make_pose_file(frames=12)
    files = {"anna_1": good, "anna_2": good[:-3], "ben_1": b"", "cleo_1": make_pose_file(frames=12, people=2)}
    for name, data in files.items():
        (tmp_path / f"{name}.pose").write_bytes(data)
        (tmp_path / f"{name}.txt").write_text("first text\n\nsecond text\n")
    found = list(PoseFolderCorpus(tmp_path).clips())
    kept = {c.id: c for c in found if not isinstance(c, Rejected)}
    assert set(kept) == {"anna_1", "cleo_1"} and kept["cleo_1"].tags["people"] == 2
    assert kept["anna_1"].captions == ["first text", "second text"] and kept["anna_1"].features.shape == (12, 50, 3)
    assert all(r.reason.startswith("byte ") and r.where.endswith(".pose") for r in found if isinstance(r, Rejected))
    with_depths = list(PoseFolderCorpus(tmp_path, dims=3).clips())
    assert with_depths[0].reason == "no depths in it; set dims: 2"


def test_a_captions_file_takes_the_place_of_texts(make_pose_file, tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "x.pose").write_bytes(make_pose_file(frames=12))
    row = {"file": "sub/x.pose", "captions": ["hello"], "signer": "dora", "split": "val", "gloss": "HELLO"}
    (tmp_path / "captions.jsonl").write_text(json.dumps(row) + "\n")
    (clip,) = PoseFolderCorpus(tmp_path).clips()
    assert (clip.id, clip.split, clip.captions, clip.tags["gloss"]) == ("sub/x", "val", ["hello"], "HELLO")
    before = PoseFolderCorpus(tmp_path).fingerprint()
    (tmp_path / "sub" / "x.pose").write_bytes(make_pose_file(frames=13))
    assert PoseFolderCorpus(tmp_path).fingerprint() != before


def test_translations_are_enough_for_every_sentence():
    rng = np.random.default_rng(1)
    texts = {text for _ in range(300) for text in translations(sample_gloss(rng), rng, 6)}
    assert len(texts) > 1000 and not any("  " in t or "{" in t for t in texts)


@pytest.mark.parametrize("wrong", [{"dims": 4}, {"frames": 3}, {"missing": 0.9}, {"train": -1}, {"signers": (1, 0, 1)}])
def test_settings_that_cannot_be(wrong):
    with pytest.raises(UserError, match=next(iter(wrong))):
        SignPoseCorpus(**wrong)
