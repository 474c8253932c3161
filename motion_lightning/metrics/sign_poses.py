"""Reads signs back from keypoints: which were signed, in which order, and how far that is from what was asked.

The reader is a hidden Markov model of each sign, as in the first recognisers of continuous signing (T. Starner and
A. Pentland, Real-Time American Sign Language Recognition from Video Using Hidden Markov Models, 1995). It learns from
training clips whose ``tags`` say when which sign was made, and never sees a text.
"""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from motion_lightning.data.signs.keypoints import HANDS, WRISTS
from motion_lightning.data.store import Split
from motion_lightning.errors import UserError

STATES = 7  # of a sign, passed through from first to last; one may be passed over
SHAPE = (4, 8, 12, 16, 20, 5, 17)  # of a hand: the finger tips, and two knuckles that say how it is turned
STEP = 2  # frames to either side that a velocity spans
BLUR = 0.06  # shoulder widths by which a sample may be off, beside what signers differ by
FAR = 1e3  # shoulder widths
ENTER = -20.0  # log probability of beginning a sign: with a larger one noise between two signs would be a third


def observations(clip: np.ndarray) -> np.ndarray:
    """(T, K, D + 1) → (T, F): both wrists, where they go, and the shapes of the hands about them."""
    points = np.asarray(clip[..., :-1], np.float64)
    wrists = points[:, WRISTS, :]  # (T, 2, D)
    ahead = np.minimum(np.arange(len(points)) + STEP, len(points) - 1)
    behind = np.maximum(np.arange(len(points)) - STEP, 0)
    hands = [points[:, [hand.start + k for k in SHAPE]] - points[:, hand.start, None] for hand in HANDS.values()]
    return np.concatenate(
        [part.reshape(len(points), -1) for part in (wrists, wrists[ahead] - wrists[behind], *hands)], 1
    )


class SignReader:
    """Signs of a clip of keypoints. Left- and right-handed signers have models of their own.

    Args:
        split: training clips; their tags hold ``gloss`` and ``spans``, and may say which hand ``leads``.
        clips: at most so many of them.

    Raises UserError where tags do not say when signs were made.
    """

    def __init__(self, split: Split, clips: int = 1000):
        frames, between = defaultdict(list), []
        for i in range(min(clips, len(split))):
            tags = split.tags(i)
            if not tags.get("spans"):
                raise UserError(f"{split.store.path}: tags do not say when each sign was made; signs cannot be read")
            seen, free = observations(split.features(i)), np.ones(split.lengths[i], bool)
            for sign, (start, end) in zip(tags["gloss"], tags["spans"], strict=True):
                free[start:end] = False
                for state, part in enumerate(np.array_split(np.arange(start, end), STATES)):
                    frames[tags.get("leads"), sign, state].append(seen[part])
            between.append(seen[free])
        means = {key: np.concatenate(parts).mean(0) for key, parts in frames.items()}
        left = np.concatenate([row - means[key] for key, parts in frames.items() for row in parts])
        self.white = _whitening(left.T @ left / len(left))
        self.signs = sorted({sign for _, sign, _ in frames})
        never = np.full(len(self.white), FAR)  # what a signer's leading hand was not seen to make
        self.models = {
            leads: np.stack([means.get((leads, sign, s), never) for sign in self.signs for s in range(STATES)])
            @ self.white
            for leads in {leads for leads, _, _ in frames}
        }  # leading hand → (signs · states, F)
        between = np.concatenate(between) @ self.white
        self.rest = between.mean(0)
        self.rest_white = _whitening(np.cov(between.T), blur=1.0)  # as far off as a frame of a sign may be

    def read(self, clip: np.ndarray) -> list[str]:
        """The signs of a clip (T, K, D + 1), in their order."""
        seen = observations(clip) @ self.white  # (T, F)
        apart = (seen - self.rest) @ self.rest_white
        rest = -0.5 * (apart**2).sum(1) + np.linalg.slogdet(self.rest_white)[1]  # (T,)
        found = []
        for means in self.models.values():
            fit = -0.5 * ((seen**2).sum(1, keepdims=True) - 2 * seen @ means.T + (means**2).sum(1))
            found.append(_best_path(fit.reshape(len(seen), -1, STATES), rest))
        _, signs = max(found, key=lambda pair: pair[0])
        return [self.signs[k] for k in signs]


def _whitening(covariance: np.ndarray, blur: float = BLUR) -> np.ndarray:
    values, vectors = np.linalg.eigh(covariance + blur**2 * np.eye(len(covariance)))
    return vectors / np.sqrt(values.clip(1e-9))


def _best_path(fit: np.ndarray, rest: np.ndarray) -> tuple[float, list[int]]:
    """Viterbi's path through the states of signs.

    Args:
        fit: (T, signs, states) log probability of each frame in each state.
        rest: (T,) of each frame between signs.

    Returns:
        Its log probability, and the signs on it. It begins and ends between signs.
    """
    frames, signs, states = fit.shape
    score, idle = np.full((signs, states), -np.inf), rest[0]
    back = np.zeros((frames, signs, states), np.int8)  # states that were gone forward; those of state 0 may enter
    ended = np.full(frames, -1)  # the sign from whose last state a frame between signs was reached
    for t in range(1, frames):
        moves = np.full((3, signs, states), -np.inf)
        moves[0] = score
        moves[1, :, 1:], moves[1, :, 0] = score[:, :-1], idle + ENTER
        moves[2, :, 2:] = score[:, :-2]
        back[t] = moves.argmax(0)
        last = int(score[:, -1].argmax())
        if score[last, -1] > idle:
            ended[t], idle = last, score[last, -1]
        score, idle = moves.max(0) + fit[t], idle + rest[t]
    path, sign, state = [], -1, 0
    for t in range(frames - 1, 0, -1):
        if sign < 0 and ended[t] >= 0:
            sign, state = int(ended[t]), states - 1
            path.append(sign)
        elif sign >= 0:
            state -= int(back[t, sign, state])
            sign = sign if state >= 0 else -1
    return float(idle), path[::-1]


def edits(asked: Sequence[str], read: Sequence[str]) -> int:
    """Least number of signs to put in, leave out or exchange."""
    row = list(range(len(read) + 1))
    for i, a in enumerate(asked, 1):
        diagonal, row[0] = row[0], i
        for j, b in enumerate(read, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (a != b))
    return row[-1]


def gloss_scores(asked: Sequence[Sequence[str]], read: Sequence[Sequence[str]]) -> dict[str, float]:
    """``wer``: edits a sign asked for (word error rate, it can exceed 1); ``clips``: share read exactly as asked;
    ``signs``: share of the signs asked for that are there at all."""
    total = sum(map(len, asked))
    pairs = list(zip(asked, read, strict=True))
    return {
        "signs": sum(sign in there for signs, there in pairs for sign in signs) / total,
        "wer": sum(edits(signs, there) for signs, there in pairs) / total,
        "clips": float(np.mean([list(signs) == list(there) for signs, there in pairs])),
    }
