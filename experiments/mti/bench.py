"""A word learned from a few motions: does its action appear in new contexts, and does the context hold?

    python -m motion_lightning.train name=without_hop 'data.corpus.without=[hop]'
    python experiments/mti/bench.py runs/without_hop --action hop --seeds 3      # rows in mti/hop.jsonl, then a table
    python experiments/mti/bench.py runs/without_hop runs/programs_dit --table   # of what is there already

Runs are of the embedded corpus. The action is new to a run that was trained without it, known to others. Exemplars are
made by the corpus, one action each with any attributes; what a sample shows is read from its joints by rules. A row is
one word in all contexts; a row that is there is not made again. A projector makes a motion of a text without the
diffusion, too: those are judged beside the samples.
"""

import argparse
import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from tqdm import tqdm

from motion_lightning.assemble import Run, load_run
from motion_lightning.codecs.motion_latent import MotionLatents
from motion_lightning.config import compose, instantiate
from motion_lightning.data.programs.grammar import inflect
from motion_lightning.data.programs.program import (
    DIRECTIONS,
    SIDES,
    Program,
    Segment,
    in_turn,
    sample_seconds,
    sample_segment,
)
from motion_lightning.data.programs.synthesis import perform
from motion_lightning.inversion import find_exemplars, learn
from motion_lightning.metrics.attributes import score
from motion_lightning.tasks.task import Shown
from motion_lightning.text.pseudo_words import PseudoWords, first_vectors, save_word
from motion_lightning.view.fragment import write_page

SAID = {"raise_arm": "raises an arm", "sit_down": "sits down", "stand_up": "stands up"}
LIMB = {"hop": "on the {} leg", "kick": "with the {} leg"}
BOW, WAVE = Segment("bow"), Segment("wave", side="left")
SEQUENCES = (
    ("{}, then bows", BOW, 0),
    ("a person bows, then *", BOW, 1),
    ("{}, then waves with the left hand", WAVE, 0),
)


class Context(NamedTuple):
    """A prompt with * for the word, what it should look like, which segment is the word's, and what is added to it."""

    kind: str
    prompt: str
    segments: tuple[Segment, ...]
    adds: str | None = None  # an attribute, or "order"
    place: int = 0


def contexts(action: str) -> list[Context]:
    """Prompts of the action by itself, at a speed, to a side or in a direction, on a course, in a sequence.

    The corpus always says the side of an action that has one, so all but the first of these say it, too.
    """
    made = [Context("alone", "a person *", (Segment(action),))]
    sides = [side for side in SIDES.get(action, ()) if side != "both"]
    base, usual, where = "a person *", Segment(action), LIMB.get(action, "with the {} arm")
    for side in sides:
        base, usual = f"a person * {where.format(side)}", Segment(action, side=side)
        made.append(Context("direction", base, (usual,), "side"))
    for direction in DIRECTIONS.get(action, ()) if len(DIRECTIONS.get(action, ())) > 1 else ():
        said = f"a person * {f'to the {direction}' if direction in ('left', 'right') else direction}"
        made.append(Context("direction", said, (Segment(action, direction=direction),), "direction"))
    for turn in ("left", "right") if action in ("walk", "run") else ():
        course = Segment(action, direction="forward", path="circle", turn=turn)
        made.append(Context("direction", f"a person * in a circle to the {turn}", (course,), "path"))
    for speed, word in (("slow", "slowly"), ("fast", "quickly")):
        made.append(Context("speed", f"{base} {word}", (replace(usual, speed=speed),), "speed"))
    for prompt, other, place in SEQUENCES:
        if other.action != action:
            two = (usual, other) if place == 0 else (other, usual)
            said = prompt.format(base) if place == 0 else prompt.replace("*", base.removeprefix("a person "))
            made.append(Context("sequence", said, two, "order", place))
    return made


def acted(segments: tuple[Segment, ...], rng: np.random.Generator) -> Program:
    """A program of these segments: what they leave open is drawn, and how long they take."""
    full = []
    for segment in segments:
        drawn = sample_segment(rng, segment.action, len(segments) == 1)
        said = {
            name: getattr(segment, name) for name in ("side", "direction", "path", "turn") if getattr(segment, name)
        }
        full.append(replace(drawn, **said, speed=segment.speed))
    return Program(in_turn(full, [sample_seconds(rng, s, len(segments) == 1) for s in full]))


def marks(context: Context, joints: np.ndarray) -> tuple[bool, bool | None]:
    """Whether the action appears, and whether what the context adds holds (None: it adds nothing)."""
    result = score(Program(context.segments), joints)
    right = result.segments[context.place]
    if context.adds is None:
        return right["action"], None
    return right["action"], result.order if context.adds == "order" else right[context.adds]


def exemplars_of(action: str, count: int, seed: int, folder: Path) -> list[str]:
    """Files of joints: the action by itself with any attributes. Fewer exemplars of a seed are the first of more."""
    files = []
    for i in range(count):
        file = folder / f"{action}_{seed}_{i}.npy"
        if not file.is_file():
            rng = np.random.default_rng([7, seed, i])
            part = file.with_suffix(".part.npy")
            segment = sample_segment(rng, action, alone=True)
            np.save(part, perform(Program(in_turn([segment], [sample_seconds(rng, segment, True)])), rng))
            part.replace(file)
        files.append(str(file))
    return files


def samples_of(
    run: Run, encoder, word: str, action: str, count: int, seed: int, direct: bool = False
) -> Iterator[tuple[Context, list]]:
    """Samples of every context with the word in it, as long as such motions of the corpus are.

    ``direct``: what the projector makes of the texts, without the diffusion; one motion a text.
    """
    sampling = instantiate(run.config["sampler"])
    for k, context in enumerate(contexts(action)):
        rng = np.random.default_rng([8, seed, k])
        lengths = [acted(context.segments, rng).frames for _ in range(count)]
        cond = encoder.encode([context.prompt.replace("*", word)] * count)
        if direct:
            codec = run.model.codec
            z = codec.projector.decode(cond.pooled)
            yield context, [MotionLatents.finish(codec, x, n) for x, n in zip(z, lengths, strict=True)]
        else:
            yield context, run.model.sample(cond, lengths, sampling, seed=seed * 101 + k)


def judged(run: Run, encoder, word: str, action: str, count: int, seed: int) -> dict:
    """{"marks": {kind: [[action appears, context holds], …]}} of samples, and "direct" where there is a projector."""
    judged = {}
    for name in ["marks", "direct"][: 1 + hasattr(run.model.codec, "projector")]:
        rows = defaultdict(list)
        for context, samples in samples_of(run, encoder, word, action, count, seed, name == "direct"):
            rows[context.kind] += [marks(context, run.model.sample_codec.reconciled(x).numpy()) for x in samples]
        judged[name] = rows
    return judged


def real(action: str, count: int, seed: int) -> dict:
    """The same of motions of the corpus: how much the rules read at best."""
    rows = defaultdict(list)
    for k, context in enumerate(contexts(action)):
        rng = np.random.default_rng([9, seed, k])
        rows[context.kind] += [marks(context, perform(acted(context.segments, rng), rng)) for _ in range(count)]
    return rows


def rebuilt(run: Run, action: str, count: int, seed: int, folder: Path) -> dict:
    """Those motions by the frozen decoder from their own latents, and from what the projector gives back of these."""
    codec, file = run.model.codec, folder / "real.npy"
    made = {"marks": defaultdict(list), "direct": defaultdict(list)}
    for k, context in enumerate(contexts(action)):
        rng = np.random.default_rng([9, seed, k])
        for _ in range(count):
            np.save(file, perform(acted(context.segments, rng), rng))
            batch = find_exemplars(run, [str(file)], 1, 10_000).batch
            z, _ = codec.encode(batch)
            for name, x in {"marks": z, "direct": codec.projector.decode(codec.projector.encode(z))}.items():
                motion = MotionLatents.finish(codec, x[0], int(batch.mask.sum()))
                made[name][context.kind].append(marks(context, run.model.sample_codec.reconciled(motion).numpy()))
    file.unlink()
    return made


def jobs(arguments) -> Iterator[dict]:
    """What names each row: seeds outermost, so that all comparisons have as many of them when time is up."""
    for seed in range(arguments.seeds):
        yield {"run": "real", "mode": "real", "exemplars": 0, "seed": seed}
        for run in arguments.runs:
            for mode in ("rebuilt", "named", "untrained")["realigned" not in arguments.modes :]:
                yield {"run": str(run), "mode": mode, "exemplars": 0, "seed": seed}
            for mode in arguments.modes:
                for count in arguments.exemplars:
                    yield {"run": str(run), "mode": mode, "exemplars": count, "seed": seed}


def done(file: Path, key: dict) -> bool:
    return any(all(row[name] == value for name, value in key.items()) for row in read(file))


def read(file: Path) -> list[dict]:
    return [json.loads(line) for line in file.read_text().splitlines()] if file.is_file() else []


def make(job: dict, arguments, loaded: dict[str, Run]) -> dict:
    """One row's figures."""
    action, count, seed = arguments.action, arguments.samples, job["seed"]
    if job["mode"] == "real":
        return {"marks": real(action, 4 * count, seed)}
    if job["run"] not in loaded:
        loaded[job["run"]] = load_run(job["run"])
    run = loaded[job["run"]]
    encoder = instantiate(run.config["text_encoder"])
    row = {"known": action not in (run.config["data"]["corpus"].get("without") or [])}
    if job["mode"] == "rebuilt":
        return row | rebuilt(run, action, count, seed, arguments.folder)
    if job["mode"] == "named":
        said = SAID.get(action) or inflect(action, "s")
        return row | judged(run, encoder, said, action, count, seed)
    if job["mode"] == "untrained":
        words = PseudoWords(encoder, {"new": first_vectors(encoder, 1)})
        return row | judged(run, words, "<new>", action, count, seed)
    settings = compose("invert", ["run=.", "exemplars=[]", "token=new"])
    files = exemplars_of(action, job["exemplars"], seed, arguments.folder)
    word = learn(
        run, encoder, find_exemplars(run, files, settings.shortest, settings.longest), "new", list(settings.templates),
        mode=job["mode"], steps=arguments.steps or settings.steps, batch_size=settings.batch_size,
        rate=arguments.rate or settings.rate, seed=seed, progress=lambda steps: tqdm(steps, "learning", leave=False),
    )  # fmt: skip
    name = f"{Path(job['run']).name}_{job['mode']}_{job['exemplars']}_{seed}"
    save_word(arguments.folder / f"{name}.safetensors", word)
    words = PseudoWords(encoder, {"new": word.vectors})
    if seed == 0 and job["exemplars"] == max(arguments.exemplars):
        page(run, words, action, files[0], arguments.folder / f"{name}.html")
    return row | {"loss": word.about["loss"]} | judged(run, words, "<new>", action, count, seed)


def page(run: Run, words: PseudoWords, action: str, file: str, path: Path) -> None:
    """An exemplar, and one sample of each context."""
    codec = run.model.sample_codec
    batch = find_exemplars(run, [file], 1, 10_000).batch
    shown = [Shown(codec.encode(batch)[0][0, batch.mask[0]], "exemplar", Path(file).name, real=True)]
    for context, (x,) in samples_of(run, words, "<new>", action, 1, 0):
        shown.append(Shown(x, context.prompt.replace("*", "<new>"), "sample"))
    write_page(str(path), f"{action}, learned", instantiate(run.config["task"]).look(run.model, shown), "")


def table(rows: list[dict]) -> str:
    """Per cent, mean over seeds ± 1.96 standard errors: the action appears / what the context adds holds."""
    kinds = list(dict.fromkeys(kind for row in rows for kind in row["marks"]))
    groups = defaultdict(list)
    for row in rows:
        known = {True: "known", False: "new"}.get(row.get("known"), "")
        alone = ", and by the projector" if row["mode"] == "rebuilt" else ", projector alone"
        for way, made in {"": "marks", alone: "direct"}.items():
            if made in row:
                groups[Path(row["run"]).name, known, row["mode"] + way, row["exemplars"]].append(row[made])
    lines = [f"| run | action is | mode | exemplars | seeds | {' | '.join(kinds)} |", "|" + "---|" * (5 + len(kinds))]
    for (run, known, mode, count), group in groups.items():
        cells = []
        for kind in kinds:
            shares = np.array([np.mean(np.array(marks[kind], float), axis=0) for marks in group])  # (seeds, 2)
            said = [share(shares[:, 0])] + ([] if np.isnan(shares[:, 1]).any() else [share(shares[:, 1])])
            cells.append(" / ".join(said))
        lines.append(f"| {run} | {known} | {mode} | {count or ''} | {len(group)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def share(values: np.ndarray) -> str:
    half = 1.96 * values.std(ddof=1) / len(values) ** 0.5 if len(values) > 1 else None
    return f"{100 * values.mean():.0f}" + (f" ± {100 * half:.0f}" if half is not None else "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="*", type=Path)
    parser.add_argument("--action", default="hop")
    parser.add_argument("--modes", nargs="+", default=["diffusion"], help="realigned vae, or diffusion")
    parser.add_argument("--exemplars", nargs="+", type=int, default=[1, 3, 5, 10])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--samples", type=int, default=8, help="of each context")
    parser.add_argument("--steps", type=int, help="of learning a word; default as in conf/invert.yaml")
    parser.add_argument("--rate", type=float, help="the same")
    parser.add_argument("--folder", type=Path, default=Path("mti"))
    parser.add_argument("--table", action="store_true", help="of what is there already, nothing is made")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    file, loaded = arguments.folder / f"{arguments.action}.jsonl", {}
    wanted = list(jobs(arguments))
    for job in [] if arguments.table else tqdm(wanted, arguments.action):
        if not done(file, job):
            row = job | make(job, arguments, loaded)
            with file.open("a") as out:
                out.write(json.dumps(row) + "\n")
    print(table(read(file)))


if __name__ == "__main__":
    torch.manual_seed(0)
    main()
