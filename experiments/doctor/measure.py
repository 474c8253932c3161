"""What the doctor finds in recordings whose captions file leaves a defect in, against the flags of that file.

    python experiments/doctor/measure.py SOURCE WORK

SOURCE holds captions.jsonl and the zips (experiments/bvh_dit says where they come from). Into WORK go two variants of
the captions file, one without the true frame rates and one that skips no frames, their stores, the doctor's pages, and
figures.json. Needs about five minutes of two cores.
"""

import json
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from motion_lightning.data.bvh_corpus import BvhCorpus, resample
from motion_lightning.data.store import Store
from motion_lightning.data.writer import is_current, prepare_store
from motion_lightning.doctor.clips import Clips
from motion_lightning.doctor.examine import examine
from motion_lightning.doctor.measure import fall, tempo
from motion_lightning.doctor.motions import FALL, FAST, FAST_RUN, NATURAL, RUNNING
from motion_lightning.doctor.report import write_json, write_page
from motion_lightning.motion.rig import rig_file
from motion_lightning.text.condition import TextCond


class NoEncoder:
    """The doctor looks at no embeddings."""

    name, dim, max_tokens = "none", 1, 1

    def fingerprint(self) -> dict:
        return {"name": self.name}

    def encode(self, texts) -> TextCond:
        one = torch.ones(len(texts), 1)
        return TextCond(one[..., None], one.bool(), one)


def variants(source: Path, work: Path) -> dict[str, Path]:
    """Folders with captions files: as it is, without ``fps``, without ``skip_frames`` and lead-ins."""
    rows = [json.loads(line) for line in (source / "captions.jsonl").read_text().splitlines()]
    rig = "\n".join(line for line in rig_file("daz").read_text().splitlines() if not line.startswith("lead_in"))
    unskipped = [
        {**row, "skip_frames": 0, "skeleton": "daz_whole.yaml" if row["skeleton"] == "daz" else row["skeleton"]}
        for row in rows
    ]
    flawed = {row["archive"] for row in rows if row["flags"]}  # the others would come out the same
    contents = {
        "as_flagged": rows,
        "header_rates": [{k: v for k, v in row.items() if k != "fps"} for row in rows if row["archive"] in flawed],
        "no_frames_skipped": [row for row in unskipped if row["archive"] in flawed],
    }
    folders = {}
    for name, content in contents.items():
        folders[name] = folder = work / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "captions.jsonl").write_text("\n".join(map(json.dumps, content)))
        (folder / "daz_whole.yaml").write_text(rig)
        for archive in source.glob("*.zip"):
            if not (folder / archive.name).exists():
                (folder / archive.name).symlink_to(archive.resolve())
    return folders


def by_check(folder: Path) -> tuple[dict[str, set[str]], Clips, dict]:
    """Recordings with a case of each check; the clips; their figures."""
    corpus, path = BvhCorpus(folder, min_frames=24), folder / "store"
    if not is_current(path, corpus, NoEncoder()):
        prepare_store(corpus, NoEncoder(), path)
    store = Store.open(path)
    clips = Clips(store)
    findings, measured = examine(store, corpus, lambda rows: tqdm(rows, folder.name))
    write_page(folder / "doctor.html", findings, clips)
    write_json(folder / "doctor.json", findings, clips, measured)
    found = {f.check: {clips.recordings[c.row] for c in f.cases if c.row is not None} for f in findings}
    sources = next(f for f in findings if f.check == "frame rate of a source")
    named = {clips.groups[case.row] for case in sources.cases}
    found["frame rate of a source"] = {
        name for name, group in zip(clips.recordings, clips.groups, strict=True) if group in named
    }
    return found, clips, measured


def score(found: set[str], flagged: set[str]) -> dict:
    """Hits of a check against a flag, and what it found beside."""
    hits = found & flagged
    return {
        "flagged": len(flagged), "found": len(found), "hits": len(hits),
        "precision": len(hits) / len(found) if found else None, "recall": len(hits) / len(flagged),
        "missed": sorted(flagged - found), "beside": sorted(found - flagged),
    }  # fmt: skip


def rates(clips: Clips) -> dict:
    """How often a clip, and a source, is told to play too fast or slow when it plays at ``factor`` times its speed."""
    table = defaultdict(lambda: defaultdict(list))
    for row in tqdm(range(len(clips)), "played faster and slower"):
        joints = clips.joints(row)
        rig, speed = clips.tags[row]["rig"], np.linalg.norm(np.diff(joints[:, 0], axis=0), axis=-1).mean() * clips.fps
        for factor in (0.5, 1.0, 1.5, 2.0):
            played = joints if factor == 1 else resample(joints, clips.fps, clips.fps / factor)
            if len(played) < 20:
                continue
            own, down = tempo(played, clips.fps), fall(played, clips.skeleton, clips.fps)
            bound = FAST_RUN if speed * factor > RUNNING else FAST
            table[rig, factor]["quick"].append(bool(own > bound))
            table[rig, factor]["falls"].append(bool(down > FALL))
            table[clips.groups[row], factor]["tempo"].append(own)
    out = {}
    for (name, factor), values in sorted(table.items()):
        if "quick" in values:
            out[f"clips of {name} x {factor}"] = {k: float(np.mean(v)) for k, v in values.items()}
        else:
            median = float(np.nanmedian(values["tempo"])) / NATURAL
            out[f"source {name} x {factor}"] = {"clips": len(values["tempo"]), "factor": round(median, 3)}
    return out


def main(source: Path, work: Path) -> None:
    rows = [json.loads(line) for line in (source / "captions.jsonl").read_text().splitlines()]
    flagged = defaultdict(set)
    for row in rows:
        for flag in row["flags"]:
            flagged[flag].add(row["id"])
    seen = {name: by_check(folder) for name, folder in variants(source, work).items()}
    whole, header, unskipped = (seen[name][0] for name in ("as_flagged", "header_rates", "no_frames_skipped"))
    wrong = flagged["header_fps_wrong(120->60)"]
    pairs = {
        "T-pose starts / tpose_first_frame": (unskipped["T-pose starts"], flagged["tpose_first_frame"]),
        "jumps and teleports / tpose_first_frame": (
            unskipped["jumping bodies"] | unskipped["teleporting roots"], flagged["tpose_first_frame"],
        ),
        "quick recordings / header_fps_wrong": (header["quick recordings"], wrong),
        "frame rate of a source / header_fps_wrong": (header["frame rate of a source"], wrong),
        "under the floor / root_scale_mismatch": (
            whole["files with feet under the floor"], flagged["root_scale_mismatch"],
        ),
        "uneven floors / props_or_uneven_floor": (whole["uneven floors"], flagged["props_or_uneven_floor"]),
        "frozen frames / frozen_first_12_frames": (unskipped["frozen frames"], flagged["frozen_first_12_frames"]),
        "jumping bodies / frozen_first_12_frames": (unskipped["jumping bodies"], flagged["frozen_first_12_frames"]),
    }  # fmt: skip
    result = {name: score(*pair) for name, pair in pairs.items()}
    result["as flagged"] = {check: sorted(found) for check, found in whole.items() if found}
    result["rates"] = rates(seen["as_flagged"][1])
    (work / "figures.json").write_text(json.dumps(result, indent=1))
    for name in pairs:
        r = result[name]
        print(f"{name:45} {r['hits']:3} of {r['flagged']:3} found, {len(r['beside'])} beside: {r['beside'][:6]}")
        print(f"{'':45} missed: {r['missed'][:15]}")
    for name, values in result["rates"].items():
        print(name, values)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
