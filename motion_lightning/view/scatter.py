"""Pictures of spaces: points in their first two principal components, coloured by label."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np


def write_scatter(path: str | Path, spaces: Mapping[str, np.ndarray], labels: Sequence[str | None]) -> Path:
    """A PNG with one panel for each space, which leaves out what lies far beyond all but a hundredth of the points.

    Args:
        spaces: title → points (N, E), which PCA takes to two dimensions, each space by itself.
        labels: of the N points; those with None are grey and small.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from sklearn.decomposition import PCA

    path = Path(path)
    names = sorted({label for label in labels if label is not None})
    figure = Figure(figsize=(5.4 * len(spaces) + 2, 5.2), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, len(spaces), squeeze=False)[0]
    known = np.array([names.index(label) if label is not None else -1 for label in labels])
    for axis, (title, points) in zip(axes, spaces.items(), strict=True):
        pca = PCA(2, random_state=0)
        flat = pca.fit_transform(points)
        axis.scatter(*flat[known < 0].T, s=4, color="0.8", linewidths=0)
        for number, name in enumerate(names):
            colour, mark = f"C{number % 10}", "os^Dv"[number // 10 % 5]
            axis.scatter(*flat[known == number].T, s=16, color=colour, marker=mark, linewidths=0, label=name)
        axis.set_title(f"{title} ({100 * pca.explained_variance_ratio_.sum():.0f} % of the variance)", fontsize=11)
        axis.set_xticks([]), axis.set_yticks([])
        low, high = np.percentile(flat, [1, 99], axis=0)
        margin = 0.1 * (high - low) + 1e-9
        axis.set_xlim(low[0] - margin[0], high[0] + margin[0])
        axis.set_ylim(low[1] - margin[1], high[1] + margin[1])
    if names:
        handles, _ = axes[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside right center", fontsize=8, frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    figure.savefig(part, format="png", dpi=110)
    return part.replace(path)
