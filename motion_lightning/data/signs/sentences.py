"""What people would say of a sign program: a frame, and a phrase for each hand with its words of speed and size.

Speed and size are said unless they are normal.
"""

import re

import numpy as np

from motion_lightning.data.signs.program import Hand, SignProgram

# A verb as "third person|plural"; {size} stands where a word of size may go, with its blank.
PHRASES = {
    "stay": ("stays|stay", "stays still|stay still", "keeps still|keep still", "rests|rest",
             "does not move|do not move", "remains where it is|remain where they are"),
    "circle": ("circles|circle", "goes round and round|go round and round", "draws{size} circles|draw{size} circles",
               "moves in{size} circles|move in{size} circles", "traces{size} rounds|trace{size} rounds"),
    "up_down": ("moves up and down|move up and down", "goes up and down|go up and down",
                "makes{size} moves up and down|make{size} moves up and down",
                "bobs up and down in{size} strokes|bob up and down in{size} strokes"),
    "in_out": ("moves in and out|move in and out", "slides to the middle and back|slide to the middle and back",
               "makes{size} sweeps to the middle and back|make{size} sweeps to the middle and back",
               "goes in and out in{size} strokes|go in and out in{size} strokes"),
    "wave": ("waves|wave", "waves beside the head|wave beside the head", "is raised and waves|are raised and wave",
             "waves from side to side|wave from side to side"),
    "tap_head": ("taps the head|tap the head", "touches the head again and again|touch the head again and again",
                 "pats the head|pat the head", "keeps tapping the head|keep tapping the head"),
    "raise": ("rises|rise", "goes up to head height|go up to head height", "is lifted|are lifted",
              "moves up and stays there|move up and stay there"),
    "push": ("pushes forward|push forward", "moves towards the viewer and back|move towards the viewer and back",
             "pushes to the front and comes back|push to the front and come back",
             "goes forward and back|go forward and back"),
}  # fmt: skip
SPEEDS = {"slow": ("slowly", "at a slow pace", "without haste"), "fast": ("quickly", "fast", "rapidly", "at speed")}
SIZES = {"small": ("small", "little", "tiny"), "large": ("large", "big", "wide")}
FRAMES = (
    "the left hand {left}, the right hand {right}",
    "the right hand {right}, the left hand {left}",
    "the left hand {left} while the right hand {right}",
    "the right hand {right} while the left hand {left}",
    "the left hand {left} and the right one {right}",
    "left hand {left}, right hand {right}",
    "the signer's left hand {left}, the right one {right}",
    "a signer whose left hand {left} and whose right hand {right}",
)
BOTH = ("both hands {both}", "both of the signer's hands {both}", "the hands {both} together", "the two hands {both}")
ALONE = (
    "only the {side} hand moves: it {moving}",
    "the {side} hand {moving}, the other stays",
    "the {side} hand {moving}, and nothing else moves",
)


def sentences(program: SignProgram, rng: np.random.Generator, n: int = 3) -> list[str]:
    """Draws ``n`` different sentences; every one of them says all of the program."""
    told: dict[str, None] = {}
    while len(told) < n:
        told.setdefault(_sentence(program, rng))
    return list(told)


def _sentence(program: SignProgram, rng: np.random.Generator) -> str:
    left, right = (_phrase(hand, rng) for hand in program.hands)
    if program.left == program.right and rng.random() < 0.8:
        return _pick(BOTH, rng).format(both=_phrase(program.left, rng, plural=True))
    still = [hand.movement == "stay" for hand in program.hands]
    if any(still) and rng.random() < 0.25:
        side, moving = ("right", right) if still[0] else ("left", left)
        return _pick(ALONE, rng).format(side=side, moving=moving)
    return _pick(FRAMES, rng).format(left=left, right=right)


def _phrase(hand: Hand, rng: np.random.Generator, plural: bool = False) -> str:
    size = _pick(SIZES[hand.size], rng) if hand.size in SIZES else ""
    options = [phrase for phrase in PHRASES[hand.movement] if not size or "{size}" in phrase]
    text = _pick(options, rng).split("|")[plural].format(size=f" {size}" if size else "")
    if hand.speed in SPEEDS:
        text = f"{text} {_pick(SPEEDS[hand.speed], rng)}"
    return re.sub(" +", " ", text)


def _pick(options, rng: np.random.Generator) -> str:
    return options[rng.integers(len(options))]
