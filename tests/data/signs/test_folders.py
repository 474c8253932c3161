"""Folders of clips and texts: names, signers, splits, films of odd length and shape, films that are broken."""

import json
import sys

import imageio.v2 as imageio
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from motion_lightning.data.clip import SPLITS, Rejected
from motion_lightning.data.signs.pairs import find_pairs, split_signers
from motion_lightning.data.signs.video_folder import VideoFolderCorpus, read_film
from motion_lightning.data.store import Store
from motion_lightning.data.writer import prepare_store
from motion_lightning.errors import UserError


def film(path, frames: int = 30, height: int = 48, width: int = 48) -> None:
    """Grows from black to white; a red square stays in the upper left corner."""
    pictures = np.repeat(np.linspace(0, 255, frames).astype(np.uint8), height * width * 3)
    pictures = pictures.reshape(frames, height, width, 3).copy()
    pictures[:, : height // 3, : width // 3] = (220, 20, 20)
    if path.suffix == ".gif":
        imageio.mimsave(path, list(pictures), duration=40, loop=0)
    else:
        imageio.mimsave(path, list(pictures), fps=25, macro_block_size=2)
    path.with_suffix(".txt").write_text(f"film {path.stem}\n")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("films")
    film(folder / "anna_1.mp4")
    film(folder / "anna_2.gif", frames=41, width=96)
    film(folder / "ben_1.mp4", frames=7)
    film(folder / "cleo_1.mp4", frames=1)
    data = (folder / "anna_1.mp4").read_bytes()
    for name, broken in (("dora_1", data[: len(data) // 3]), ("dora_2", b"no film"), ("dora_3", b"")):
        (folder / f"{name}.mp4").write_bytes(broken)
        (folder / f"{name}.txt").write_text("broken\n")
    data = (folder / "anna_2.gif").read_bytes()
    (folder / "dora_4.gif").write_bytes(data[: len(data) // 2])
    (folder / "dora_4.txt").write_text("broken\n")
    return folder


def test_films_become_even_frames_of_one_size(folder, make_encoder, tmp_path):
    corpus = VideoFolderCorpus(folder, size=32, frames=8)
    found = list(corpus.clips())
    kept = {c.id: c for c in found if not isinstance(c, Rejected)}
    assert set(kept) == {"anna_1", "anna_2", "ben_1"} and len(corpus) == len(found) == 8
    for clip in kept.values():
        assert clip.features.shape == (8, 3, 32, 32) and clip.features.dtype == np.uint8
        grey = clip.features[:, :, 20, 20].mean(1)
        np.testing.assert_allclose(grey, np.linspace(0, 255, 8), atol=24)  # from the first frame to the last
        red = clip.features[:, :, 10 if clip.id == "anna_2" else 4, 4].mean(0)
        np.testing.assert_allclose(red, (220, 20, 20), atol=25)
    assert kept["anna_1"].tags["seconds"] == pytest.approx(1.2, abs=0.1)
    wide = kept["anna_2"].features
    assert wide[:, :, :6].max() < 12 and wide[:, :, -6:].max() < 12  # bars above and below
    assert kept["anna_1"].split == kept["anna_2"].split
    reasons = {r.id: r.reason for r in found if isinstance(r, Rejected)}
    assert (
        all("ffmpeg cannot read it" in reasons[f"dora_{k}"] for k in (1, 2, 3)) and "two at least" in reasons["cleo_1"]
    )
    prepare_store(corpus, make_encoder(), tmp_path / "films", progress=False)
    store = Store.open(tmp_path / "films")
    split = next(store.split(name) for name in SPLITS if "anna_1" in store.split(name).ids)
    x = split.collate([split.ids.index("anna_1")]).x
    assert x.shape == (1, 8, 3, 32, 32) and x.min() >= -1 and x.max() <= 1


def test_a_small_picture_of_fine_stripes_is_grey(tmp_path):
    stripes = np.zeros((96, 96, 3), np.uint8)
    stripes[:, ::2] = 255
    imageio.mimsave(tmp_path / "a_1.gif", [stripes, 255 - stripes, stripes], duration=40)
    picture = read_film(tmp_path / "a_1.gif", 16)
    assert np.abs(picture[:, 3:-3, 3:-3].astype(int) - 127).max() < 25


def test_a_film_that_takes_too_long_is_given_up(folder, tmp_path, monkeypatch):
    sleeper = tmp_path / "ffmpeg"
    sleeper.write_text(f"#!{sys.executable}\nimport time\ntime.sleep(60)\n")
    sleeper.chmod(0o755)
    monkeypatch.setattr("imageio_ffmpeg.get_ffmpeg_exe", lambda: str(sleeper))
    with pytest.raises(UserError, match=r"not read after 0\.3 s"):
        read_film(folder / "anna_1.mp4", 16, seconds=0.3)


def test_a_list_of_other_files_is_no_film(folder, tmp_path):
    (tmp_path / "a_1.mp4").write_text(f"#EXTM3U\n#EXTINF:1,\n{folder / 'anna_1.mp4'}\n#EXT-X-ENDLIST\n")
    with pytest.raises(UserError, match="ffmpeg cannot read it"):
        read_film(tmp_path / "a_1.mp4", 16)


@settings(max_examples=40)
@given(st.lists(st.text("abcdef", min_size=1, max_size=3), max_size=40))
def test_each_signer_has_one_split(signers):
    splits = split_signers(signers)
    assert set(splits) == set(signers)
    assert splits == split_signers(signers[::-1])
    counts = [list(splits.values()).count(split) for split in SPLITS]
    if len(splits) > 2:
        assert all(counts) and counts[0] >= max(counts[1:])
    elif splits:
        assert counts[0] == 1


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("{", "not JSON"),
        ("[" * 5000, "not JSON"),
        ("[1]", "expected an object"),
        ({"file": "../a.mp4", "captions": []}, "leaves its folder"),
        ({"file": "/a.mp4", "captions": []}, "leaves its folder"),
        ({"file": "a\0.mp4", "captions": []}, "leaves its folder"),
        ({"file": "a.mp4", "captions": "walk"}, "list of texts"),
        ({"file": "a.mp4", "captions": [1]}, "list of texts"),
        ({"file": "a.mp4", "captions": ["x"], "split": "dev"}, "split one of"),
        ({"file": "a.avi", "captions": ["x"]}, "none of .gif, .mp4"),
    ],
)
def test_wrong_lines_of_a_captions_file(tmp_path, row, says):
    (tmp_path / "captions.jsonl").write_text("\n" + (row if isinstance(row, str) else json.dumps(row)) + "\n")
    with pytest.raises(UserError, match=says) as error:
        find_pairs(tmp_path, (".gif", ".mp4"))
    assert "captions.jsonl line 2" in str(error.value)


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(UserError, match="is no folder"):
        find_pairs(tmp_path / "nowhere", (".mp4",))
    with pytest.raises(UserError, match=r"no file \*\.mp4"):
        find_pairs(tmp_path, (".mp4",))
    (tmp_path / "a_1.mp4").write_bytes(b"")
    with pytest.raises(UserError, match=r"a_1\.txt: cannot be read .*; one caption a line"):
        find_pairs(tmp_path, (".mp4",))
    (tmp_path / "a_1.txt").write_bytes(b"caf\xe9")
    with pytest.raises(UserError, match=r"a_1\.txt: not UTF-8 at byte 3"):
        find_pairs(tmp_path, (".mp4",))
    with pytest.raises(UserError, match="size=8"):
        VideoFolderCorpus(tmp_path, size=8)
