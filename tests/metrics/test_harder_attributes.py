"""Rules read two things at once, repetitions and three parts from joints alone."""

import numpy as np
import pytest

from motion_lightning.data.programs.harder import FORMS, sample_harder
from motion_lightning.data.programs.program import Program, Segment, sample_program
from motion_lightning.data.programs.synthesis import perform
from motion_lightning.metrics.attribute_metric import AttributeAccuracy
from motion_lightning.metrics.attributes import attribute_accuracy, read_program, said, score
from motion_lightning.metrics.event import Event, repeated
from motion_lightning.metrics.signals import smooth
from motion_lightning.tasks.motion import attribute_table

ATTRIBUTES = ("action", "side", "direction", "speed", "path")
OWN = {"before_after": ["order"], "while": ["together"], "count": ["order", "times"], "three": ["order"]}


def held_out(clips: int) -> tuple[list[Program], list[np.ndarray]]:
    programs = [sample_harder(np.random.default_rng([7, n]), form) for form in FORMS for n in range(clips)]
    return programs, [perform(p, np.random.default_rng([8, n])) for n, p in enumerate(programs)]


@pytest.fixture(scope="module")
def some():
    return held_out(60)


def worst(table, form):
    return min(v for v in (table[form][a] for a in (*ATTRIBUTES, *OWN[form])) if not np.isnan(v))


def test_held_out_motions_are_read_right(some):
    table = attribute_accuracy(*some)
    for form in FORMS:
        assert table[form]["count"] == 60 and worst(table, form) >= 0.97, form  # a clip is 1.7 %
        assert set(table[form]) == {*ATTRIBUTES, *OWN[form], "count"}
    assert table["single"]["count"] == table["compound"]["count"] == 0 and not table["confusion"]


def test_the_metric_finds_what_the_table_says_however_clips_are_dealt_out(some):
    programs, motions = some
    rng = np.random.default_rng(0)
    plain = [sample_program(rng) for _ in range(40)]
    programs = programs[::4] + plain
    motions = motions[::4] + [perform(p, np.random.default_rng(n)) for n, p in enumerate(plain)]
    parts, whole = [AttributeAccuracy(), AttributeAccuracy()], AttributeAccuracy()
    for i, pair in enumerate(zip(programs, motions, strict=True)):
        parts[i % 3 == 0].update(*pair)
    for name in ("segments", "whole", "programs"):  # as processes are joined
        setattr(whole, name, sum(getattr(part, name) for part in parts))
    table, found = attribute_accuracy(programs, motions), whole.compute()
    assert set(found) == set(table) - {"confusion"}
    for kind, row in found.items():
        assert row == pytest.approx(table[kind], nan_ok=True), kind


@pytest.mark.slow
@pytest.mark.parametrize("spoil", [None, "noise", "low-pass"])
def test_many_held_out_motions_are_read_right(spoil):
    programs, motions = held_out(400)
    rng = np.random.default_rng(0)
    if spoil == "noise":
        motions = [m + rng.normal(0, 0.01, m.shape) for m in motions]  # a centimetre on every joint
    elif spoil:
        motions = [smooth(m, 1.0) for m in motions]
    table = attribute_accuracy(programs, motions)
    for form in FORMS:
        assert worst(table, form) >= (0.96 if spoil else 0.99), (form, table[form])


def test_shuffled_programs_are_read_at_chance(some):
    programs, motions = some
    rng, n = np.random.default_rng(0), len(programs) // len(FORMS)
    for k, form in enumerate(FORMS):
        order = rng.permutation(n)
        table = attribute_accuracy([programs[k * n + i] for i in order], motions[k * n : (k + 1) * n])[form]
        assert table["action"] < 0.3 and all(
            table[a] < 0.2 for a in (*ATTRIBUTES[1:], *OWN[form]) if table[a] == table[a]
        )


def test_the_same_two_actions_in_turn_are_not_together():
    walk = Segment("walk", direction="forward", path="straight", end=60)
    wave = Segment("wave", side="left", start=5, end=60)
    asked = Program((walk, wave), "while")
    after = Segment("wave", side="left", start=60, end=110)
    in_turn = perform(Program((walk, after)), np.random.default_rng(0))
    assert score(asked, perform(asked, np.random.default_rng(0))).together is True
    result = score(asked, in_turn)
    assert all(all(right.values()) for right in result.segments) and result.together is False and result.order is None
    at_once = perform(asked, np.random.default_rng(0))
    only_walk = perform(Program((walk,)), np.random.default_rng(0))
    assert score(Program((walk, after)), at_once).together is None
    assert score(asked, only_walk).segments[1] == {"action": False, "side": False}


@pytest.mark.parametrize("action", ["kick", "clap", "hop", "jump", "raise_arm"])
def test_one_time_too_many_is_not_what_was_asked(action):
    side = None if action in ("clap", "jump") else "left"
    direction = {"hop": "forward", "jump": "up"}.get(action)
    three, four = (Program((Segment(action, side, direction, end=120, count=n),), "count") for n in (3, 4))
    motion = perform(three, np.random.default_rng(0))
    assert read_program(motion, form="count").events[0].count == 3
    right, wrong = score(three, motion).segments[0], score(four, motion).segments[0]
    assert all(right.values()) and wrong == right | {"times": False}
    assert "times" in said(four.segments[0]) and "times" not in said(Segment(action))


def test_repetitions_are_one_event_that_counts_them():
    left, right = Event("punch", 0, 10, side="left", tempo=1.0), Event("punch", 30, 40, side="right")
    again = Event("punch", 15, 25, side="left", tempo=2.0)
    one, other = repeated([left, again, right])
    assert (one.start, one.end, one.count, one.tempo, one.side) == (0, 25, 2, 1.5, "left")
    assert other.count == 1 and repeated([]) == []
    assert [e.count for e in repeated([Event("clap", 0, 20, count=3)])] == [3]


def test_three_parts_in_another_order_are_not_the_same():
    parts = (
        Segment("bow", end=40),
        Segment("kick", "left", start=40, end=70),
        Segment("jump", None, "up", start=70, end=110),
    )
    motion = perform(Program(parts, "three"), np.random.default_rng(0))
    assert score(Program(parts, "three"), motion).order is True
    assert score(Program(parts[::-1], "three"), motion).order is False
    assert len(read_program(motion).events) == 2 and len(read_program(motion, form="three").events) == 3


def test_each_form_is_a_part_of_the_evaluation_table(some):
    programs, motions = ([part[i] for i in (0, 60, 120, 180)] for part in some)
    table = attribute_table([p.to_dict() for p in programs], {"model": motions, "real": motions})
    assert set(table) == set(FORMS)
    assert table["while"]["together"] == {"model": 1.0, "real": 1.0} and table["while"]["count"] == 1
    assert table["count"]["times"]["real"] == 1.0 and table["three"]["order"]["real"] == 1.0
