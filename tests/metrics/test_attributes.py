"""Rules read back what programs asked for, from joints alone."""

import numpy as np
import pytest

from motion_lightning.data.programs.corpus import ProgramCorpus
from motion_lightning.data.programs.program import ACTIONS, Program, Segment
from motion_lightning.data.programs.synthesis import perform
from motion_lightning.metrics.attributes import attribute_accuracy, read_program, said, score
from motion_lightning.metrics.signals import runs, smooth, span
from motion_lightning.motion.features import mirror

ATTRIBUTES = ("action", "side", "direction", "speed", "path")


@pytest.fixture(scope="module")
def held_out():
    corpus = ProgramCorpus()
    pairs = [corpus.motion("test", i)[:2] for i in range(400)]
    return [p for p, _ in pairs], [joints for _, joints in pairs]


def worst(table, kind):
    return min(table[kind][a] for a in (*ATTRIBUTES, *(["order"] if kind == "compound" else [])))


def test_held_out_motions_are_read_right(held_out):
    table = attribute_accuracy(*held_out)
    assert table["single"]["count"] + table["compound"]["count"] == 400
    assert worst(table, "single") >= 0.99 and worst(table, "compound") >= 0.99
    assert set(table["confusion"]) == set(ACTIONS)


def test_shuffled_programs_are_read_at_chance(held_out):
    programs, motions = held_out
    order = np.random.default_rng(0).permutation(len(programs))
    table = attribute_accuracy([programs[i] for i in order], motions)
    assert table["single"]["action"] < 2 / len(ACTIONS)  # chance is about 1 / 18, and half of that met a compound
    assert table["compound"]["action"] < 4 / len(ACTIONS) and table["compound"]["order"] < 0.05
    assert all(table[kind][a] < 0.15 for kind in ("single", "compound") for a in ATTRIBUTES[1:])


@pytest.mark.parametrize("spoil", ["noise", "low-pass"])
def test_rules_bear_imperfect_motion(held_out, spoil):
    programs, motions = (part[:200] for part in held_out)
    rng = np.random.default_rng(0)
    if spoil == "noise":
        motions = [m + rng.normal(0, 0.01, m.shape) for m in motions]  # a centimetre on every joint
    else:
        motions = [smooth(m, 1.0) for m in motions]
    table = attribute_accuracy(programs, motions)
    assert worst(table, "single") >= 0.95 and worst(table, "compound") >= 0.95


def test_a_mirrored_body_does_the_same_with_the_other_side(held_out):
    swap = {"left": "right", "right": "left"}
    for motion in held_out[1][:60]:
        events, mirrored = read_program(motion).events, read_program(mirror(motion)).events
        assert [e.action for e in events] == [e.action for e in mirrored]
        for e, m in zip(events, mirrored, strict=True):
            assert swap.get(e.side, e.side) == m.side and swap.get(e.turn, e.turn) == m.turn
            assert swap.get(e.direction, e.direction) == m.direction
            assert e.path == m.path and e.speed == m.speed


def test_where_and_which_way_a_motion_happens_does_not_matter(held_out):
    c, s = np.cos(2.0), np.sin(2.0)
    turn = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])
    for motion in held_out[1][:40]:
        a, b = read_program(motion).events, read_program(motion @ turn.T + [3.0, 0.0, -5.0]).events
        assert [(e.action, e.side, e.direction, e.path, e.turn, e.speed) for e in a] == [
            (e.action, e.side, e.direction, e.path, e.turn, e.speed) for e in b
        ]


def test_backwards_in_time_a_body_that_sits_down_stands_up():
    motion = perform(Program((Segment("sit_down", start=0, end=50),)), np.random.default_rng(0))
    assert read_program(motion).actions == ("sit_down",)
    assert read_program(motion[::-1]).actions == ("stand_up",)


def test_score_counts_what_captions_say():
    program = Program(
        (
            Segment("kick", side="left", speed="fast", start=0, end=30),
            Segment("walk", direction="forward", path="straight", start=30, end=80),
        )
    )
    motion = perform(program, np.random.default_rng(1))
    assert score(program, motion).segments == (
        {"action": True, "side": True, "speed": True},
        {"action": True},
    )
    assert score(program, motion).order is True
    assert score(program.to_dict(), motion) == score(program, motion)

    other = Program((program.segments[1], Segment("kick", side="right", speed="slow")))
    result = score(other, motion)
    assert result.order is False
    assert result.segments[1] == {"action": True, "side": False, "speed": False}
    # one thing was asked for, two were done
    alone = score(Program((program.segments[0],)), motion)
    assert alone.order is None and not any(alone.segments[0].values())


def test_what_is_said():
    assert said(Segment("walk", direction="forward", path="straight")) == ("action",)
    assert said(Segment("run", direction="forward", path="circle", turn="left")) == ("action", "path")
    assert said(Segment("jump", direction="up", speed="slow")) == ("action", "direction", "speed")


def test_what_is_no_motion_is_read_as_nothing():
    rng = np.random.default_rng(0)
    assert read_program(np.zeros((1, 22, 3))).actions == ()
    assert read_program(np.full((40, 22, 3), np.nan)).actions == ()
    assert read_program(np.zeros((40, 22, 3))).actions == ()
    for scale in (0.1, 1.0, 10.0):
        for _ in range(20):
            assert len(read_program(rng.normal(0, scale, (int(rng.integers(4, 60)), 22, 3))).events) <= 2


def test_an_empty_comparison_has_no_numbers():
    table = attribute_accuracy([], [])
    assert table["single"]["count"] == 0 and np.isnan(table["single"]["action"])
    with pytest.raises(ValueError):
        attribute_accuracy([Program((Segment("bow"),))], [])


def test_runs_and_spans():
    mask = np.array([0, 1, 1, 0, 1, 0, 0, 0, 1], bool)
    assert runs(mask) == [(1, 3), (4, 5), (8, 9)]
    assert runs(mask, longest_gap=1) == [(1, 5), (8, 9)]
    tent = np.array([0.0, 1.0, 2.0, 1.0, 0.0])
    assert span(tent, 2, 0.5) == (0.5, 3.5)
    assert span(tent, 2, -1.0) == (0.0, 4.0)
