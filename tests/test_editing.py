"""What edits keep of a source, and where sources come from."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from motion_lightning.assemble import Run
from motion_lightning.editing import find_source, from_file, kept
from motion_lightning.errors import UserError
from motion_lightning.motion.features import columns_of, features_to_joints, joints_to_features, layout
from motion_lightning.motion.skeleton import load_skeleton

SKELETON = load_skeleton()


@pytest.fixture(scope="module")
def run(make_model, tiny_store):
    return Run(make_model(), {"store": str(tiny_store.path), "loader": {}}, None, None, 0)


def test_the_lower_body_is_the_root_and_the_legs():
    names = {SKELETON.joints[j] for j in SKELETON.lower_body}
    legs = {f"{side}_{part}" for side in ("left", "right") for part in ("hip", "knee", "ankle", "foot")}
    assert names == legs | {"pelvis"}
    assert len(load_skeleton("kit21").lower_body) == 11


def test_columns_move_what_they_speak_of(walk):
    """Joints that are kept are where they were, whatever the other columns say."""
    features = torch.from_numpy(joints_to_features(walk, SKELETON))
    lower = columns_of(SKELETON.lower_body, SKELETON)
    other = torch.where(lower, features, torch.randn(features.shape, generator=torch.Generator().manual_seed(0)))
    moved = (features_to_joints(other) - features_to_joints(features)).norm(dim=-1).amax(0)  # (J,)
    for j in range(22):
        assert (moved[j] == 0) == (j in SKELETON.lower_body)


def test_columns_of_all_joints_are_all_columns_and_no_joint_shares_one():
    each = torch.stack([columns_of([j], SKELETON) for j in range(22)])
    assert (each.sum(0) == 1).all() and columns_of(range(22), SKELETON).all()
    parts = layout(22)
    assert [int(each[j, parts["contacts"]].sum()) for j in (7, 8, 10, 11, 0)] == [1, 1, 1, 1, 0]
    assert each[0].sum() == 4 + 3 and each[5].sum() == 3 + 6 + 3  # a root, and a joint without a contact


@pytest.mark.parametrize("parts", ["essential", "no_rotations", "all"])
def test_the_upper_body_is_made_anew_whatever_x_holds(make_model, parts):
    codec = make_model(parts=parts).codec
    keep = kept("upper_body", codec, 7, 0.25)
    assert keep.shape == (7, *codec.shape) and (keep == keep[0]).all()
    positions = keep[0, codec.slices["positions"]].unflatten(0, (21, 3))
    assert [j + 1 for j in range(21) if positions[j].all()] == sorted(SKELETON.lower_body - {0})
    assert keep[0, : codec.slices["root_height"].stop].all()


def test_inbetween_keeps_both_ends(run):
    keep = kept("inbetween", run.model.codec, 40, 0.25)
    assert keep[:10].all() and keep[-10:].all() and not keep[10:-10].any()
    pictures = SimpleNamespace(shape=(3, 8, 8), representation="video")  # of any data with frames
    assert kept("inbetween", pictures, 8, 0.25).sum() == 4 * 3 * 8 * 8


def test_bad_edits_are_refused_in_one_line(run):
    codec = run.model.codec
    for kind, frames, share, words in [
        ("legs", 40, 0.25, "edit=legs is unknown"),
        ("inbetween", 40, 0.5, "keep=0.5 at each end"),
        ("inbetween", 40, 0.0, "between 0 and 0.5"),
        ("inbetween", 3, 0.01, "of 3 frames is less than one"),
    ]:
        with pytest.raises(UserError, match=words) as error:
            kept(kind, codec, frames, share)
        assert "\n" not in str(error.value)
    with pytest.raises(UserError, match="makes video"):
        kept("upper_body", SimpleNamespace(shape=(3, 8, 8), representation="video"), 8, 0.25)


def test_a_source_is_a_clip_of_any_split_by_id_or_number(run, tiny_store):
    train, test = tiny_store.split("train"), tiny_store.split("test")
    third = find_source(run, train.ids[3])
    assert third.name == train.ids[3] and third.caption == train.captions(3)[0] and len(third.x) == train.lengths[3]
    assert find_source(run, 1).name == find_source(run, "1").name == test.ids[1]
    assert find_source(run, None).name == test.ids[0]
    want = run.model.codec.normalise(torch.from_numpy(train.features(3).copy())[None], torch.ones(1, len(third.x)) > 0)
    torch.testing.assert_close(third.x, want[0])


def test_a_source_is_a_file_of_joints(run, walk, tmp_path):
    codec = run.model.codec
    np.save(tmp_path / "walk.npy", walk)
    np.savez(tmp_path / "walk.npz", joints=np.stack([np.pad(walk, ((0, 5), (0, 0), (0, 0)))] * 2), lengths=[61, 66])
    one, two = (find_source(run, tmp_path / f"walk.{kind}") for kind in ("npy", "npz"))
    assert one.x.shape == (60, *codec.shape) and one.caption is None and one.name == "walk.npy"
    torch.testing.assert_close(one.x, two.x)
    torch.testing.assert_close(
        codec.joints(one.x)[..., 1], torch.from_numpy(walk[:60, :, 1]).float(), rtol=0, atol=3e-3
    )


def test_bad_sources_are_refused_in_one_line(run, walk, tmp_path):
    np.save(tmp_path / "few.npy", walk[:, :20])
    np.save(tmp_path / "long.npy", np.tile(walk, (4, 1, 1)))
    np.savez(tmp_path / "named.npz", poses=walk)
    for name in ("walk.bvh", "walk.fbx"):
        (tmp_path / name).write_text("HIERARCHY")
    for wanted, words in [
        ("no-such-clip", "no clip of this run's data: give an id, a number below 3"),
        (99, "a number below 3"),
        (tmp_path / "walk.bvh", r"walk\.bvh line 1: expected MOTION"),
        (tmp_path / "walk.fbx", r"\.fbx files are not read"),
        (tmp_path / "none.npy", "no such file"),
        (tmp_path / "few.npy", r"expected \(frames, 22, 3\)"),
        (tmp_path / "long.npy", "243 frames, at most 200"),
        (tmp_path / "named.npz", "has no joints"),
    ]:
        with pytest.raises(UserError, match=words) as error:
            find_source(run, wanted)
        assert "\n" not in str(error.value)
    with pytest.raises(UserError, match="makes video"):
        from_file(tmp_path / "few.npy", SimpleNamespace(representation="video"))


@pytest.mark.parametrize("kind", ["inbetween", "upper_body"])
def test_kept_joints_are_where_they_were_when_drawn(run, walk, tmp_path, kind):
    """Whatever else a sample says, also after its joints are brought to agree with its velocities."""
    codec = run.model.codec
    np.save(tmp_path / "walk.npy", walk)
    source = find_source(run, tmp_path / "walk.npy").x
    keep = kept(kind, codec, len(source), 0.2)
    torch.manual_seed(0)
    x = torch.where(keep, source, source + 0.3 * torch.randn_like(source))
    before, after = codec.joints(source), codec.reconciled(x, keep)
    if kind == "inbetween":  # what follows a new path starts where that leads
        torch.testing.assert_close(after[:12], before[:12], rtol=0, atol=1e-5)
        local = [joints - joints[:, :1] for joints in (codec.joints(x)[-12:], after[-12:])]
        torch.testing.assert_close(*local, rtol=0, atol=1e-5)
        assert (after - before)[20:40].abs().max() > 0.05
    else:
        lower = sorted(SKELETON.lower_body)
        torch.testing.assert_close(after[:, lower], before[:, lower], rtol=0, atol=1e-5)
        assert (after - before)[:, 20].abs().max() > 0.01
