"""A page on which someone who has not seen the prompts chooses, for every clip, the prompt that it shows.

    python experiments/bvh_dit/blind.py runs/bvh_dit

writes <run>/blind/page.html (clips in random order, the prompts as a list to choose from), blind/pictures/NN.png (the
same clips as strips) and blind/key.json (what each clip was asked for), from the prompts and the sampler of the run.

    python experiments/bvh_dit/blind.py runs/bvh_dit ANSWERS.json

reads {"1": 3, "2": 7, ...} (clip number to prompt number) and prints the share that was right, with its interval.
"""

import json
import sys
from pathlib import Path

import numpy as np

from motion_lightning.assemble import load_run
from motion_lightning.config import instantiate
from motion_lightning.view.page import ClipView, write_viewer
from motion_lightning.view.video import pictures

SAMPLES = 3  # of every prompt


def make(folder: Path) -> None:
    run = load_run(folder, "best")
    prompts = run.config["callbacks"]["samples"]["prompts"]
    skeleton = run.model.codec.skeleton
    cond = instantiate(run.config["text_encoder"]).encode([p for p in prompts for _ in range(SAMPLES)])
    frames = round(run.config["callbacks"]["samples"]["seconds"] * skeleton.fps)
    sampling = instantiate(run.config["sampler"])
    samples = run.model.sample(cond, [frames] * len(cond.pooled), sampling, seed=2024)
    order = np.random.default_rng(7).permutation(len(samples))
    joints = [run.model.codec.reconciled(samples[i]).numpy() for i in order]
    out = folder / "blind"
    (out / "pictures").mkdir(parents=True, exist_ok=True)
    views = [ClipView(j, caption="", title=f"clip {n}", fps=skeleton.fps) for n, j in enumerate(joints, 1)]
    choices = "".join(f"<li>{prompt}</li>" for prompt in prompts)
    write_viewer(out / "page.html", views, "Which prompt is it?", skeleton, f"<ol>{choices}</ol>")
    for n, view in enumerate(views, 1):
        strip = [frame for i, frame in enumerate(pictures([view], fps=skeleton.fps)) if i % (frames // 8) == 0][:8]
        width, height = strip[0].size
        sheet = strip[0].resize((width * 4, height * 2))
        for k, frame in enumerate(strip):
            sheet.paste(frame, (k % 4 * width, k // 4 * height))
        sheet.save(out / "pictures" / f"{n:02d}.png")
    key = {str(n): int(i) // SAMPLES + 1 for n, i in enumerate(order, 1)}
    (out / "key.json").write_text(json.dumps(key))
    print("\n".join(f"{n}. {prompt}" for n, prompt in enumerate(prompts, 1)), f"\n{out / 'page.html'}")


def score(folder: Path, answers: Path) -> None:
    key, given = json.loads((folder / "blind" / "key.json").read_text()), json.loads(answers.read_text())
    right = np.array([given.get(n) == prompt for n, prompt in key.items()])
    n, share, z = len(right), right.mean(), 1.96  # Wilson's score interval
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    low, high = middle - half, min(1.0, middle + half)
    print(f"{right.sum()} of {len(right)} right: {right.mean():.0%} (95 % interval {low:.0%} to {high:.0%})")


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    make(folder) if len(sys.argv) == 2 else score(folder, Path(sys.argv[2]))
