"""Metric features to normalised x and back."""

import numpy as np
import pytest
import torch

from motion_lightning.codecs.motion import PARTS, FeatureCodec
from motion_lightning.errors import UserError
from motion_lightning.metrics.physical import bone_drift, foot_slide
from motion_lightning.motion.features import SLICES, features_to_joints, joints_to_features
from motion_lightning.motion.skeleton import load_skeleton

WIDTHS = {"essential": 67, "no_rotations": 137, "all": 263}


@pytest.fixture(scope="module")
def features(walk) -> torch.Tensor:
    return torch.from_numpy(joints_to_features(walk, load_skeleton()))  # (60, 263)


def fitted(features: torch.Tensor, parts: str = "no_rotations", **options) -> FeatureCodec:
    codec = FeatureCodec(parts, **options)
    codec.take(features.double().mean(0), features.double().std(0), features)
    return codec


def encoded(codec: FeatureCodec, features: torch.Tensor) -> torch.Tensor:
    return codec.normalise(features[None], torch.ones(1, len(features), dtype=torch.bool))[0]


@pytest.mark.parametrize("gain", [1.0, 3.0])
@pytest.mark.parametrize("parts", PARTS)
def test_parts_come_back_in_metric_units(features, parts, gain):
    codec = fitted(features, parts, root_gain=gain)
    x = encoded(codec, features)
    assert x.shape == (len(features), WIDTHS[parts]) and codec.shape[0] == WIDTHS[parts]
    metric = codec.metric(x)
    assert list(metric) == PARTS[parts]
    for name in set(metric) - {"contacts"}:
        torch.testing.assert_close(metric[name], features[:, SLICES[name]], atol=2e-5, rtol=1e-5)
    torch.testing.assert_close(codec.joints(x), features_to_joints(features), atol=5e-5, rtol=1e-5)


@pytest.mark.parametrize("parts", PARTS)
def test_x_is_normalised(features, parts):
    codec = fitted(features, parts)
    x = encoded(codec, features)
    moving = features[:, codec.kept].std(0) > 1e-3
    torch.testing.assert_close(x.mean(0)[moving], torch.zeros(int(moving.sum())), atol=1e-3, rtol=0)
    spread = x.std(0)
    if "contacts" in codec.names:
        spread = spread[:-4][moving[:-4]]  # a foot that always stands has no spread
    else:
        spread = spread[moving]
    torch.testing.assert_close(spread, torch.ones_like(spread), atol=1e-3, rtol=0)


def test_root_gain_scales_the_root_alone(features):
    plain, loud = (encoded(fitted(features, root_gain=gain), features) for gain in (1.0, 3.0))
    torch.testing.assert_close(loud[:, :4], 3 * plain[:, :4])
    torch.testing.assert_close(loud[:, 4:], plain[:, 4:])


def test_padding_is_zero(features):
    codec = fitted(features)
    padded = torch.cat([features, torch.full((9, 263), 4.0)])[None]
    mask = (torch.arange(69) < 60)[None]
    x = codec.normalise(padded, mask)[0]
    assert not x[60:].any()
    torch.testing.assert_close(x[:60], encoded(codec, features))


def test_constant_columns_stay_finite(features):
    still = features[:1].expand(30, -1)
    codec = FeatureCodec()
    codec.take(still.double().mean(0), torch.zeros(263), still)
    x = encoded(codec, still)
    assert x.isfinite().all() and x.abs().max() < 0.1
    torch.testing.assert_close(codec.joints(x), features_to_joints(still), atol=1e-5, rtol=1e-5)


def test_statistics_travel_in_the_state(features):
    codec, other = fitted(features), FeatureCodec()
    assert not torch.equal(encoded(codec, features), encoded(other, features))
    other.load_state_dict(codec.state_dict())
    assert torch.equal(encoded(codec, features), encoded(other, features))
    assert {"mean", "std"} == codec.state_dict().keys()


def test_unknown_parts_name_the_known_ones():
    with pytest.raises(UserError, match=r"codec\.parts=hands.*essential, no_rotations, all"):
        FeatureCodec("hands")


def test_contacts_mean_standing(features):
    """By the speed over the ground, not by HumanML3D's flags, which hold in mid-swing too."""
    codec = fitted(features, stand_speed=0.2)
    stands = codec.metric(encoded(codec, features))["contacts"] > 0.5
    speed = features[:, SLICES["velocities"]].unflatten(-1, (22, 3))[:, [7, 10, 8, 11]].norm(dim=-1) * 20
    assert torch.equal(stands, speed < 0.2)
    assert 0.2 < stands.float().mean() < features[:, SLICES["contacts"]].mean()
    none = fitted(features, stand_speed=0.0)
    assert not (none.metric(encoded(none, features))["contacts"] > 0.5).any()


def test_joints_are_differentiable_and_ignore_autocast(features):
    codec = fitted(features)
    x = encoded(codec, features).requires_grad_()
    codec.joints(x).square().sum().backward()
    assert x.grad[:, :67].any() and x.grad.isfinite().all() and not x.grad[:, 67:].any()
    with torch.autocast("cpu", torch.bfloat16):
        joints = codec.joints(x)
    assert joints.dtype == torch.float32 and torch.equal(joints, codec.joints(x))


def test_reconciled_is_a_cleaner_motion(features):
    codec, skeleton = fitted(features), load_skeleton()
    torch.manual_seed(0)
    x = encoded(codec, features)
    noisy = x + 0.1 * torch.randn_like(x)
    rough, clean = codec.joints(noisy), codec.reconciled(noisy)
    assert clean.shape == (60, 22, 3) and clean.dtype == torch.float32
    assert bone_drift(rough) > 2e-3 and bone_drift(clean) < 1e-6
    assert foot_slide(clean) < 0.5 * foot_slide(rough)
    bones = np.array(skeleton.bones)
    lengths = (clean[:, bones[:, 0]] - clean[:, bones[:, 1]]).norm(dim=-1).double()
    want = torch.from_numpy(skeleton.bone_lengths[bones[:, 0]].copy())
    torch.testing.assert_close(lengths, want.expand_as(lengths), atol=1e-5, rtol=0)


def test_without_velocities_there_is_nothing_to_reconcile(features):
    codec = fitted(features, "essential")
    x = encoded(codec, features)
    assert torch.equal(codec.reconciled(x), codec.joints(x))


def test_kits_joints_come_back_in_metres():
    """251 features of 21 joints in a unit of their own: x knows neither, joints are metres on KIT's bones."""
    kit = load_skeleton("kit21")
    rng = np.random.default_rng(0)
    sway = np.cumsum(np.cumsum(rng.normal(size=(40, 21, 3)), 0), 0) * 0.05  # units
    rest = np.zeros((21, 3))
    for child, parent in kit.bones:
        rest[child] = rest[parent] + kit.t_pose[child]
    features = torch.from_numpy(joints_to_features(rest + sway, kit))
    codec = FeatureCodec("no_rotations", skeleton="kit21")
    codec.take(features.double().mean(0), features.double().std(0), features)
    x = codec.normalise(features[None], torch.ones(1, len(features), dtype=torch.bool))[0]
    assert x.shape[-1] == codec.shape[0] == 251 - 6 * 20
    expected = features_to_joints(features, 21) * kit.metre_per_unit
    torch.testing.assert_close(codec.joints(x), expected, atol=1e-4, rtol=0)
    assert 0.6 < expected[0, 0, 1] < 0.9  # the pelvis of a standing person
    drift = bone_drift(codec.reconciled(x).numpy() / kit.metre_per_unit, kit) * kit.metre_per_unit
    assert drift < 1e-6
