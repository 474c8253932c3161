"""One clip and eight sentences, one of which it was made of."""

import logging
from collections.abc import Sequence

import numpy as np

from motion_lightning.judge.pages import Item, Question
from motion_lightning.judge.sources import Prompt, Source, clips_of

log = logging.getLogger(__name__)

OPTIONS = 8
HARD = 3  # times as many as are needed: of so many nearest sentences the wrong ones are drawn
ALIKE = 0.8  # cosine above which two sentences may mean the same, where nobody says what they mean


def choice_items(
    sources: Sequence[Source], prompts: Sequence[Prompt], clips: int, seed: int, skip: int = 0
) -> list[Item]:
    """``clips`` clips of each source, mixed. A held-out sentence is right once, as far as they suffice; one's own once
    for every source. [] where there are no eight different meanings.

    Args:
        skip: so many prompts are seen elsewhere, and come last.
    """
    draw = np.random.default_rng([seed, 2])
    order = [*range(skip, len(prompts)), *range(min(skip, len(prompts)))]
    wrong = [others(i, prompts, draw) for i in range(len(prompts))]
    if any(len(found) < OPTIONS - 1 for found in wrong):
        log.info("no choose.html: there are not %d sentences that mean different things", OPTIONS)
        return []
    clips, held_out = min(clips, len(prompts)), bool(prompts[0].clip)
    items = []
    for number, source in enumerate(sources):
        start = number * clips if held_out else 0
        chosen = [order[(start + k) % len(order)] for k in range(clips)]
        made = clips_of(source, [prompts[i] for i in chosen], seed)
        for i, shown in zip(chosen, made, strict=True):
            options = [i, *wrong[i]]
            options = [options[k] for k in draw.permutation(OPTIONS)]
            texts = [prompts[k].text for k in options]
            answers = tuple((str(k), text) for k, text in enumerate(texts, 1))
            key = {"prompt": prompts[i].text, "clip": prompts[i].clip, "source": source.name}
            key |= {"options": texts, "right": str(options.index(i) + 1)}
            question = Question("chosen", "Which sentence is it of?", answers)
            items.append(Item(source.task.look(source.run.model, [shown]), (question,), key))
    return [items[k] for k in draw.permutation(len(items))]


def others(i: int, prompts: Sequence[Prompt], draw: np.random.Generator) -> list[int]:
    """Seven prompts of other meanings than prompt ``i`` and than each other, or as many as there are.

    They are drawn from the three times as many nearest ones: were they the nearest, the right sentence would be the
    one that resembles all others.
    """
    likeness = np.stack([prompt.vector for prompt in prompts]) @ prompts[i].vector
    nearest: dict[str, int] = {}
    for j in np.argsort(-likeness, kind="stable").tolist():
        sure = prompts[i].known and prompts[j].known
        if prompts[j].meaning != prompts[i].meaning and (sure or likeness[j] < ALIKE):
            nearest.setdefault(prompts[j].meaning, j)
    near = [*nearest.values()][: HARD * (OPTIONS - 1)]
    return draw.permutation(near)[: OPTIONS - 1].tolist()
