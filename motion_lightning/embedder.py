"""A trained evaluator: motions and texts as points of one space, where near means alike."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from motion_lightning.codecs.motion import FeatureCodec
from motion_lightning.errors import UserError
from motion_lightning.models.tmr import TMR
from motion_lightning.text.condition import text_of


class Embedder(nn.Module):
    """TMR with the codec of what it reads: all that a checkpoint of an evaluator holds."""

    def __init__(self, net: TMR, codec: nn.Module):
        super().__init__()
        self.net, self.codec = net, codec

    def motions(self, x: Tensor, mask: Tensor) -> Tensor:
        """x of the codec (B, T, *shape), mask (B, T) → unit vectors (B, W)."""
        return F.normalize(self.net.encode_motion(x.flatten(2), mask).mean, dim=-1)

    def texts(self, cond: Any) -> Tensor:
        """Conditions → unit vectors (B, W) of their texts."""
        text = text_of(cond)
        return F.normalize(self.net.encode_text(text.tokens, text.mask).mean, dim=-1)

    @torch.no_grad()
    def of_samples(self, samples: Sequence[Tensor], codec: nn.Module, batch_size: int = 128) -> Tensor:
        """x (T_i, *shape) of another model's codec → unit vectors (N, W); UserError where the two codecs differ."""
        translate = translation(codec, self.codec)
        order = sorted(range(len(samples)), key=lambda i: len(samples[i]))
        out = torch.empty(len(samples), self.net.width)
        for k in range(0, len(order), batch_size):
            part = order[k : k + batch_size]
            x = nn.utils.rnn.pad_sequence([translate(samples[i]) for i in part], batch_first=True)
            lengths = torch.tensor([len(samples[i]) for i in part], device=x.device)
            mask = torch.arange(x.shape[1], device=x.device) < lengths[:, None]
            out[part] = self.motions(x, mask).cpu()
        return out


def translation(source: nn.Module, target: nn.Module):
    """x (T, *shape) of one codec → x of another that holds the same kind of data.

    Motions are translated part by part. All others have to be of equal codecs, statistics included.
    """
    if isinstance(source, FeatureCodec) and isinstance(target, FeatureCodec):
        if source.skeleton.name != target.skeleton.name:
            raise UserError(
                f"the samples are motions of skeleton {source.skeleton.name}, the evaluator knows "
                f"{target.skeleton.name}; take an evaluator of their data"
            )
        if lacking := [name for name in target.names if name not in source.names]:
            raise UserError(
                f"the samples lack {', '.join(lacking)}, which the evaluator reads: train one on less, with "
                "train model=evaluator codec.parts=essential"
            )
        if "contacts" in target.names and source.stand_speed != target.stand_speed:
            raise UserError(
                f"the evaluator reads contacts, which mean codec.stand_speed={target.stand_speed} to it and "
                f"{source.stand_speed} in the samples (None: as HumanML3D has them); take an evaluator of like data"
            )
        return lambda x: target.of_parts(source.metric(x))
    same = type(source) is type(target) and source.shape == target.shape
    same = same and all(map(torch.equal, source.state_dict().values(), target.state_dict().values()))
    if not same:
        raise UserError(
            f"samples of {type(source).__name__} {tuple(source.shape)} and an evaluator of {type(target).__name__} "
            f"{tuple(target.shape)} differ in layout or in normalisation: take an evaluator of the same data"
        )
    return lambda x: x
