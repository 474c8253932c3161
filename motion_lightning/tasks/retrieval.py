"""A model that only looks up: the training clip with the most similar caption."""

import torch
from torch import Tensor

from motion_lightning.data.store import Split, Store


def nearest_captions(store: Store, split: Split, cond_pooled: Tensor) -> list[int]:
    """For every pooled text (N, E) the clip of ``split`` with the most similar caption, by the cosine."""
    owner = [(text, i) for i in range(len(split)) for text in split.text_ids(i)]
    table = torch.nn.functional.normalize(store.texts.cond([text for text, _ in owner]).pooled, dim=-1)
    best = (torch.nn.functional.normalize(cond_pooled, dim=-1) @ table.T).argmax(1)
    return [owner[i][1] for i in best.tolist()]
