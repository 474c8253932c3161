"""Pairs of clips of one sentence, by whom nobody is told."""

from collections.abc import Sequence

import numpy as np

from motion_lightning.judge.pages import Item, Question
from motion_lightning.judge.sources import Prompt, Source, clips_of

SIDES = (("left", "left"), ("right", "right"), ("neither", "cannot tell"))
QUESTIONS = (
    Question("better", "Which one does what the sentence says better?", SIDES),
    Question("natural", "Which one looks more natural?", SIDES),
)


def pair_items(sources: Sequence[Source], prompts: Sequence[Prompt], clips: int, seed: int) -> list[Item]:
    """A pair for each of the first prompts, in any order; either source is on the left as often. [] but for two."""
    if len(sources) != 2:
        return []
    chosen, draw = prompts[:clips], np.random.default_rng([seed, 1])
    made = [clips_of(source, chosen, seed) for source in sources]
    swapped = draw.permutation(np.arange(len(chosen)) % 2)
    items = []
    for i in draw.permutation(len(chosen)).tolist():
        left, right = (1, 0) if swapped[i] else (0, 1)
        shown = [made[left][i]._replace(title="left"), made[right][i]._replace(title="right")]
        fragment = sources[0].task.look(sources[0].run.model, shown)
        key = {"prompt": chosen[i].text, "clip": chosen[i].clip}
        key |= {"left": sources[left].name, "right": sources[right].name}
        items.append(Item(fragment, QUESTIONS, key, chosen[i].text))
    return items
