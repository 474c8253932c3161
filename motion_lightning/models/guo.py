"""The evaluator that HumanML3D and KIT-ML are measured with (Guo et al., CVPR 2022, "Generating Diverse and Natural 3D
Human Motions From Text"): motions and captions in one space of 512 numbers.

Names and sizes of the parts are those of the published checkpoint (EricGuo5513/text-to-motion, networks/modules.py).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

from motion_lightning.errors import UserError

WIDTHS = {"humanml3d": 263, "kit": 251}  # F, numbers a frame
CONTACTS = 4  # the last ones of a frame, which the evaluator does not see
FRAMES, UNIT = 196, 4  # that a motion is padded to, and that make one token
WORDS, WORD, POS = 22, 300, 15  # of a caption with its start and end, numbers a word, parts of speech
EMBEDDING = 512


class MovementEncoder(nn.Module):
    """Frames (B, T, D) → tokens (B, T // 4, W), one for four frames."""

    def __init__(self, features: int, width: int = 512):
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv1d(features, width, kernel_size=4, stride=2, padding=1),
            nn.Dropout(0.2),
            nn.LeakyReLU(0.2),
            nn.Conv1d(width, width, kernel_size=4, stride=2, padding=1),
            nn.Dropout(0.2),
            nn.LeakyReLU(0.2),
        )
        self.out_net = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.out_net(self.main(x.mT).mT)


class MotionEncoder(nn.Module):
    """Tokens (B, N, I) of movements, of which the first ``lengths`` (B,) count → (B, O)."""

    def __init__(self, inputs: int = 512, width: int = 1024, outputs: int = EMBEDDING):
        super().__init__()
        self.input_emb = nn.Linear(inputs, width)
        self.hidden = nn.Parameter(torch.randn(2, 1, width))  # the first state, of either direction
        self.gru = nn.GRU(width, width, batch_first=True, bidirectional=True)
        self.output_net = _head(width, outputs)

    def forward(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        return self.output_net(_last_states(self.gru, self.hidden, self.input_emb(tokens), lengths))


class TextEncoder(nn.Module):
    """Word vectors (B, L, E), parts of speech (B, L, P) as one-hot, ``lengths`` (B,) → (B, O)."""

    def __init__(self, word: int = WORD, pos: int = POS, width: int = 512, outputs: int = EMBEDDING):
        super().__init__()
        self.pos_emb = nn.Linear(pos, word)
        self.input_emb = nn.Linear(word, width)
        self.hidden = nn.Parameter(torch.randn(2, 1, width))
        self.gru = nn.GRU(width, width, batch_first=True, bidirectional=True)
        self.output_net = _head(width, outputs)

    def forward(self, words: Tensor, pos: Tensor, lengths: Tensor) -> Tensor:
        x = self.input_emb(words + self.pos_emb(pos))  # (B, L, W)
        return self.output_net(_last_states(self.gru, self.hidden, x, lengths))


class GuoEvaluator(nn.Module):
    """The three networks, and the statistics that they were trained with.

    A clip's embedding depends on that clip alone: not on the batch it is in, its place there, or how far the batch is
    padded. It stays in evaluation mode, also inside a module that is trained: dropout would spoil every number.

    Args:
        features: F, numbers a frame of HumanML3D's layout: 263, or KIT's 251.

    ``mean`` and ``std`` (F,) are the evaluator's own, not those of the data set: its std is 25 times smaller for the
    root and the contacts. They are float64, as published: 0.0005 divides what float32 has already rounded.
    """

    def __init__(self, features: int = WIDTHS["humanml3d"]):
        super().__init__()
        self.features = features
        self.movement_encoder = MovementEncoder(features - CONTACTS)
        self.motion_encoder = MotionEncoder()
        self.text_encoder = TextEncoder()
        self.register_buffer("mean", torch.zeros(features, dtype=torch.float64))
        self.register_buffer("std", torch.ones(features, dtype=torch.float64))
        self.eval()

    def train(self, mode: bool = True) -> "GuoEvaluator":
        return super().train(False)

    def embed_motion(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Features (B, T, F) in metres, not normalised, of clips of ``lengths`` (B,) frames → (B, 512) float32.

        Frames beyond the last whole four are left out. As in the authors' loader what follows a clip are zeros after
        normalisation, up to 196 frames: the convolutions see three of them, so that padding to the longest clip of a
        batch instead would change that clip.

        Raises:
            UserError: features of another width; a clip shorter than 4 frames, or of 200 and more.
        """
        if features.ndim != 3 or features.shape[2] != self.features:
            kind = next((name for name, width in WIDTHS.items() if width == self.features), "its corpus")
            raise UserError(
                f"motions of shape {tuple(features.shape)}, while this evaluator reads (clips, frames, {self.features}"
                f") of {kind}: take the evaluator of the data"
            )
        units = _lengths(lengths, features[:, :, 0], UNIT, FRAMES + UNIT - 1, "frames", "a clip") // UNIT
        with torch.autocast(features.device.type, enabled=False):
            x = ((features[:, :FRAMES].to(self.mean) - self.mean) / self.std)[..., :-CONTACTS]
            inside = torch.arange(x.shape[1], device=x.device) < (units * UNIT).to(x.device)[:, None]
            x = torch.where(inside[..., None], x, 0).float()  # what lies outside may be NaN
            tokens = self.movement_encoder(F.pad(x, (0, 0, 0, FRAMES - x.shape[1])))  # (B, 49, 512)
            return self.motion_encoder(tokens, units)

    def embed_text(self, words: Tensor, pos: Tensor, lengths: Tensor) -> Tensor:
        """Vectors (B, L, 300) of the words, their parts of speech (B, L, 15) as one-hot → (B, 512) float32.

        Args:
            lengths: (B,) words of each caption with its start and end, without padding.

        Raises:
            UserError: other sizes; a length that is no place of the padded caption.
        """
        if words.ndim != 3 or words.shape[2] != WORD or pos.shape != (*words.shape[:2], POS):
            raise UserError(
                f"words of shape {tuple(words.shape)} and parts of speech of shape {tuple(pos.shape)}: expected "
                f"(captions, words, {WORD}) and (captions, words, {POS})"
            )
        lengths = _lengths(lengths, words[:, :, 0], 1, words.shape[1], "words", "a caption")
        with torch.autocast(words.device.type, enabled=False):
            return self.text_encoder(words.float(), pos.float(), lengths)


def _head(width: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(2 * width, width), nn.LayerNorm(width), nn.LeakyReLU(0.2), nn.Linear(width, outputs))


def _last_states(gru: nn.GRU, first: Tensor, x: Tensor, lengths: Tensor) -> Tensor:
    """Sequences (B, N, W) → what either direction knows at its end (B, 2 W); sorted inside, and back."""
    packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    _, last = gru(packed, first.repeat(1, len(x), 1))  # (2, B, W)
    return torch.cat([last[0], last[1]], dim=1)


def _lengths(lengths: Tensor, padded: Tensor, least: int, most: int, of: str, what: str) -> Tensor:
    """(B,) int64 on the CPU, where packing wants them; checked against the padded batch (B, N)."""
    lengths = torch.as_tensor(lengths).cpu().long()
    if lengths.shape != (len(padded),):
        raise UserError(f"lengths of shape {tuple(lengths.shape)} for a batch of {len(padded)}: give one for each")
    for length in (lengths.amin(), lengths.amax()) if len(lengths) else ():
        if not least <= length <= min(most, padded.shape[1]):
            raise UserError(
                f"{what} of {length} {of} in a batch padded to {padded.shape[1]}: this evaluator reads {least} to "
                f"{most}; leave it out or cut it"
            )
    return lengths
