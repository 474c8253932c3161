"""Attribute accuracy as a torchmetrics.Metric: the same on any number of processes."""

import numpy as np
import torch
from torchmetrics import Metric

from motion_lightning.data.programs.program import ACTIONS, Program
from motion_lightning.metrics.attributes import ATTRIBUTES, score

KINDS = ("single", "compound", "before_after", "while", "count", "three")
MARKS = (*ATTRIBUTES, "times")  # of a segment; a whole program has order, or together
WHOLE = ("order", "together")


class AttributeAccuracy(Metric):
    """What ``attribute_accuracy`` finds, but for its confusion: hits by kind of program, mark and action."""

    full_state_update = False

    def __init__(self, fps: float = 20):
        super().__init__()
        self.fps = fps
        for name, shape in {"segments": (len(KINDS), len(MARKS), len(ACTIONS), 2), "whole": (len(KINDS), 2, 2)}.items():
            self.add_state(name, torch.zeros(shape, dtype=torch.float64), dist_reduce_fx="sum")  # hits, all
        self.add_state("programs", torch.zeros(len(KINDS), dtype=torch.long), dist_reduce_fx="sum")

    def update(self, program: Program | dict, joints: np.ndarray) -> None:
        """A motion (T, 22, 3) in metres that should perform a program."""
        program = program if isinstance(program, Program) else Program.from_dict(program)
        kind, found = KINDS.index(program.kind), score(program, joints, self.fps)
        segments, whole = self.segments.clone(), self.whole.clone()  # not in place: they may be of inference mode
        for segment, right in zip(program.segments, found.segments, strict=True):
            for mark, value in right.items():
                segments[kind, MARKS.index(mark), ACTIONS.index(segment.action)] += segments.new_tensor([value, 1])
        for k, value in enumerate((found.order, found.together)):
            if value is not None:
                whole[kind, k] += whole.new_tensor([value, 1])
        self.segments, self.whole = segments, whole
        self.programs = self.programs + torch.nn.functional.one_hot(torch.tensor(kind), len(KINDS)).to(self.programs)

    def compute(self) -> dict[str, dict[str, float]]:
        """Kind → accuracy of each mark, averaged first within an action and then over actions, and ``count``.

        NaN where nothing counts; a mark or kind that was never asked for is left out, but for single and compound.
        """
        table = {}
        for k, kind in enumerate(KINDS):
            if not self.programs[k] and kind not in ("single", "compound"):
                continue
            hits, asked = self.segments[k].unbind(-1)  # (marks, actions)
            shares = torch.where(asked > 0, hits / asked, torch.nan).nanmean(-1)
            row = {name: float(share) for name, share in zip(MARKS, shares, strict=True)}
            if kind != "count":
                row.pop("times")
            for name, (right, count) in zip(WHOLE, self.whole[k], strict=True):
                if (name == "together") == (kind == "while") and kind != "single":
                    row[name] = float(right / count)
            table[kind] = row | {"count": int(self.programs[k])}
        return table
