"""Collects the real clips of this experiment from the public repositories that hold them.

    mkdir clones && for r in $(python experiments/bvh_dit/obtain.py); do git -C clones clone --no-checkout $r; done
    python experiments/bvh_dit/obtain.py clones bvh_clips
    python -m motion_lightning.prepare data=bvh data.source=bvh_clips

Every motion file is taken from the commit named below and checked against its SHA-256 in clips.csv, which also holds
what is known of each clip: the true frame rate, frames to skip, where its captions stand. The data have licences of
their own, which this script prints; none is part of this project.
"""

import csv
import hashlib
import io
import json
import subprocess
import sys
from pathlib import Path

REPOSITORIES = {  # name: (owner, commit, licence)
    "IClone-CMU-Mocap": (
        "DragonForgedTheArtist", "79529f962ade3274163af53cd92179cee2ed9407",
        "CMU: free for use in research, not to be resold; acknowledge mocap.cs.cmu.edu, NSF EIA-0196217",
    ),
    "Auto_Conditioned_RNN_motion": ("papagina", "fbb7f6414035fc5c6752e1c21b8d8c1f777b0eb8", "CMU, as above"),
    "Bandai-Namco-Research-Motiondataset": (
        "BandaiNamcoResearchInc", "74ead3ba1ae4696404e6086233779f60de8bf9ef", "CC BY-NC 4.0, arXiv 2306.08861",
    ),
    "TMR": ("Mathux", "6d74688730d15d43b0a755ce2b0e1f2d76138fc1", "sentences of KIT-ML (Plappert et al. 2016)"),
    "glimpse-training-data": (
        "glimpse-project", "39d576e8b0091cdd7e49728b11b95e886b89af40", "CMU's index, compiled by B. Hahne 2008",
    ),
}  # fmt: skip
SENTENCES = ("TMR", "datasets/annotations/kitml/annotations.json")
INDEX = ("glimpse-training-data", "mocap/cmu-mocap-index.csv")


def collect(clones: Path, out: Path) -> None:
    """Motion files and captions.jsonl into ``out``; stops at the first file that is not what it should be."""
    sentences = json.loads(show(clones, *SENTENCES))
    index = {row[0]: row[1:] for row in csv.reader(io.StringIO(show(clones, *INDEX).decode())) if len(row) == 3}
    lines = []
    with Path(__file__).with_name("clips.csv").open(newline="") as table:
        for clip in csv.DictReader(table):
            data = show(clones, clip["repository"], clip["path"])
            if (found := hashlib.sha256(data).hexdigest()) != clip["sha256"]:
                sys.exit(f"{clip['repository']}/{clip['path']}: SHA-256 is {found}, not {clip['sha256']}")
            file = out / f"{clip['id']}.bvh"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
            lines.append(json.dumps(entry(clip, sentences, index)))
    part = out / "captions.part"
    part.write_text("\n".join(lines) + "\n")
    part.replace(out / "captions.jsonl")
    print(f"{len(lines)} clips and captions.jsonl are in {out}. Licences:")
    for name, (owner, _, licence) in REPOSITORIES.items():
        print(f"  {owner}/{name}: {licence}")


def entry(clip: dict, sentences: dict, index: dict) -> dict:
    """The line of captions.jsonl: sentences first, then what the CMU index or the file's name says."""
    captions = [(sentences[i]["annotations"][0]["text"], "sentence") for i in clip["kit_ml"].split()]
    if trial := clip["cmu_trial"]:
        description, subject = index[trial]
        subject = subject[subject.index("(") + 1 : subject.rindex(")")]
        if clip["cmu_text"]:
            captions.append(
                (description, "index_description") if clip["cmu_text"] == "trial" else (subject, "subject_description")
            )
        labels = {"cmu_id": trial}
    else:
        subject = None
        _, content, style, _ = Path(clip["path"]).stem.split("_")  # dataset-1_bow_active_001
        labels = {"content": content, "style": style}
        captions.append((f"{content}, {style}".replace("-", " "), "label"))
    return {
        "id": clip["id"],
        "file": f"{clip['id']}.bvh",
        "skeleton": clip["rig"],
        "fps": float(clip["fps"]),
        "skip_frames": int(clip["skip_frames"]),
        "captions": [text for text, _ in captions],
        "caption_kinds": [kind for _, kind in captions],
        "subject_description": subject,
        "labels": labels,
        "flags": clip["flags"].split(),
        "source": f"{clip['repository']}:{clip['path']}",
        "license": "CMU" if trial else "CC-BY-NC-4.0",
    }


def show(clones: Path, repository: str, path: str) -> bytes:
    """A file as it was at the repository's commit."""
    owner, commit, _ = REPOSITORIES[repository]
    command = ["git", "-C", str(clones / repository), "show", f"{commit}:{path}"]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode:
        sys.exit(f"{repository}: {done.stderr.decode().strip()}; clone https://github.com/{owner}/{repository}")
    return done.stdout


if __name__ == "__main__":
    if len(sys.argv) == 1:
        print(*(f"https://github.com/{owner}/{name}" for name, (owner, _, _) in REPOSITORIES.items()), sep="\n")
    elif len(sys.argv) == 3:
        collect(Path(sys.argv[1]), Path(sys.argv[2]))
    else:
        sys.exit(__doc__)
