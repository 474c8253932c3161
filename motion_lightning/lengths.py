"""How long is what a sentence asks for? A classifier of lengths, trained on a store's captions in seconds."""

from pathlib import Path

import filelock
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from motion_lightning.data.store import Split, Store
from motion_lightning.errors import UserError

VERSION = 1
BINS = 50  # of equal numbers of frames, up to the longest training clip
# On the embedded corpus 2.99 nats a caption of val (training lengths alone: 3.42), median off by 8.5 frames (14.2).
STEPS, CHECK, BATCH, RATE, WIDTH = 400, 20, 512, 5e-4, 256


class LengthModel(nn.Module):
    """Pooled sentence embedding → a distribution over lengths (Guo et al., CVPR 2022, sec. 3.1).

    Args:
        text_dim: E of the pooled embedding.
        unit: frames a bin.
        bins: how many.
    """

    def __init__(self, text_dim: int, unit: int, bins: int = BINS):
        super().__init__()
        self.unit = unit
        self.net = nn.Sequential(
            nn.LayerNorm(text_dim), nn.Linear(text_dim, WIDTH), nn.SiLU(), nn.Dropout(0.2), nn.Linear(WIDTH, bins)
        )
        self.register_buffer("typical", torch.zeros(bins))  # (bins,) mean frames of the training clips in each

    def forward(self, pooled: Tensor) -> Tensor:
        """(B, E) → logits (B, bins)."""
        return self.net(pooled)

    def bin(self, frames: Tensor) -> Tensor:
        return ((frames - 1) // self.unit).clamp(0, len(self.typical) - 1)

    @torch.no_grad()
    def median(self, pooled: Tensor) -> Tensor:
        """(B, E) → frames (B,) that half of such clips are shorter than."""
        middle = (self(pooled).softmax(-1).cumsum(-1) < 0.5).sum(-1).clamp(max=len(self.typical) - 1)
        return self.typical[middle].round().long()

    @torch.no_grad()
    def draw(self, pooled: Tensor, seed: int) -> Tensor:
        """(B, E) → frames (B,) drawn from the distribution."""
        generator = torch.Generator().manual_seed(seed)
        drawn = torch.multinomial(self(pooled).softmax(-1).cpu(), 1, generator=generator)[:, 0]
        return self.typical.cpu()[drawn].round().long()


def open_lengths(store: Store) -> LengthModel:
    """The store's length model, trained where it has none yet, in ``derived/lengths.pt``.

    Raises:
        UserError: the store has no training clips.
    """
    train = store.split("train")
    if not len(train):
        raise UserError(f"{store.path}: no training clips to learn lengths from; say how long samples shall be")
    longest = int(train.lengths.max())
    model = LengthModel(store.manifest["text_width"], unit=-(-longest // BINS))
    file = store.path / "derived" / "lengths.pt"
    file.parent.mkdir(exist_ok=True)
    with filelock.FileLock(f"{file}.lock"):
        if not _is_current(file, store):
            _fit(model, store)
            part = file.with_suffix(".part")
            torch.save({"version": VERSION, "store": store.digest, "state": model.state_dict()}, part)
            part.replace(file)
    model.load_state_dict(torch.load(file, weights_only=True)["state"])
    return model.eval()


def _is_current(file: Path, store: Store) -> bool:
    if not file.is_file():
        return False
    state = torch.load(file, weights_only=True)
    return (state["version"], state["store"]) == (VERSION, store.digest)


def _fit(model: LengthModel, store: Store) -> None:
    """Cross-entropy over every caption of every training clip, from their lengths alone to where val is best."""
    pooled, frames = _captions(store.split("train"))
    target = model.bin(frames)
    count = torch.bincount(target, minlength=len(model.typical)).float()
    total = torch.zeros(len(count)).index_add(0, target, frames.float())
    centres = (torch.arange(len(count)) + 0.5) * model.unit
    model.typical.copy_(torch.where(count > 0, total / count.clamp(min=1), centres).clamp(max=float(frames.max())))
    held = _captions(store.split("val")) if len(store.split("val")) else (pooled, frames)
    best, kept = float("inf"), model.state_dict()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for layer in model.net:
            if hasattr(layer, "reset_parameters"):
                layer.reset_parameters()
        torch.nn.init.zeros_(model.net[-1].weight)
        model.net[-1].bias.data.copy_(((count + 1) / (count + 1).sum()).log())
        optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.01)
        for step in range(STEPS + 1):
            if step % CHECK == 0:
                with torch.no_grad():
                    nats = float(F.cross_entropy(model.eval()(held[0]), model.bin(held[1])))
                if nats < best:
                    best, kept = nats, {name: value.clone() for name, value in model.state_dict().items()}
                model.train()
            batch = torch.randint(len(target), (min(BATCH, len(target)),))
            loss = F.cross_entropy(model(pooled[batch]), target[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    model.load_state_dict(kept)


def _captions(split: Split) -> tuple[Tensor, Tensor]:
    """Pooled embeddings (N, E) of all captions of a split, and the frames (N,) of their clips."""
    owner = [(text, int(split.lengths[i])) for i in range(len(split)) for text in split.text_ids(i)]
    return split.store.texts.cond([text for text, _ in owner]).pooled, torch.tensor([length for _, length in owner])
