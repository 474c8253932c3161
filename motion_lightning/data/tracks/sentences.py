"""What people would say of a scene's program: phrases × verbs × voices, all attributes said."""

import re

import numpy as np

from motion_lightning.data.tracks.program import Move

VERBS = {  # third person, -ing, participle
    verb: (third, ing, past)
    for verb, third, ing, past in (
        line.split()
        for line in """
        push pushes pushing pushed
        shove shoves shoving shoved
        nudge nudges nudging nudged
        drag drags dragging dragged
        slide slides sliding slid
        pull pulls pulling pulled
        roll rolls rolling rolled
        lift lifts lifting lifted
        raise raises raising raised
        pick picks picking picked
        carry carries carrying carried
        move moves moving moved
        put puts putting put
        set sets setting set
        place places placing placed
        turn turns turning turned
        rotate rotates rotating rotated
        spin spins spinning spun
        twist twists twisting twisted
        """.strip().splitlines()
    )
}
PHRASES = {  # [verb] is inflected, O is the object, W the way; | between alternatives
    "push": "[push] O W|[push] O W|[shove] O W|[nudge] O W",
    "drag": "[drag] O W|[slide] O W|[slide] O W across the table|[pull] O W",
    "roll": "[roll] O W|[roll] O W|[roll] O W over the table",
    "lift": "[lift] O|[lift] O W|[raise] O|[pick] O up|[lift] O off the table|[pick] O up from the table",
    "carry": "[pick] O up and [put] it down W|[lift] O and [set] it down W|[lift] O and [place] it W|[carry] O W",
    "turn": "[turn] O W|[rotate] O W|[spin] O W|[twist] O W|[turn] O W on the spot",
}
WAYS = {
    "right": "to the right|to the right|towards the right|rightwards|to the right side",
    "left": "to the left|to the left|towards the left|leftwards|to the left side",
    "away": "away|away from the camera|away from the viewer|to the back|further away",
    "towards": "towards the camera|closer|towards the viewer|to the front|closer to the camera",
    "up": "up|up into the air|upwards",
    "clockwise": "clockwise|clockwise|in a clockwise direction",
    "counterclockwise": "counterclockwise|anticlockwise|counter-clockwise|in a counterclockwise direction",
}
# "put it down away" is no English
DOWN = {
    "right": "further right|more to the right|further to the right",
    "left": "further left|more to the left|further to the left",
    "away": "further away|further back|further towards the back",
    "towards": "closer to the camera|further towards the front|closer",
}
NOUNS = {
    "block": "block|block|cube|box",
    "brick": "brick|brick|bar|long block",
    "ball": "ball|ball|sphere",
    "can": "can|can|cylinder|tin",
}
HANDS = "a SIDE hand|the SIDE hand|a SIDE hand|someone's SIDE hand"
WITH = "with the SIDE hand|using the SIDE hand|with their SIDE hand"
PEOPLE = "someone|a person|somebody"
JOINTS = " while | and | as |, while "


def captions(moves: list[Move], rng: np.random.Generator, count: int) -> list[str]:
    """``count`` different captions, each saying every move: hand, action, object and way."""
    told: dict[str, str] = {}
    for _ in range(200 * count):
        text = _sentence([moves[i] for i in rng.permutation(len(moves))], rng)
        told.setdefault(text, _styled(text, rng))
        if len(told) == count:
            break
    return list(told.values())


def _sentence(moves: list[Move], rng: np.random.Generator) -> str:
    if len(moves) > 1:
        form = int(rng.random() < 0.3)  # 0 "pushes", 1 "is pushing"
        return _draw(JOINTS, rng).join(_active(move, rng, form) for move in moves)
    (move,) = moves
    voice = rng.random()
    if voice < 0.5:
        return _active(move, rng, form=int(rng.random() < 0.25))
    if voice < 0.7:
        return _passive(move, rng)
    means = _draw(WITH, rng).replace("SIDE", move.hand)
    if voice < 0.85:
        return f"{_draw(PEOPLE, rng)} {_phrase(move, rng, 0)} {means}"
    return f"{_phrase(move, rng, None)} {means}".replace("their", "your")


def _active(move: Move, rng: np.random.Generator, form: int) -> str:
    hand = _draw(HANDS, rng).replace("SIDE", move.hand)
    return f"{hand} {'is ' * form}{_phrase(move, rng, form)}"


def _passive(move: Move, rng: np.random.Generator) -> str:
    """The object first: "the red block is pushed to the left by a right hand"."""
    said = re.sub(r" (O|it)\b", "", _draw(PHRASES[move.action], rng))
    said = _fill(said, move, rng, 2)
    return f"{_object(move, rng)} is {said} by {_draw(HANDS, rng).replace('SIDE', move.hand)}"


def _phrase(move: Move, rng: np.random.Generator, form: int | None) -> str:
    return _fill(_draw(PHRASES[move.action], rng), move, rng, form)


def _fill(phrase: str, move: Move, rng: np.random.Generator, form: int | None) -> str:
    """``form``: 0 third person, 1 -ing, 2 participle, None the bare verb."""
    down = move.action == "carry" and "[carry]" not in phrase
    way = _draw((DOWN if down else WAYS)[move.way], rng)
    words = {"O": _object(move, rng), "W": way}
    phrase = re.sub(r"\b[OW]\b", lambda m: words[m[0]], phrase)
    return re.sub(r"\[(\w+)\]", lambda m: m[1] if form is None else VERBS[m[1]][form], phrase)


def _object(move: Move, rng: np.random.Generator) -> str:
    return f"the {move.colour} {_draw(NOUNS[move.kind], rng)}"


def _draw(options: str, rng: np.random.Generator) -> str:
    choices = options.split("|")
    return choices[int(rng.integers(len(choices)))]


def _styled(text: str, rng: np.random.Generator) -> str:
    style = rng.random()
    if style < 0.4:
        text = text[0].upper() + text[1:]
    return text + "." if style < 0.3 or style > 0.9 else text
