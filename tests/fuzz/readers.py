"""Whole files to damage, and what reads them. A reader returns "NaN" where it let one through."""

import io
import json
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import formats
import numpy as np
import yaml

from motion_lightning.data import bvh_corpus
from motion_lightning.data.clip import Clip
from motion_lightning.data.official import OfficialFolder
from motion_lightning.data.recordings import read_recordings
from motion_lightning.data.tagged_texts import read_tagged_texts
from motion_lightning.errors import UserError
from motion_lightning.motion.bvh import Bvh, read_bvh, write_bvh
from motion_lightning.motion.rig import load_rig
from motion_lightning.motion.skeleton import load_skeleton
from motion_lightning.paths import conf_dir


class Reader(NamedTuple):
    file: str  # name of the damaged file
    samples: Callable[[], list[bytes]]
    read: Callable[[Path], str | None]


# ------------------------------------------------------------------------------------------------------- motion files


def bvh_samples() -> list[bytes]:
    rng = np.random.default_rng(0)

    def joint(name, depth, inner, channels="3 Zrotation Xrotation Yrotation"):
        tab = "\t" * depth
        return f"{tab}JOINT {name}\n{tab}{{\n{tab}\tOFFSET 0 1 0\n{tab}\tCHANNELS {channels}\n{inner}{tab}}}\n"

    end = "\t\t\tEnd Site\n\t\t\t{\n\t\t\t\tOFFSET 0 0.5 0\n\t\t\t}\n"
    six = "6 Xposition Yposition Zposition Zrotation Yrotation Xrotation"
    out = []
    for channels, width in (("3 Zrotation Xrotation Yrotation", 12), (six, 18)):
        tree = f"HIERARCHY\nROOT Hips\n{{\n\tOFFSET 0 90 0\n\tCHANNELS {six}\n"
        tree += joint("Spine", 1, joint("Head", 2, end, channels), channels) + "}\n"
        rows = rng.normal(size=(6, width)).round(3)
        frames = "\n".join(" ".join(map(str, row)) for row in rows)
        out.append(f"{tree}MOTION\nFrames: {len(rows)}\nFrame Time: 0.0333333\n{frames}\n".encode())
    return [*out, out[0].replace(b"\n", b"\r\n")]


def read_motion(path: Path) -> str | None:
    bvh = read_bvh(path.read_bytes(), path.name)
    with np.errstate(all="ignore"):
        bvh.global_joints()
    numbers = [v for v in vars(bvh).values() if isinstance(v, np.ndarray) and v.dtype.kind == "f"]
    return None if all(np.isfinite(v).all() for v in numbers) and np.isfinite(bvh.frame_time) else "NaN"


def person() -> bytes:
    """A motion of the 22 joints that corpora are mapped to."""
    skeleton = load_skeleton()
    positions = np.tile(skeleton.offsets, (30, 1, 1))
    positions[:, 0] = np.linspace([0, 0.9, 0], [0, 0.9, 1], 30)
    still = np.tile(np.eye(3), (30, len(skeleton.joints), 1, 1))
    bvh = Bvh(skeleton.joints, skeleton.parents, skeleton.offsets, {}, positions, still, 1 / 20)
    with tempfile.TemporaryDirectory() as folder:
        write_bvh(path := Path(folder) / "person.bvh", bvh)
        return path.read_bytes()


def zip_samples() -> list[bytes]:
    buffers = []
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA):
        with zipfile.ZipFile(buffer := io.BytesIO(), "w", method) as archive:
            archive.writestr("a/walk.bvh", person())
        buffers.append(buffer.getvalue())
    return buffers


def read_zip(path: Path) -> str | None:
    rig = path.with_name("rig.yaml")
    if not rig.is_file():
        joints = {joint: joint for joint in load_skeleton().joints}
        rig.write_text(yaml.safe_dump({"name": "r", "unit": "m", "up": "y", "joints": joints}))
        row = {"archive": path.name, "file": "a/walk.bvh", "skeleton": "rig.yaml", "captions": ["a"]}
        path.with_name("captions.jsonl").write_text(json.dumps(row))
    bvh_corpus._open.cache_clear()  # an archive is opened once, and this one is another every time
    corpus = bvh_corpus.BvhCorpus(path.parent, min_frames=1, workers=0)
    return _finite(corpus.clips(), path.name)


def _finite(items, name: str) -> str | None:
    """Goes through what a corpus gives; a clip left out has to name the file."""
    for item in items:
        if isinstance(item, Clip):
            arrays = [item.features, *item.extras.values()]
            # what prepare_store leaves out by itself is no worry of the reader
            if any(not np.isfinite(a).all() for a in arrays if a.dtype.kind == "f"):
                return "left to prepare"
        elif name.split(".")[0] not in f"{item.id} {item.where} {item.reason}":
            raise UserError(f"{item.where}: {item.reason}")
        else:
            return "left out"
    return None


# ------------------------------------------------------------------------------------------------------ caption files


def recordings_samples() -> list[bytes]:
    row = {
        "id": "a", "archive": "x.zip", "file": "a/b.bvh", "skeleton": "bandai", "fps": 60.0, "skip_frames": 1,
        "captions": ["a person walks", "jemand läuft"], "caption_kinds": ["sentence", "label"], "flags": ["f"],
        "labels": {"content": "walk", "style": "old"}, "subject_description": "walks", "license": "CMU", "split": "val",
    }  # fmt: skip
    rows = [row, {"file": "c.bvh", "skeleton": "daz", "captions": ["x"]}, {**row, "id": "b", "split": None}]
    return ["\n".join(map(json.dumps, rows)).encode(), json.dumps(row, ensure_ascii=False).encode()]


def read_captions(path: Path) -> str | None:
    bad = [r for r in read_recordings(path) if r.fps is not None and not np.isfinite(r.fps)]
    return "NaN" if bad else None


def tagged_samples() -> list[bytes]:
    text = "a man kicks #1, twice.#a/DET man/NOUN kick/VERB twice/ADV#0.0#0.0\nhe walks#he/PRON walk/VERB#1.5#4.0\n"
    return [text.encode(), b"a caption alone\nanother\n", text.replace("0.0", "nan").encode()]


def read_tagged(path: Path) -> str | None:
    try:
        texts, _ = read_tagged_texts(path)
    except UserError as error:  # the corpus puts the name in front
        raise UserError(f"{path.name}: {error}") from None
    return None if all(np.isfinite([t.start, t.end]).all() and t.caption for t in texts) else "NaN"


# -------------------------------------------------------------------------------------------------------------- arrays


def npy_samples() -> list[bytes]:
    out = []
    for array in (
        np.ones((30, 263), np.float32),
        np.ones((30, 263)),
        np.asfortranarray(np.ones((26, 263), np.float32)),
    ):
        np.save(buffer := io.BytesIO(), array)
        out.append(buffer.getvalue())
    return out


def read_official(path: Path) -> str | None:
    folder = path.parent / "official"
    if not folder.is_dir():
        for name in ("new_joint_vecs", "texts"):
            (folder / name).mkdir(parents=True)
        for split in ("train", "val", "test"):
            (folder / f"{split}.txt").write_text("000001\n" if split == "train" else "")
        (folder / "texts" / "000001.txt").write_text("a man walks\n")
    (folder / "new_joint_vecs" / "000001.npy").write_bytes(path.read_bytes())
    return _finite(OfficialFolder(folder, min_frames=10, workers=1).clips(), path.name)


# --------------------------------------------------------------------------------------------------------------- YAML


def yaml_samples(folder: str) -> list[bytes]:
    return [file.read_bytes() for file in sorted((conf_dir() / folder).glob("*.yaml"))]


def read_skeleton(path: Path) -> str | None:
    fresh = path.with_name(f"{len(list(path.parent.iterdir()))}-{hash(path.read_bytes())}-{path.name}")
    path.rename(fresh)  # a name of its own, for what was read once is remembered
    try:
        skeleton = load_skeleton(fresh)
    finally:
        fresh.unlink()
    return None if np.isfinite(skeleton.offsets).all() and np.isfinite(skeleton.fps) else "NaN"


def read_rig(path: Path) -> str | None:
    rig = load_rig(path)
    weights = [w for sources in rig.joints.values() for w in sources.values()]
    return None if np.isfinite([rig.unit, rig.lead_in, *weights]).all() else "NaN"


READERS = {
    "bvh": Reader("walk.bvh", bvh_samples, read_motion),
    "zip": Reader("clips.zip", zip_samples, read_zip),
    "captions": Reader("captions.jsonl", recordings_samples, read_captions),
    "texts": Reader("000001.txt", tagged_samples, read_tagged),
    "npy": Reader("000001.npy", npy_samples, read_official),
    "skeleton": Reader("skeleton.yaml", lambda: yaml_samples("skeleton"), read_skeleton),
    "rig": Reader("rig.yaml", lambda: yaml_samples("rig"), read_rig),
    "npz": Reader("poses.npz", formats.npz_samples, formats.read_arrays),
    "hdf5": Reader("scene.hdf5", formats.hdf5_samples, formats.read_hdf5),
    "pose": Reader("sign.pose", formats.pose_samples, formats.read_keypoints),
    "skels": Reader("train.skels", formats.skels_samples, formats.read_skeletons),
    "idx": Reader("train-images-idx3-ubyte", formats.idx_samples, formats.read_pictures),
}
