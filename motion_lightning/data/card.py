"""The data card of a store: what is in it, where from, under which licence, and a picture."""

import json
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from motion_lightning.data.bodies import joints_of
from motion_lightning.data.clip import SPLITS
from motion_lightning.data.store import Store
from motion_lightning.data.vocabulary import CONNECTIVES, GRAMMAR, connectives, count_verbs, words
from motion_lightning.motion.skeleton import load_skeleton
from motion_lightning.view.sheet import FRAMES, Bars, Strip, figures, photographs, points, sheet, surface

FOLDER = "card"  # in the store
SHOWN = 6  # clips in the picture
MOST = 12  # rows of a list of words
REPRESENTATIONS = {
    "motion": "motions: root velocities and height, joint positions, rotations, velocities and foot contacts",
    "pose": "single poses: joints around the pelvis, heading removed, in metres",
    "tracks": "paths of points",
    "video": "videos",
    "keypoints": "keypoints over time",
    "image": "pictures",
}


def write_card(store: Store) -> Path:
    """Write ``card/README.md`` and ``card/picture.png`` into the store's folder; returns the README's path.

    Takes about a second for 5,000 clips: captions are counted by words, not tagged. The files are not among those
    that the manifest vouches for.
    """
    folder, partial = store.path / FOLDER, store.path / f"{FOLDER}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    uses = np.bincount(store.captions.data, minlength=len(store.whole_texts))
    texts = [store.whole_texts[i] for i in range(len(store.whole_texts))]
    verbs = count_verbs((text, store.whole_texts.pos(i), int(uses[i])) for i, text in enumerate(texts))
    draw_picture(store, verbs).save(partial / "picture.png", optimize=True)
    (partial / "README.md").write_text(card_text(store, texts, uses, verbs), encoding="utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    return partial.rename(folder) / "README.md"


def card_text(store: Store, texts: list[str], uses: np.ndarray, verbs: Counter[str]) -> str:
    """The card in Markdown; ``uses`` says how often each of ``texts`` is a clip's caption."""
    manifest = store.manifest
    about, counts, fps = manifest["about"], manifest["counts"], manifest["fps"]
    still = manifest["representation"] in ("pose", "image")
    size = f"{counts['clips']:,} {'poses' if manifest['representation'] == 'pose' else 'clips'}"
    length = "" if still else f", {_minutes(sum(manifest['minutes'].values()))} at {fps:g} frames a second"
    lines = [
        f"# {about.get('title') or manifest['corpus']}",
        "",
        f"{size}{length}, with {int(uses.sum()):,} captions ({counts['texts']:,} different).",
        "",
        "![Clips of the training split, and charts](picture.png)",
        "",
        *_about(about),
        "## What is in it",
        "",
        *_splits(store, still),
        f"Each clip: {_frames(manifest)}.",
        "",
        *(f"With it: `{name}`, {e['dtype']} {_shape(e['shape'])}.\n" for name, e in manifest["extras"].items()),
        "## Words",
        "",
        *_words(texts, uses, verbs),
        "## Left out",
        "",
        *_left_out(manifest["rejected"]),
        "## Made by",
        "",
        *_made_by(manifest),
    ]
    return "\n".join(lines).rstrip() + "\n"


def _about(about: dict[str, str]) -> Iterable[str]:
    names = {"source": "Source", "licence": "Licence", "citation": "Please cite", "notes": "Notes"}
    for key, name in names.items():
        if about.get(key):
            yield f"- **{name}:** {' '.join(about[key].split())}"
    if not about.get("licence"):
        yield "- **Licence:** not stated; ask the owner before passing anything on"
    yield ""


def _splits(store: Store, still: bool) -> Iterable[str]:
    splits = [store.split(name) for name in SPLITS]
    fps = store.manifest["fps"]
    minutes = store.manifest["minutes"]
    ends = store.captions.offsets
    rows = [
        ("", *(f"{name}" for name in SPLITS)),
        ("---", *["---:"] * len(SPLITS)),
        ("clips", *(f"{len(split):,}" for split in splits)),
        ("captions", *(f"{int((ends[split.rows + 1] - ends[split.rows]).sum()):,}" for split in splits)),
    ]
    if not still:
        rows.append(("minutes", *(f"{minutes[name]:,.1f}" for name in SPLITS)))
        for name, share in (("shortest", 0), ("median", 50), ("longest", 100)):
            cells = (f"{np.percentile(s.lengths, share) / fps:.1f} s" if len(s) else "–" for s in splits)
            rows.append((name, *cells))
    yield from (f"| {' | '.join(row)} |" for row in rows)
    yield ""


def _words(texts: list[str], uses: np.ndarray, verbs: Counter[str]) -> Iterable[str]:
    counts: Counter[str] = Counter()
    lengths, joined, compound = np.zeros(len(texts), int), Counter(), 0
    for i, (text, times) in enumerate(zip(texts, uses.tolist(), strict=True)):
        own = words(text)
        lengths[i] = len(own)
        for word in own:
            counts[word] += times
        found = connectives(text)
        compound += times * bool(found)
        for word in found:
            joined[word] += times
    total = max(int(uses.sum()), 1)
    telling = Counter({word: n for word, n in counts.items() if word not in GRAMMAR})
    long = np.repeat(lengths, uses) if uses.sum() else np.zeros(1)
    low, high = np.percentile(long, [5, 95])
    once = sum(n == 1 for n in counts.values())
    yield f"- **Vocabulary:** {len(counts):,} words, {once:,} of them used once"
    yield f"- **A caption:** {long.mean():.1f} words, 90 % of them from {low:.0f} to {high:.0f}"
    yield f"- **Most frequent verbs:** {_list(verbs)}"
    yield f"- **Most frequent words:** {_list(telling)}"
    shares = ", ".join(f"{word} {joined[word] / total:.1%}" for word in CONNECTIVES if joined[word])
    yield (
        f"- **Compound:** {compound / total:.1%} of the captions hold a word that joins actions"
        + (f" ({shares}; “and” and “as” also join other things)" if shares else "")
    )
    yield ""


def _left_out(rejected: list[dict]) -> Iterable[str]:
    if not rejected:
        yield from ("Nothing.", "")
        return
    reasons = Counter(entry["reason"] for entry in rejected)
    examples = {entry["reason"]: entry for entry in reversed(rejected)}
    yield from ("| items | why | for example |", "| ---: | --- | --- |")
    for reason, count in reasons.most_common(MOST):
        entry = examples[reason]
        yield f"| {count:,} | {_cell(reason)} | {_cell(entry['id'])} ({_cell(entry['where'])}) |"
    if (rest := len(reasons) - MOST) > 0:
        yield f"| {sum(reasons.values()) - sum(n for _, n in reasons.most_common(MOST)):,} | {rest} other reasons | |"
    yield ""


def _made_by(manifest: dict) -> Iterable[str]:
    made = ", ".join(f"{name} {version}" for name, version in manifest["made_with"].items())
    yield f"- **Again:** `python -m motion_lightning.prepare data={manifest['corpus']}`, with the settings below"
    yield f"- **With:** {made}; text encoder {manifest['encoder'].get('name', '')}"
    yield f"- **Digest of all files:** `{manifest['digest']}`"
    settings = {key: _brief(value) for key, value in manifest["source"].items()}
    yield from ("", "```json", json.dumps(settings, ensure_ascii=False, indent=1), "```")


def draw_picture(store: Store, verbs: Counter[str]):
    """The picture: strips of clips that are spread over the training split, and charts. A Pillow image."""
    split = max((store.split(name) for name in SPLITS), key=lambda s: (s.name == "train" and len(s) > 0, len(s)))
    still, fps = int(store.features.lengths.max()) == 1, store.manifest["fps"]
    most = SHOWN * (FRAMES if still else 1)
    chosen = np.random.default_rng(0).permutation(len(split))[:most] if len(split) > most else range(len(split))
    pictures = [frames_of(store, split.features(i), split.extras(i)) for i in chosen]
    captions = [split.captions(i)[0] for i in chosen]
    if still:  # several clips a row
        rows = [slice(k, k + FRAMES) for k in range(0, len(pictures), FRAMES)]
        strips = [Strip([p for own in pictures[row] for p in own[:1]], names=captions[row]) for row in rows]
    else:
        notes = [f"{split.ids[i]}, {split.lengths[i] / fps:.1f} s" for i in chosen]
        strips = list(map(Strip, pictures, captions, notes))
    bars = [Bars("most frequent verbs", *_columns(verbs), lying=True)] if len(verbs) > 2 else []
    seconds = store.features.lengths / fps
    if len(np.unique(seconds)) > 1:
        heights, edges = np.histogram(seconds, bins=30)
        names = [f"{edge:.1f} s" if k % 6 == 0 else "" for k, edge in enumerate(edges[:-1])]
        bars.insert(0, Bars("clips by length", heights.tolist(), names))
    return sheet(strips, bars)


def frames_of(store: Store, features: np.ndarray, extras: Mapping[str, np.ndarray]) -> list:
    """Small pictures of one clip, as its representation asks for."""
    kind, manifest = store.manifest["representation"], store.manifest
    if kind in ("motion", "pose"):
        skeleton = load_skeleton(manifest["skeleton"])
        return figures(joints_of(features, skeleton, kind), skeleton, manifest["fps"])
    if kind in ("video", "image") and features.ndim >= 3:
        return photographs(features)
    if kind in ("tracks", "keypoints") and features.ndim == 3 and 2 <= features.shape[-1] <= 4:
        start = extras.get("query")  # tracks are displacements from there
        return points(features if start is None or start.shape != features.shape[1:] else features + start)
    return surface(features.reshape(len(features), -1))


def _columns(counts: Counter[str], most: int = 8) -> tuple[list[int], list[str]]:
    pairs = counts.most_common(most)
    return [n for _, n in pairs], [word for word, _ in pairs]


def _list(counts: Counter[str]) -> str:
    return ", ".join(f"{word} {n:,}" for word, n in counts.most_common(MOST)) or "none"


def _frames(manifest: dict) -> str:
    kind, skeleton = manifest["representation"], manifest["skeleton"]
    body = f", on skeleton {Path(skeleton).stem}" if skeleton else ""
    said = REPRESENTATIONS.get(kind, kind)
    return f"{said}{body}; {manifest['features']['dtype']} {_shape(manifest['features']['shape'])} a frame"


def _shape(shape: list[int]) -> str:
    return "×".join(map(str, shape))


def _minutes(minutes: float) -> str:
    return f"{minutes / 60:.1f} hours" if minutes >= 120 else f"{minutes:.1f} minutes"


def _brief(value: object) -> object:
    """A setting as it is; of what is long, how long it is."""
    text = json.dumps(value, ensure_ascii=False)
    if len(text) <= 200:
        return value
    if isinstance(value, dict) and len(value) <= 20:
        return {key: _brief(inner) for key, inner in value.items()}
    return f"({len(value)} entries)" if isinstance(value, dict | list) else text[:60] + " …"


def _cell(text: str) -> str:
    return " ".join(str(text).split()).replace("|", "\\|")
