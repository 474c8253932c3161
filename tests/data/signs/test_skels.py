"""Skeleton text files: the real samples with their texts, and lines that are wrong."""

import numpy as np
import pytest

from motion_lightning.data.clip import Rejected
from motion_lightning.data.signs.pose_corpus import SkelsCorpus
from motion_lightning.data.signs.skels import parse_skels, read_skels
from motion_lightning.data.store import Store
from motion_lightning.data.writer import prepare_store
from motion_lightning.errors import UserError


def line(frames: int = 10, seed: int = 0) -> str:
    rng = np.random.default_rng(seed)
    points = rng.uniform(-0.4, 0.4, (frames, 50, 3))
    points[:, [2, 5]] = [[0.1667, 0, 0], [-0.1667, 0, 0]]
    values = np.concatenate([points.reshape(frames, 150), np.arange(frames)[:, None] / frames], 1)
    return " ".join(f"{v:.5f}" for v in values.ravel())


@pytest.fixture
def folder(tmp_path):
    for split, n in (("train", 4), ("dev", 2), ("test", 1)):
        (tmp_path / f"{split}.skels").write_text("\n".join(line(10 + k, k) for k in range(n)) + "\n")
        for ending, word in (("text", "satz"), ("gloss", "SATZ EINS"), ("files", f"{split}/x")):
            (tmp_path / f"{split}.{ending}").write_text("".join(f"{word} {k}\n" for k in range(n)), encoding="utf-8")
    return tmp_path


def test_the_real_samples(shared_data, make_encoder, tmp_path):
    corpus = SkelsCorpus(shared_data / "sign" / "phoenix14t_sample")
    clips = list(corpus.clips())
    assert [c.split for c in clips] == ["train"] * 5 + ["val"] * 5 + ["test"] * 5
    assert [c.tags["source_frames"] for c in clips] == [
        *(86, 126, 168, 185, 71), *(42, 111, 148, 142, 93), *(181, 150, 198, 130, 111)
    ]  # fmt: skip
    assert [len(c.features) for c in clips if c.tags["source_frames"] <= 196] == [
        c.tags["source_frames"] for c in clips if c.tags["source_frames"] <= 196
    ]
    first = clips[0]
    assert len(first.captions[0].split()) == 11 and first.tags["gloss"][0] == "JETZT"
    assert first.tags["file"].startswith("train/") and clips[5].tags["file"].startswith("dev/")
    for clip in clips:
        points = clip.features[..., :3]
        assert clip.features.shape[1:] == (50, 4) and np.isfinite(points).all() and (clip.features[..., 3] == 1).all()
        assert (points[:, 2, 0] > points[:, 5, 0]).mean() > 0.95  # left and right as the layout says
        for wrist, hand in ((4, 8), (7, 29)):
            assert np.abs(points[:, wrist] - points[:, hand]).max() < 0.3
    report = prepare_store(corpus, make_encoder(), tmp_path / "phoenix", progress=False)
    assert report.clips == 15 and not report.rejected
    split = Store.open(tmp_path / "phoenix").split("test")
    np.testing.assert_array_equal(split.features(1), clips[11].features)
    assert split.collate([0, 1]).x.shape == (2, 184, 50, 4)


def test_left_is_left_in_the_layout():
    values = np.zeros((1, 50, 3))
    values[0, :, 0] = np.arange(50) / 100
    keypoints = parse_skels(" ".join(map(str, [*values.ravel(), 0.0])))
    order = (keypoints.points[0, :, 0] * 100).round().astype(int).tolist()
    assert order[:8] == list(range(8)) and order[8:29] == list(range(29, 50)) and order[29:] == list(range(8, 29))


def test_texts_stay_beside_their_sequences(folder):
    text = (folder / "train.skels").read_text().split("\n")
    text[1] = text[1].replace(" ", " nan ", 1)
    (folder / "train.skels").write_text("\n".join(text))
    clips = list(SkelsCorpus(folder).clips())
    assert isinstance(clips[1], Rejected)
    assert clips[1].where == "train.skels line 2" and "numbers" in clips[1].reason
    assert [c.captions[0] for c in clips if not isinstance(c, Rejected)] == [
        "satz 0", "satz 2", "satz 3", "satz 0", "satz 1", "satz 0"
    ]  # fmt: skip


def test_files_must_fit_together(folder):
    (folder / "dev.gloss").write_text("A\n")
    with pytest.raises(UserError, match=r"dev\.gloss: 1 lines, but dev\.text has 2"):
        SkelsCorpus(folder)
    (folder / "dev.gloss").unlink()
    (folder / "dev.text").write_text("a\nb\nc\n")
    (folder / "dev.files").unlink()
    with pytest.raises(UserError, match=r"dev\.skels: fewer lines than the 3"):
        list(SkelsCorpus(folder).clips())
    (folder / "dev.text").write_text("a\n")
    with pytest.raises(UserError, match=r"dev\.skels: more lines than the 1"):
        list(SkelsCorpus(folder).clips())
    (folder / "train.skels").unlink()
    with pytest.raises(UserError, match=r"no train\.skels"):
        SkelsCorpus(folder)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ("", "a: 0 numbers"),
        ("1 2 3", "a: 3 numbers"),
        (line().replace("0.16670", "0.1x", 1), "a: '0.1x' in frame 0 is no number"),
        (line().replace("-0.16670", "nan", 1), "a: value 15 of frame 0 is nan"),
        (line().replace("-0.16670", "inf", 1), "a: value 15 of frame 0 is inf"),
        (line().replace("-0.16670", "1e9", 1), "a: value 15 of frame 0 is 1000000000.0"),
        (line(12).rsplit(" ", 1)[0] + " 0.1", "a: the counter should rise"),
    ],
)
def test_wrong_lines_are_explained(wrong, says):
    with pytest.raises(UserError) as error:
        parse_skels(wrong, "a")
    assert str(error.value).startswith(says)


def test_no_text_file(tmp_path):
    (tmp_path / "train.skels").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match=r"train\.skels line 1: not UTF-8"):
        list(read_skels(tmp_path / "train.skels"))
