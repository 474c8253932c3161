"""Harder programs: what is drawn, and bodies that do two things at once, one thing again, or three in turn."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from motion_lightning.data.programs.captions import captions
from motion_lightning.data.programs.corpus import ProgramCorpus
from motion_lightning.data.programs.harder import FORMS, OVER, sample_harder
from motion_lightning.data.programs.program import FPS, SEATED, Program, Segment
from motion_lightning.data.programs.synthesis import perform
from motion_lightning.errors import UserError
from motion_lightning.metrics.physical import bone_drift, floating, foot_slide, penetration
from motion_lightning.motion.skeleton import load_skeleton

SKELETON = load_skeleton("humanml22")
FEET = ("left_ankle", "left_foot", "right_ankle", "right_foot")


def rng(seed=0):
    return np.random.default_rng(seed)


def joint(motion, name):
    return motion[:, SKELETON.index(name)]


@pytest.fixture(scope="module")
def motions():
    out = []
    for form in FORMS:
        for seed in range(25):
            program = sample_harder(rng(seed), form)
            out.append((program, perform(program, rng(seed))))
    return out


@given(st.sampled_from(FORMS), st.integers(0, 2**32 - 1))
@settings(max_examples=100, deadline=None)
def test_harder_programs_make_sense(form, seed):
    program = sample_harder(rng(seed), form)
    segments, actions = program.segments, [s.action for s in program.segments]
    assert program.form == program.kind == form
    assert Program.from_dict(program.to_dict()) == program
    assert 2 * FPS <= program.frames <= (8 if form in ("count", "three") else 5) * FPS
    assert [s.count is not None for s in segments].count(True) == (form == "count")
    assert len(segments) in {"count": (1, 2), "three": (3,)}.get(form, (2,))
    assert min(s.start for s in segments) == 0 and len(set(actions)) == len(actions)
    if form == "while":
        body, arms = segments
        assert arms.action in OVER[body.action]
        assert body.action != "raise_arm" or {body.side, arms.side} == {"left", "right"}
        assert min(body.end, arms.end) - max(body.start, arms.start) > 0.6 * min(body.seconds, arms.seconds) * FPS
        return
    assert all(a.end == b.start for a, b in pairwise(segments))
    seated = actions[0] == "stand_up"
    for action in actions:
        assert action in SEATED if seated else action != "stand_up"
        seated = action == "sit_down" or (seated and action != "stand_up")


def test_forms_are_drawn_alike_and_counts_too():
    programs = [sample_harder(rng(seed)) for seed in range(1600)]
    shares = [np.mean([p.form == form for p in programs]) for form in FORMS]
    np.testing.assert_allclose(shares, 0.25, atol=0.04)
    counts = [s.count for p in programs for s in p.segments if s.count]
    assert set(counts) == {2, 3, 4, 5} and np.mean(np.array(counts) > 2) > 0.5


def test_what_is_not_set_is_not_written():
    plain = Program((Segment("bow", end=40),)).to_dict()
    assert set(plain) == {"segments"} and not {"count", "turn"} & set(plain["segments"][0])
    counted = Program((Segment("bow", end=60, count=2),), "count").to_dict()
    assert counted["form"] == "count" and counted["segments"][0]["count"] == 2


def test_bodies_stay_bodies_and_planted_feet_do_not_move(motions):
    for program, motion in motions:
        assert motion.shape == (program.frames + 1, 22, 3) and np.isfinite(motion).all()
        assert bone_drift(motion) < 1e-9, program
        assert penetration(motion) == 0 and motion[..., 1].min() > -0.01, program
        aloft = any(s.action in ("jump", "run", "hop") for s in program.segments)
        assert aloft or floating(motion) < 1e-3, program
        acceleration = np.diff(motion, n=2, axis=0) * FPS**2
        assert np.linalg.norm(acceleration, axis=-1).max() < 450, program
        assert foot_slide(motion) < 0.15, program  # fast walks on a narrow circle roll over their feet
        for side in ("left", "right"):
            ankle, ball = joint(motion, f"{side}_ankle"), joint(motion, f"{side}_foot")
            low = np.abs(ball[:, 1]) < 1e-6
            low &= np.abs(ankle[:, 1] - np.percentile(ankle[:, 1], 5)) < 1e-6
            speed = np.linalg.norm(np.diff(ball, axis=0), axis=-1)[low[1:] & low[:-1]] * FPS
            assert speed.max(initial=0) < 0.02, program


def test_a_walk_goes_its_way_while_a_hand_waves():
    walk = Segment("walk", direction="forward", path="straight", end=80)
    wave = Segment("wave", side="left", start=20, end=75)
    both = perform(Program((walk, wave), "while"), rng(4))
    assert both[-1, 0, 2] > 2.5
    up = {s: joint(both, f"{s}_wrist")[:, 1] - joint(both, f"{s}_shoulder")[:, 1] for s in ("left", "right")}
    assert up["left"][35:60].min() > 0.05 and up["left"][:15].max() < -0.3 and up["right"].max() < -0.3
    swing = np.ptp(joint(both, "right_wrist")[:, 2] - joint(both, "right_shoulder")[:, 2])
    assert swing > 0.15  # the other arm swings as in any walk


def test_arms_do_not_change_where_feet_go():
    walk = Segment("walk", direction="forward", path="straight", end=80)
    paths = [
        perform(Program((walk, arms), "while"), rng(4))[:, [SKELETON.index(name) for name in FEET]]
        for arms in (Segment("raise_arm", side="both", start=20, end=60), Segment("punch", side="left", end=30))
    ]
    np.testing.assert_allclose(*paths, atol=0.02)


def test_what_is_raised_in_a_squat_points_up():
    squat, lift = Segment("squat", end=45), Segment("raise_arm", side="both", end=45)
    motion = perform(Program((squat, lift), "while"), rng(1))
    low = int(motion[:, 0, 1].argmin())
    assert motion[low, 0, 1] < 0.65
    for side in ("left", "right"):
        reach = joint(motion, f"{side}_wrist") - joint(motion, f"{side}_shoulder")
        assert reach[low - 3 : low + 4, 1].max() > 0.85 * np.linalg.norm(reach, axis=-1).max()


@pytest.mark.parametrize(("action", "seconds"), [("kick", 5.0), ("raise_arm", 6.5), ("clap", 4.0), ("hop", 4.0)])
def test_a_repeated_action_is_nearly_the_same_each_time(action, seconds):
    side = None if action == "clap" else "left"
    segment = Segment(action, side, "forward" if action == "hop" else None, end=int(seconds * FPS), count=4)
    motion = perform(Program((segment,), "count"), rng(2))
    name = {"kick": "left_ankle", "raise_arm": "left_wrist", "hop": "left_foot"}.get(action)
    if action == "clap":
        signal = -np.linalg.norm(joint(motion, "left_wrist") - joint(motion, "right_wrist"), axis=-1)
        level, spread = -0.3, (0.001, 0.08)
    else:
        signal = joint(motion, name)[:, 1]
        level, spread = {"kick": 0.35, "raise_arm": 1.6, "hop": 0.05}[action], (0.0005, 0.15)
    above = signal > level
    edges = np.flatnonzero(np.diff(np.r_[False, above, False].astype(int))).reshape(-1, 2)
    assert len(edges) == 4
    tops = np.array([signal[a:b].max() for a, b in edges])
    assert spread[0] < np.ptp(tops) < spread[1]


def test_a_throw_that_is_repeated_leaves_no_foot_behind():
    motion = perform(Program((Segment("throw", "left", end=120, count=4),), "count"), rng(0))
    assert np.linalg.norm(joint(motion, "left_ankle") - joint(motion, "right_ankle"), axis=-1).max() < 0.4


def test_a_share_of_the_corpus_is_harder_and_the_rest_stays():
    corpus, plain = ProgramCorpus(harder=0.5, workers=0), ProgramCorpus(workers=0)
    forms = []
    for number in range(30):
        program, joints, words = corpus.motion("train", number)
        forms.append(program.form)
        if not program.form:
            same, as_ever, told = plain.motion("train", number)
            assert program == same and captions(program, words) == captions(same, told)
            np.testing.assert_array_equal(joints, as_ever)
    assert 0.3 < np.mean([f is not None for f in forms]) < 0.7
    clip = corpus.clip("train", next(i for i, f in enumerate(forms) if f == "while"))
    assert clip.tags["program"]["form"] == "while" and len(clip.captions) == 3
    assert corpus.fingerprint() != plain.fingerprint() != ProgramCorpus(harder=0.25).fingerprint()


def test_a_share_beyond_one_is_refused():
    with pytest.raises(UserError, match=r"harder=1\.5"):
        ProgramCorpus(harder=1.5)
