"""Motion programs: what is drawn, what bodies do with it, and the corpus made of it."""

from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from motion_lightning.data.programs.corpus import ProgramCorpus
from motion_lightning.data.programs.program import (
    ACTIONS,
    DIRECTIONS,
    FPS,
    SIDES,
    Program,
    Segment,
    followers,
    sample_program,
)
from motion_lightning.data.programs.synthesis import perform
from motion_lightning.errors import UserError
from motion_lightning.metrics.physical import bone_drift, floating, foot_slide, penetration
from motion_lightning.motion.features import canonicalise, features_to_joints
from motion_lightning.motion.skeleton import load_skeleton

SKELETON = load_skeleton("humanml22")
seeds = st.integers(0, 2**32 - 1)


def rng(seed=0):
    return np.random.default_rng(seed)


def act(action, seed=0, seconds=3.0, **attributes):
    return perform(Program((Segment(action, start=0, end=int(seconds * FPS), **attributes),)), rng(seed))


def joint(motion, name):
    return motion[:, SKELETON.index(name)]


@pytest.fixture(scope="module")
def motions():
    out = []
    for seed in range(120):
        program = sample_program(rng(seed))
        out.append((program, perform(program, rng(seed))))
    return out


@given(seeds)
@settings(max_examples=200, deadline=None)
def test_programs_make_sense(seed):
    program = sample_program(rng(seed))
    assert 2 * FPS <= program.frames <= 5 * FPS
    assert program.segments[0].start == 0
    for before, after in zip(program.segments, program.segments[1:], strict=False):
        assert before.end == after.start and after.action in followers(before.action)
    for s in program.segments:
        assert s.action in ACTIONS and s.seconds >= 0.9
        assert (s.side in SIDES[s.action]) if s.action in SIDES else s.side is None
        assert (s.direction in DIRECTIONS[s.action]) if s.action in DIRECTIONS else s.direction is None
        assert (s.turn is not None) == (s.path in ("circle", "turn"))
    assert Program.from_dict(program.to_dict()) == program


def test_actions_and_attributes_are_balanced():
    programs = [sample_program(rng(seed)) for seed in range(3000)]
    assert len(ACTIONS) >= 15
    assert 0.4 < np.mean([p.compound for p in programs]) < 0.5
    segments = [s for p in programs for s in p.segments]
    counts = [sum(s.action == a for s in segments) for a in ACTIONS]
    assert min(counts) > 0.6 * np.mean(counts) and max(counts) < 1.5 * np.mean(counts)
    for speed, share in (("slow", 0.2), ("normal", 0.6), ("fast", 0.2)):
        assert np.mean([s.speed == speed for s in segments]) == pytest.approx(share, abs=0.03)


def test_a_program_has_one_frame_more_than_features_and_repeats(motions):
    for program, motion in motions[:20]:
        assert motion.shape == (program.frames + 1, 22, 3)
    program, motion = motions[0]
    np.testing.assert_array_equal(perform(program, rng(0)), motion)


def test_no_two_performances_are_alike():
    program = Program((Segment("wave", side="left", start=0, end=60),))
    clips = [perform(program, rng(seed)) for seed in range(12)]
    for a, b in combinations(clips, 2):
        assert np.linalg.norm(a - b, axis=-1).mean() > 0.015


def test_bodies_stay_bodies(motions):
    for program, motion in motions:
        assert np.isfinite(motion).all()
        assert bone_drift(motion) < 1e-9, program
        assert penetration(motion) == 0 and motion[..., 1].min() > -0.01, program
        aloft = any(s.action in ("jump", "run", "hop") for s in program.segments)
        assert aloft or floating(motion) < 1e-3, program
        acceleration = np.diff(motion, n=2, axis=0) * FPS**2
        assert np.linalg.norm(acceleration, axis=-1).max() < 450, program  # m/s²: a fast throw's hand


def test_planted_feet_do_not_move(motions):
    for program, motion in motions:
        assert foot_slide(motion) < 0.1, program  # rolling off and touching down included
        for side in ("left", "right"):
            ankle, ball = joint(motion, f"{side}_ankle"), joint(motion, f"{side}_foot")
            low = np.abs(ball[:, 1]) < 1e-6
            low &= np.abs(ankle[:, 1] - np.percentile(ankle[:, 1], 5)) < 1e-6
            flat = low[1:] & low[:-1]
            for point in (ankle, ball):
                speed = np.linalg.norm(np.diff(point, axis=0), axis=-1)[flat] * FPS
                assert speed.max(initial=0) < 0.02, program


@pytest.mark.parametrize("action", ["walk", "run", "march", "squat", "sit_down"])
def test_knees_bend_forward_and_elbows_too(action):
    way = {"walk": "forward", "run": "forward"}.get(action)
    motion = act(action, direction=way, path="straight" if way else None)
    for side in ("left", "right"):
        hip, knee, ankle = (joint(motion, f"{side}_{n}") for n in ("hip", "knee", "ankle"))
        assert ((knee - 0.5 * (hip + ankle))[:, 2] > 0).all()
        shoulder, elbow, wrist = (joint(motion, f"{side}_{n}") for n in ("shoulder", "elbow", "wrist"))
        assert ((elbow - 0.5 * (shoulder + wrist))[:, 2] < 0.02).all()


def test_left_is_plus_x_and_the_body_faces_plus_z():
    motion = act("wave", side="left")
    assert (joint(motion, "left_shoulder")[:, 0] > joint(motion, "right_shoulder")[:, 0] + 0.2).all()
    lifted = {side: joint(motion, f"{side}_wrist")[:, 1].max() for side in ("left", "right")}
    assert lifted["left"] > 1.4 > lifted["right"]
    assert act("walk", direction="forward", path="straight")[-1, 0, 2] > 1.5
    assert act("walk", direction="backward")[-1, 0, 2] < -1.0
    assert act("sidestep", direction="left")[-1, 0, 0] > 0.5
    hips = act("turn", direction="left")
    across = (joint(hips, "left_hip") - joint(hips, "right_hip"))[-1]
    assert across[2] < 0  # the left hip went back: counter-clockwise seen from above


def test_speeds_are_far_apart():
    for seed in range(5):
        pace = {
            speed: np.abs(np.diff(act("walk", seed, 4, direction="forward", path="straight", speed=speed)[:, 0, 2]))
            for speed in ("slow", "normal", "fast")
        }
        slow, normal, fast = (np.percentile(pace[s], 80) * FPS for s in ("slow", "normal", "fast"))
        assert 1.2 * slow < normal < fast / 1.2


def test_a_seated_body_stays_seated_until_it_stands_up():
    chain = Program((Segment("sit_down", start=0, end=40), Segment("wave", side="right", start=40, end=85)))
    assert perform(chain, rng())[45:, 0, 1].max() < 0.65
    stands = act("stand_up")
    assert stands[0, 0, 1] < 0.65 and stands[-1, 0, 1] > 0.9


@pytest.fixture(scope="module")
def corpus():
    return ProgramCorpus(train=6, val=3, test=3, workers=0)


def test_clips_are_captioned_features_of_the_motion(corpus):
    clips = list(corpus.clips())
    assert len(clips) == len(corpus) == 12
    assert [c.split for c in clips] == ["train"] * 6 + ["val"] * 3 + ["test"] * 3
    assert len({c.id for c in clips}) == 12
    for number, clip in enumerate(clips[:6]):
        program, joints, _ = corpus.motion("train", number)
        assert clip.tags["program"] == program.to_dict()
        assert clip.features.shape == (program.frames, 263) and clip.features.dtype == np.float32
        assert len(clip.captions) == 3 and all(clip.captions)
        back = features_to_joints(torch.from_numpy(clip.features)).numpy()
        np.testing.assert_allclose(back, canonicalise(joints, SKELETON)[:-1], atol=5e-3)


def test_a_clip_depends_on_seed_split_and_number_alone(corpus):
    larger = ProgramCorpus(train=9, val=4, test=3, workers=0)
    one, other = corpus.clip("val", 2), larger.clip("val", 2)
    np.testing.assert_array_equal(one.features, other.features)
    assert one.captions == other.captions
    assert not np.array_equal(one.features, ProgramCorpus(seed=1).clip("val", 2).features)
    assert [c.id for c in corpus.clips(start=8)] == [c.id for c in list(corpus.clips())[8:]]
    assert corpus.fingerprint() != larger.fingerprint()


@pytest.mark.slow
def test_processes_make_the_same_clips():
    few = {"train": 70, "val": 1, "test": 1}
    for a, b in zip(ProgramCorpus(**few, workers=2).clips(), ProgramCorpus(**few, workers=0).clips(), strict=True):
        np.testing.assert_array_equal(a.features, b.features)
        assert a.id == b.id and a.captions == b.captions


@pytest.mark.parametrize("wrong", [{"train": -1}, {"train": 0, "val": 0, "test": 0}, {"compound": 2}, {"texts": 0}])
def test_wrong_settings_are_refused(wrong):
    with pytest.raises(UserError, match=next(iter(wrong))):
        ProgramCorpus(**wrong)


def test_an_action_that_is_left_out_is_neither_shown_nor_told():
    """Clips without it are those of the whole corpus, bit for bit."""
    whole, part = (
        ProgramCorpus(train=40, val=0, test=8, harder=0.5, workers=0, without=without)
        for without in ((), ("hop", "walk"))
    )
    kept = 0
    for one, other in zip(whole.clips(), part.clips(), strict=True):
        actions = {segment["action"] for segment in other.tags["program"]["segments"]}
        assert not actions & {"hop", "walk"}
        assert not any(" hop" in f" {caption.lower()}" for caption in other.captions)
        if not {segment["action"] for segment in one.tags["program"]["segments"]} & {"hop", "walk"}:
            assert np.array_equal(one.features, other.features) and one.captions == other.captions
            kept += 1
    assert 20 < kept < 48
    assert whole.fingerprint() != part.fingerprint() and "without" not in whole.fingerprint()


def test_too_much_cannot_be_left_out():
    with pytest.raises(UserError, match="without=fly is no action of the corpus; these are walk, run"):
        ProgramCorpus(without=["fly"])
    with pytest.raises(UserError, match="at least three actions"):
        ProgramCorpus(without=[action for action in ACTIONS if action not in ("walk", "bow", "sit_down", "stand_up")])
