"""Captions say what their programs do, and say it in many ways."""

import re
from itertools import product

import numpy as np
import pytest

from motion_lightning.data.programs.captions import captions
from motion_lightning.data.programs.grammar import inflect
from motion_lightning.data.programs.harder import FORMS, sample_harder
from motion_lightning.data.programs.program import (
    ACTIONS,
    DIRECTIONS,
    PATHS,
    SIDES,
    SPEEDS,
    Program,
    Segment,
    sample_program,
)

# What gives an attribute away, written apart from the grammar.
ACTION = {
    "walk": r"walk|stroll|wander|\bambl|saunter|plod|shuffl|dawdl|creep|crept|strid|strod|step|pac(e|ing)"
    r"|foot|retreat|back(s|ed|ing)? (up|away)",
    "run": r"\brun|\bran\b|\bjog|\btrot|sprint|dash|\brac(e|ing)",
    "jump": r"jump|leap|spring|sprang|bound",
    "hop": r"\bhop|jump\w* .*\b(leg|(only|just) .*foot)|bounc",
    "sidestep": r"side-?step|side step|sideway|sideward|lateral|steps? |stepp|crab|shuffl|mov",
    "turn": r"turn|rotat|pivot|swivel|spin|spun|whirl",
    "march": r"march|parad|walk.*knees",
    "kick": r"kick|boot|strik|struck",
    "punch": r"punch|\bjab|strik|struck|\bhit|thrust|\bbox",
    "wave": r"\bwav",
    "raise_arm": r"rais|lift|\bput|\bhold|\bheld|bring|brought|stick|stuck|\bmov|reach|point|shoot|shot|\bgo"
    r"|went|\brise|rising|rose|com(e|ing)|came",
    "throw": r"thr[oe]w|toss|hurl|fl[iu]ng|pitch|\blob|chuck",
    "clap": r"clap|applau",
    "stretch": r"stretch|reach.*(bend|bent)",
    "bow": r"\bbow|bend.*forward|bent.*forward",
    "squat": r"squat|crouch|knee",
    "sit_down": r"\bsit|\bsat|seat|chair|stool",
    "stand_up": r"stand|stood|g[eo]t\w* up|\bris|\brose|feet|up from|up out|chair|stool|seat",
}
SPEED = {
    "slow": r"slow|leisure|unhurried|sluggish|laz(y|ily)|gentl|hurry|rushing|taking \w+ time|gradual|creep"
    r"|crept|\bambl|plod|shuffl|saunter|dawdl|easy pace|inch|low speed|little by little|snail",
    "fast": r"quick|fast|rapid|swift|brisk|speed|hurr|hast|rush|sprint|dash|\brac(e|ing)|flat out|flash|whirl"
    r"|snap|scurr|shoot|shot|plop|drop|high tempo|power-walk|strid|strod|lightning|no time|spring|sprang",
}
TIMES = {2: r"twice|\btwo\b|\b2\b|couple", 3: r"three|\b3\b|thrice", 4: r"four\b|\b4\b", 5: r"five|\b5\b"}
WAY = {"forward": r"forward|ahead|front|onward", "backward": r"\bback|revers|rear|retreat", "up": r""}
FILLED = [
    (action, side, direction, path)
    for action in ACTIONS
    for side, direction in product(SIDES.get(action, (None,)), DIRECTIONS.get(action, (None,)))
    for path in (PATHS if action == "run" or (action == "walk" and direction == "forward") else (None,))
]


def _segment(action, side, direction, path, speed="normal", turn="left", start=0) -> Segment:
    turn = turn if path in ("circle", "turn") else None
    return Segment(action, side, direction, speed, path, turn, start, start + 50)


def _sides(segment: Segment) -> set[str]:
    return {w for w in (segment.side, segment.direction, segment.turn) if w in ("left", "right")}


@pytest.fixture(scope="module")
def told() -> list[tuple[Program, list[str]]]:
    rng = np.random.default_rng(0)
    return [(p, captions(p, rng)) for p in (sample_program(rng) for _ in range(4000))]


@pytest.fixture(scope="module")
def harder() -> list[tuple[Program, list[str]]]:
    rng = np.random.default_rng(1)
    return [(p, captions(p, rng)) for p in (sample_harder(rng, form) for form in FORMS for _ in range(200))]


def test_the_same_seed_tells_the_same():
    program = sample_program(np.random.default_rng(3))
    first, second = (captions(program, np.random.default_rng(7), n=5) for _ in range(2))
    assert first == second and len(set(first)) == 5


@pytest.mark.parametrize("speed", SPEEDS)
def test_a_single_action_is_told_whole_and_in_thirty_ways(speed):
    rng = np.random.default_rng(1)
    for cell in FILLED:
        for turn in ("left", "right"):
            segment = _segment(*cell, speed, turn)
            told = captions(Program((segment,)), rng, n=30)
            assert len({t.lower().rstrip(".") for t in told}) == 30
            for text in map(str.lower, told):
                _check(text, segment)


def _clock(text: str) -> set[str]:
    left, right = r"(counter|anti)-?clockwise", r"(?<!counter)(?<!anti)(?<!-)clockwise"
    return {side for side, sense in (("left", left), ("right", right)) if re.search(sense, text)}


def _check(text: str, segment: Segment) -> None:
    where = f"{text!r} for {segment}"
    assert re.search(ACTION[segment.action], text), where
    sides = set(re.findall(r"left|right", text))
    if segment.side == "both":
        assert re.search(r"both|two|double|left and right|right and left|arms|hands", text), where
    else:
        assert sides | _clock(text) == _sides(segment), where
    for speed, words in SPEED.items():
        if speed == segment.speed:
            assert re.search(words, text), where
    if segment.speed == "normal":
        assert not re.search(r"slow|fast|quick|hurr|rapid|swift|brisk|unhurried|\bspeed", text), where
    if segment.action in ("walk", "run", "jump"):
        wrong = {"forward": "backward", "backward": "forward"}.get(segment.direction)
        assert not wrong or not re.search(WAY[wrong], text), where
        if segment.direction == "backward" or (segment.action, segment.direction) == ("jump", "forward"):
            assert re.search(WAY[segment.direction], text), where
    if segment.path == "circle":
        assert re.search(r"circ|loop|\blap\b|round|\bring\b", text), where
    if segment.path == "turn":
        assert re.search(r"turn|curv|\barc\b|be[na][dtr]|veer|drift|corner|swerv|bore|direction", text), where
    if segment.path == "straight":
        assert not re.search(r"turn|curv|circ|\barc\b|loop|bend|round", text), where


def test_a_compound_tells_both_actions_in_their_order(told):
    link = re.compile(
        r"\bthen\b|after that|afterwards|after which|\bnext\b|subsequently|finally|followed by"
        r"|\bend(s|ed|ing)? |finish\w* |(go\w*|went) on to|proceed\w* to|mov\w+ on to"
    )
    for program, texts in told:
        if not program.compound:
            continue
        for text in map(str.lower, texts):
            assert not re.search(r"\bbefore\b|after (?!that|which)\w+ing", text), text
            cut = link.search(text)
            assert cut, text
            first, second = text[: cut.start()], text[cut.end() :]
            assert re.search(ACTION[program.segments[0].action], first), (text, program)
            assert re.search(ACTION[program.segments[1].action], second), (text, program)
            for part, segment in zip((first, second), program.segments, strict=True):
                if segment.side != "both":
                    sides = set(re.findall(r"left|right", part)) if "clock" not in part else _sides(segment)
                    assert sides == _sides(segment), (text, program)
                if segment.speed != "normal":
                    assert re.search(SPEED[segment.speed], part), (text, program)


def _in_turn(text: str, segments) -> bool:
    return bool(re.search(".*".join(f"({ACTION[s.action]})" for s in segments), text))


def test_harder_captions_tell_all_attributes(harder):
    for program, texts in harder:
        sides = set().union(*map(_sides, program.segments))
        for text in map(str.lower, texts):
            told = set(re.findall(r"left|right", text)) | _clock(text)
            assert told == sides or (sides < told and re.search("left and right|right and left", text)), (text, program)
            for s in program.segments:
                assert re.search(ACTION[s.action], text), (text, program)
                assert s.speed == "normal" or re.search(SPEED[s.speed], text), (text, program)
                assert not s.count or re.search(TIMES[s.count], text), (text, program)
            counts = {s.count for s in program.segments}
            assert not any(re.search(TIMES[n], text) for n in {3, 4, 5} - counts), (text, program)


def test_before_and_after_tell_the_order_that_is_done(harder):
    other_way = []
    for program, texts in harder:
        for text in map(str.lower, texts if program.form == "before_after" else []):
            link = re.search(r"\bbefore\b|\bafter\b(?! the other)|prior to|but first", text)
            link = link or re.search(r"following", text)
            assert link, text
            starts_with_it, after = link.start() == 0, link[0] in ("after", "following")
            later_first = starts_with_it != after or bool(re.search("but (first|before)", text))
            other_way.append(later_first)
            assert _in_turn(text, program.segments[:: -1 if later_first else 1]), (text, program)
    assert 0.4 < np.mean(other_way) < 0.7


def test_while_tells_two_things_at_once_in_any_order(harder):
    link = re.compile(r"\bwhile\b|\bas\b|at the same (time|moment)|simultaneously|meanwhile|the whole time|during")
    orders = []
    for program, texts in harder:
        for text in map(str.lower, texts if program.form == "while" else []):
            assert link.search(text) and text.count("while") <= 1, text
            assert not re.search(r"\bthen\b|\bbefore\b|afterwards|standing still", text), text
            orders.append([_in_turn(text, program.segments[::way]) for way in (1, -1)])
            assert any(orders[-1]), (text, program)
    assert (np.mean(orders, axis=0) > 0.4).all()


def test_three_parts_are_told_in_turn(harder):
    for program, texts in harder:
        for text in map(str.lower, texts if program.form == "three" else []):
            one, two, three = program.segments
            assert re.search(r"\bthen\b|after that|finally|lastly|before|at last|\bend\b", text), text
            turn = (three, one, two) if text.startswith("before") else (one, two, three)
            assert _in_turn(text, turn), (text, program)


def test_left_and_right_are_told_alike():
    for cell in FILLED:
        segment = _segment(*cell)
        if not _sides(segment):
            continue
        other = {"left": "right"}
        mirrored = Segment(**{k: other.get(v, v) for k, v in vars(segment).items()})
        pair = [captions(Program((s,)), np.random.default_rng(5), n=10) for s in (segment, mirrored)]
        plain = [[re.sub(r"(an? )?((counter|anti)-?)?clock", "clock", t.lower()) for t in texts] for texts in pair]
        assert [t.replace("left", "right") for t in plain[0]] == plain[1]


def test_a_held_out_caption_is_new(told):
    rng = np.random.default_rng(2)
    known = {text.lower().rstrip(".") for _, texts in told for text in texts}
    held_out = [text.lower().rstrip(".") for _ in range(400) for text in captions(sample_program(rng), rng)]
    assert np.mean([text not in known for text in held_out]) >= 0.9
    assert len(known) >= 0.9 * 12_000


def test_a_held_out_harder_caption_is_new(harder):
    rng = np.random.default_rng(3)
    known = {text.lower().rstrip(".") for _, texts in harder for text in texts}
    held_out = [text.lower().rstrip(".") for _ in range(150) for text in captions(sample_harder(rng), rng)]
    assert np.mean([text not in known for text in held_out]) >= 0.98


def test_captions_have_the_length_of_captions(told, harder):
    words = [len(text.split()) for _, texts in told for text in texts]
    assert 6 <= np.mean(words) <= 14 and max(words) <= 28 and min(words) >= 1
    words = [len(text.split()) for _, texts in harder for text in texts]
    assert 10 <= np.mean(words) <= 20 and max(words) <= 40


def test_captions_are_clean_english(told, harder):
    one = r"he|she|it|someone|somebody|a (person|man|woman|guy)"
    wrong = re.compile(
        r"  |^ | $| [,.]|,,|\.\.|[\[\](){}<>|~^$*_\n]|\b(\w+) \1\b|\ban? (a|an|the)\b"
        r"|\ban [^aeiou]|\ba [aeiou]|\bNone\b|\b(they|you) (walks|runs|jumps|is|was)\b"
        rf"|\b({one}) (walk|run|jump|kick|clap|bow|squat|wave|sit|turn)\b"
        r"|\b(a|the) (steps|hops)\b|\w+ss\b|\bis \w+s\b",
        re.IGNORECASE,
    )
    fine = re.compile(r"round and round|is this|toss( a ball)?|(let|have) (\w+ )?\w+\b", re.IGNORECASE)
    for _, texts in told + harder:
        for text in texts:
            found = wrong.search(fine.sub(lambda m: f"x{m.start()}", text).strip())
            assert not found, (found[0], text)


def test_first_words_of_sentences_agree_in_case(told, harder):
    for _, texts in told + harder:
        for text in texts:
            starts = re.findall(r"(?:^|\. )(\w)", text)
            assert len({letter.isupper() for letter in starts}) == 1, text


@pytest.mark.parametrize(
    ("verb", "s", "ing", "past"),
    [
        ("walk", "walks", "walking", "walked"),
        ("go on", "goes on", "going on", "went on"),
        ("pace", "paces", "pacing", "paced"),
        ("hurry", "hurries", "hurrying", "hurried"),
        ("hop", "hops", "hopping", "hopped"),
        ("punch", "punches", "punching", "punched"),
        ("sway", "sways", "swaying", "swayed"),
        ("do", "does", "doing", "did"),
        ("take", "takes", "taking", "took"),
    ],
)
def test_verbs_are_inflected(verb, s, ing, past):
    assert [inflect(verb, form) for form in ("s", "ing", "past", "base")] == [s, ing, past, verb]


def test_too_many_captions_are_refused(monkeypatch):
    monkeypatch.setattr("motion_lightning.data.programs.captions.MAX_WORDS", 0)
    with pytest.raises(ValueError, match="no 2 captions"):
        captions(sample_program(np.random.default_rng(0)), np.random.default_rng(0), n=2)
