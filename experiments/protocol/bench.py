"""How long does the arithmetic of a protocol take, and does it give the numbers of the plain way?

python experiments/protocol/bench.py               4,384 clips of 512 numbers, 20 replications
python experiments/protocol/bench.py --clips 400 --width 256

The plain way is numpy and scipy as evaluation scripts have it: a loop over pools of 32, scipy's matrix root, moments of
the real motions in every replication. Embeddings are given; both ways see the same, with the same pools and pairs.
"""

import argparse
import time

import numpy as np
import scipy.linalg
import torch

from motion_lightning.metrics.diversity import draw_pairs
from motion_lightning.protocol import MultiModalityPlan, Protocol, score_embeddings


def embeddings(clips: int, width: int, replications: int, decades: float) -> tuple[np.ndarray, ...]:
    """Texts and motions (R, N, E), real motions (N, E) and repeated samples (R, 100, 30, E), float32."""
    rng = np.random.default_rng(0)
    mix = np.linalg.qr(rng.normal(size=(width, width)))[0] * np.logspace(
        0, -decades, width
    )  # deviations 1 to 10^-decades
    mix = mix.T.astype(np.float32)

    def some(*shape: int) -> np.ndarray:
        return rng.normal(size=(*shape, width)).astype(np.float32) @ mix

    real = some(clips) + 0.3
    texts = some(replications, clips)
    return texts, texts + some(replications, clips), real, some(replications, 100, 30)


def plain(texts: np.ndarray, motions: np.ndarray, real: np.ndarray, several: np.ndarray, seed: int) -> dict[str, float]:
    """One replication in numpy and scipy, in float64."""
    texts, motions, real, several = (x.astype(np.float64) for x in (texts, motions, real, several))
    hits, distance, count = np.zeros(3), 0.0, 0
    for start in range(0, len(texts) // 32 * 32, 32):
        t, m = texts[start : start + 32], motions[start : start + 32]
        apart = np.sqrt(np.maximum((t**2).sum(1)[:, None] + (m**2).sum(1) - 2 * t @ m.T, 0))
        order = np.argsort(apart, axis=1)
        for row in range(32):
            place = int(np.where(order[row] == row)[0][0])
            hits += [place < 1, place < 2, place < 3]
        distance += apart.trace()
        count += 32
    means, covariances = zip(*((x.mean(0), np.cov(x, rowvar=False)) for x in (motions, real)), strict=True)
    root = scipy.linalg.sqrtm(covariances[0] @ covariances[1]).real
    fid = ((means[0] - means[1]) ** 2).sum() + np.trace(covariances[0]) + np.trace(covariances[1]) - 2 * np.trace(root)
    generator = torch.Generator().manual_seed(seed)
    a, b = (part.numpy() for part in draw_pairs(len(motions), 300, generator))
    diversity = np.mean([np.linalg.norm(motions[i] - motions[j]) for i, j in zip(a, b, strict=True)])
    c, d = (part.numpy() for part in draw_pairs(several.shape[1], 10, generator))
    modes = np.mean([np.linalg.norm(clips[i] - clips[j]) for clips in several for i, j in zip(c, d, strict=True)])
    named = {f"R-precision {k}": share for k, share in enumerate(hits / count, 1)}
    return {**named, "FID": fid, "MM-Dist": distance / count, "Diversity": diversity, "MultiModality": modes}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in {"clips": 4384, "width": 512, "replications": 20}.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--decades", type=float, default=2, help="from the largest to the least standard deviation")
    arguments = parser.parse_args()
    sets = embeddings(arguments.clips, arguments.width, arguments.replications, arguments.decades)
    protocol = Protocol("bench", replications=arguments.replications, multimodality=MultiModalityPlan())
    tensors = [torch.from_numpy(x) for x in sets]
    score_embeddings(protocol, *(x[:1] if x.ndim > 2 else x for x in tensors))  # the first call of all is slow
    begun = time.perf_counter()
    ours = score_embeddings(protocol, *tensors)
    own = time.perf_counter() - begun
    begun = time.perf_counter()
    texts, motions, real, several = sets
    theirs = [
        plain(*row, real, many, seed) for seed, (*row, many) in enumerate(zip(texts, motions, several, strict=True))
    ]
    other = time.perf_counter() - begun
    off = max(abs(a[name] - b[name]) for a, b in zip(ours, theirs, strict=True) for name in a)
    print(f"{arguments.clips} clips x {arguments.replications} replications, {torch.get_num_threads()} threads")
    print(
        f"here {own:.2f} s, plain {other:.2f} s: {other / own:.1f} times as fast; figures differ by {off:.1e} at most"
    )


if __name__ == "__main__":
    main()
