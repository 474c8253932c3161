"""Guo et al.'s evaluator, as ``motion_lightning.protocol`` asks for one."""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from motion_lightning.codecs.motion import PARTS, FeatureCodec
from motion_lightning.data.store import Split, Store
from motion_lightning.errors import UserError
from motion_lightning.zoo.guo import Guo, load_guo

BATCH = 128


class GuoScorer:
    """Places real clips, samples and captions in the space that the field's numbers are measured in."""

    def __init__(self, guo: Guo):
        self.guo, self.digest, self.dataset = guo, guo.sha256, guo.about["dataset"]
        self.name = f"Guo et al.'s evaluator of {self.dataset}"

    @classmethod
    def load(cls, folder: Path) -> "GuoScorer":
        """From a folder that ``zoo import guo`` wrote; UserError for a damaged one."""
        return cls(load_guo(folder))

    @torch.no_grad()
    def texts(self, split: Split, texts: Sequence[int]) -> Tensor:
        """Indices of texts, with the corpus' own parts of speech → (N, 512)."""
        known = split.store.texts
        parts = []
        for k in range(0, len(texts), BATCH):
            part = texts[k : k + BATCH]
            tokens = self.guo.words([known[i] for i in part], [known.pos(i) for i in part])
            parts.append(self.guo.network.embed_text(tokens.vectors, tokens.pos, tokens.lengths))
        return torch.cat(parts)

    def clips(self, split: Split, clips: Sequence[int], starts: Sequence[int], lengths: Sequence[int]) -> Tensor:
        """Real clips, cut → (N, 512)."""

        def cut(i: int) -> Tensor:
            return torch.from_numpy(split.features(clips[i])[starts[i] : starts[i] + lengths[i]].copy())

        return self._embed(len(clips), lengths, cut)

    def samples(self, codec: nn.Module, samples: Sequence[Tensor]) -> Tensor:
        """x (T, D) of a model of all features → (N, 512).

        Raises:
            UserError: x does not hold all of HumanML3D's features, which the evaluator was trained on.
        """
        if not isinstance(codec, FeatureCodec) or codec.names != PARTS["all"]:
            have = ", ".join(getattr(codec, "names", [type(codec).__name__]))
            raise UserError(
                f"{self.name} reads all features of a frame, and this model makes {have}: train it with codec.parts=all"
            )

        def features(i: int) -> Tensor:
            return torch.cat([*codec.metric(samples[i]).values()], dim=-1)

        return self._embed(len(samples), [len(x) for x in samples], features)

    def reasons(self, store: Store) -> list[str]:
        """What speaks against comparing figures on this store with published ones."""
        corpus = store.manifest["corpus"]
        return [] if corpus == self.dataset else [f"{self.name} is no evaluator of data={corpus}"]

    @torch.no_grad()
    def _embed(self, count: int, lengths: Sequence[int], clip: Callable[[int], Tensor]) -> Tensor:
        out = torch.empty(count, 512)
        order = sorted(range(count), key=lengths.__getitem__)
        for k in range(0, count, BATCH):
            part = order[k : k + BATCH]
            rows = [clip(i) for i in part]
            x = nn.utils.rnn.pad_sequence(rows, batch_first=True)  # (B, T, F)
            out[part] = self.guo.network.embed_motion(x, torch.tensor([len(row) for row in rows])).cpu()
        return out
