"""HumanML3D made anew from AMASS, as its own scripts do it (raw_pose_processing.ipynb, motion_representation.ipynb of
github.com/EricGuo5513/HumanML3D, 9176e8f).

    amass/KIT/3/kick_high_left02_poses.npz   "SMPL+H G" files of amass.is.tue.mpg.de
    amass/humanact12/humanact12/*.npy        pose_data/humanact12.zip of that repository: joints at 20 fps
    index.csv                                source_path,start_frame,end_frame,new_name
    HumanML3D/train.txt val.txt test.txt, HumanML3D/texts/ID.txt    texts.zip, unpacked

Joints are those of the body model with ten shape numbers. Soft tissue (DMPL) does not move them and is not needed.
"""

import csv
import importlib.util
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch

from motion_lightning.data.clip import SPLITS, Clip, Rejected
from motion_lightning.data.joint_clips import Motion, Settings, convert_all, files_digest, read_splits
from motion_lightning.data.npy import open_npy
from motion_lightning.data.npz import read_npz
from motion_lightning.errors import UserError
from motion_lightning.motion.skeleton import load_skeleton

VERSION = 1  # of the conversion: another one makes prepared stores out of date
FPS, SHAPES, JOINTS = 20, 10, 52  # SMPL+H: 22 of the body, 15 of each hand
LEAD_IN = {  # frames of a T-pose at 20 fps, before the frames that the index counts
    "Eyes_Japan_Dataset": 60, "MPI_HDM05": 60, "TotalCapture": 20, "MPI_Limits": 20, "Transitions_mocap": 10,
}  # fmt: skip
RENAMED = {  # folders of the index -> what AMASS calls them now
    "BioMotionLab_NTroje": "BMLrub", "DFaust_67": "DFaust", "MPI_HDM05": "HDM05", "MPI_Limits": "PosePrior",
    "MPI_mosh": "MoSh", "SSM_synced": "SSM", "TCD_handMocap": "TCDHands", "Transitions_mocap": "Transitions",
}  # fmt: skip
COLUMNS = ["source_path", "start_frame", "end_frame", "new_name"]


class BodyModel:
    """Joints of SMPL+H (Romero et al. 2017) from a ``model.npz``; no vertex is posed."""

    def __init__(self, path: Path):
        shapes = {
            "v_template": (-1, 3),
            "shapedirs": (-1, 3, -1),
            "J_regressor": (JOINTS, -1),
            "kintree_table": (2, JOINTS),
        }
        try:
            arrays = read_npz(path, shapes)
        except UserError as error:
            raise UserError(f"{path.parent.name}/{error}") from None  # male or female
        if arrays["shapedirs"].shape[2] < SHAPES or len({arrays[k].shape[0] for k in ("v_template", "shapedirs")}) > 1:
            raise UserError(f"{path}: expected {SHAPES} or more shape directions of every vertex")
        if arrays["J_regressor"].shape[1] != len(arrays["v_template"]):
            raise UserError(f"{path}: J_regressor and v_template speak of different vertices")
        self.template, self.directions, self.regressor = (
            torch.from_numpy(np.asarray(arrays[name], np.float32))
            for name in ("v_template", "shapedirs", "J_regressor")
        )
        self.parents = torch.from_numpy(arrays["kintree_table"][0].astype(np.int64))
        if not (self.parents[1:] < torch.arange(1, JOINTS)).all() or (self.parents[1:] < 0).any():
            raise UserError(f"{path}: kintree_table should name parents before their children")

    def joints(self, poses: np.ndarray, betas: np.ndarray, translation: np.ndarray) -> np.ndarray:
        """Joints (T, 52, 3) in metres, z up; poses (T, 156) axis-angles, betas (10,), translation (T, 3)."""
        from smplx import lbs

        betas, poses, translation = (torch.from_numpy(np.asarray(a, np.float32)) for a in (betas, poses, translation))
        shaped = self.template + lbs.blend_shapes(betas[None], self.directions[..., :SHAPES])  # (1, V, 3)
        rest = lbs.vertices2joints(self.regressor, shaped).expand(len(poses), -1, -1)  # (T, 52, 3)
        turns = lbs.batch_rodrigues(poses.reshape(-1, 3)).view(-1, JOINTS, 3, 3)
        posed, _ = lbs.batch_rigid_transform(turns, rest, self.parents)
        return (posed + translation[:, None]).numpy()


body_model = lru_cache(BodyModel)


@dataclass(frozen=True)
class Excerpt:
    """A line of the index: frames of one recording at 20 fps."""

    folder: Path
    file: str  # as the index has it, after pose_data/
    start: int
    end: int
    body_models: Path

    def __str__(self) -> str:
        return self.file

    @property
    def dataset(self) -> str:
        return self.file.split("/")[0]

    @property
    def path(self) -> Path:
        """The recording, in the folder of the index or of AMASS' newer name for it."""
        path = PurePosixPath(self.file)
        path = path if self.dataset == "humanact12" else path.with_suffix(".npz")
        renamed = self.folder / RENAMED.get(self.dataset, self.dataset) / path.relative_to(self.dataset)
        return renamed if renamed.exists() else self.folder / path

    def read(self) -> np.ndarray:
        """Joints (T, 22, 3) at 20 fps, y up."""
        if self.dataset == "humanact12":
            joints = np.asarray(open_npy(self.path))
            if joints.ndim != 3 or joints.shape[1] < 22 or joints.shape[2] != 3 or joints.dtype.kind != "f":
                raise UserError(f"expected (frames, 22 or more, 3) floats, got {joints.dtype} {joints.shape}")
            return joints[:, :22].astype(np.float64)
        shapes = {"poses": (-1, 3 * JOINTS), "trans": (-1, 3), "betas": (-1,), "gender": (), "mocap_framerate": ()}
        recording = read_npz(self.path, shapes)
        rate = recording["mocap_framerate"]
        stride = (
            int(rate / FPS) if rate.dtype.kind in "fiu" and 0 < rate < 1e6 else 0
        )  # 250 fps become 20.8: as published
        if stride < 1 or len(recording["trans"]) != len(recording["poses"]) or len(recording["betas"]) < SHAPES:
            raise UserError(f"expected {SHAPES} betas, as many trans as poses, and {FPS} fps or more")
        sex = "male" if recording["gender"].astype(str) == "male" else "female"
        start = LEAD_IN.get(self.dataset, 0) + self.start
        frames = slice(start * stride, (start + self.end - self.start) * stride, stride)
        poses, trans = recording["poses"][frames], recording["trans"][frames]
        if not (np.isfinite(poses).all() and np.isfinite(trans).all() and np.isfinite(recording["betas"]).all()):
            raise UserError("NaN or infinity in poses, trans or betas")
        if len(poses) < 2:
            raise UserError(f"frames {self.start} to {self.end} are not in it")
        body = body_model(self.body_models / sex / "model.npz")
        joints = body.joints(poses, recording["betas"][:SHAPES], trans)
        return joints[:, :22, [0, 2, 1]].astype(np.float64) * [-1, 1, 1]


class Amass:
    """HumanML3D's clips from AMASS, as a corpus that ``prepare`` reads.

    Args:
        source: folder of AMASS' data sets.
        index: HumanML3D's index.csv.
        texts: folder with texts/ and train.txt, val.txt, test.txt; None: HumanML3D/ beside the index, or the index'.
        body_models: folder with smplh/male/model.npz and smplh/female/model.npz.
        hip_order: of the features, see ``joints_to_features``.
        min_frames, max_frames: bounds of a clip's length, both included.
        mirror: whether the mirrored copies that the lists name are made, with their own captions where there are some.
        workers: processes that convert; 0 converts in this one.

    Raises UserError for what is missing, and says where to get it.
    """

    name = "amass"
    representation = "motion"
    skeleton = "humanml22"
    about = {  # noqa: RUF012
        "title": "HumanML3D, made from AMASS",
        "source": "amass.is.tue.mpg.de, HumanAct12, github.com/EricGuo5513/HumanML3D",
        "licence": "motions: AMASS and HumanAct12 (research only, not to be passed on); texts: MIT",
        "citation": "Mahmood et al., AMASS, ICCV 2019; Guo et al., Generating Diverse and Natural 3D Human Motions",
    }

    def __init__(
        self,
        source: str | Path,
        index: str | Path,
        texts: str | Path | None = None,
        body_models: str | Path = "body_models",
        hip_order: str = "published",
        min_frames: int = 40,
        max_frames: int = 199,
        mirror: bool = True,
        workers: int = 2,
    ):
        self.settings = Settings(self.skeleton, hip_order, min_frames, max_frames)
        self.source, self.index = Path(source).expanduser(), Path(index).expanduser()
        self.fps, self.min_frames, self.mirror, self.workers = (
            load_skeleton(self.skeleton).fps,
            min_frames,
            mirror,
            workers,
        )
        inner = self.index.parent / "HumanML3D"
        self.texts = Path(texts).expanduser() if texts else inner if inner.is_dir() else self.index.parent
        self.models = Path(body_models).expanduser() / "smplh"
        self.splits = read_splits(self.texts)
        if not self.splits or not (self.texts / "texts").is_dir():
            raise UserError(
                f"{self.texts} lacks train.txt or texts/ (texts.zip of EricGuo5513/HumanML3D): set data.texts"
            )
        self.unlisted: list[Rejected] = []
        self.jobs = self._read_index()
        self._check_source()

    def __len__(self) -> int:
        """Number of motions, mirrored copies among them; those with captions for parts make more than one clip."""
        return sum(len(motions) for _, motions in self.jobs) + len(self.unlisted)

    def fingerprint(self) -> dict[str, Any]:
        """Names, sizes and times of all files, and the settings."""
        return {"version": VERSION, "files": self._files, "settings": asdict(self.settings), "mirror": self.mirror}

    @cached_property
    def _files(self) -> list[str]:
        texts = [m.texts for _, motions in self.jobs for m in motions]
        lists = [self.texts / f"{split}.txt" for split in SPLITS]
        models = [self.models / sex / "model.npz" for sex in ("male", "female")]
        return [
            files_digest({self.index}, self.index.parent),
            files_digest([*lists, *texts], self.texts),
            files_digest({job.path for job, _ in self.jobs}, self.source),
            files_digest(models, self.models),
        ]

    def clips(self, start: int = 0) -> Iterator[Clip | Rejected]:
        """Clips in the order of the index, a motion's parts and mirrored copy after it."""
        return convert_all(self.jobs, Excerpt.read, self.settings, self.workers, start, self.unlisted)

    def _read_index(self) -> list[tuple[Excerpt, list[Motion]]]:
        try:
            with self.index.open(newline="", encoding="utf-8-sig") as file:
                rows = list(csv.reader(file))
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise UserError(f"{self.index} cannot be read ({error}); data.index is HumanML3D's index.csv") from None
        if not rows or rows[0] != COLUMNS:
            raise UserError(
                f"{self.index} line 1: expected {','.join(COLUMNS)}, got {','.join(rows[0])[:80] if rows else ''}"
            )
        jobs = []
        for number, row in enumerate(rows[1:], start=2):
            if not row:
                continue
            where = f"{self.index} line {number}"
            parts = PurePosixPath(row[0]).parts
            if len(row) != 4 or parts[:1] != ("pose_data",) or len(parts) < 3 or ".." in parts:
                raise UserError(f"{where}: expected ./pose_data/DATASET/…,start,end,ID.npy, got {','.join(row)[:80]}")
            try:
                start, end = int(row[1]), int(row[2])
            except ValueError:
                raise UserError(f"{where}: expected two numbers of frames, got {row[1]!r} and {row[2]!r}") from None
            if start < 0 or (end <= start and parts[1] != "humanact12"):
                raise UserError(f"{where}: frames {start} to {end} are none")
            name = PurePosixPath(row[3]).stem
            excerpt = Excerpt(self.source, "/".join(parts[1:]), start, end, self.models)
            if motions := self._motions(name):
                jobs.append((excerpt, motions))
            else:
                self.unlisted.append(Rejected(name, f"{self.index.name} line {number}", "in no list of a split"))
        return jobs

    def _motions(self, name: str) -> list[Motion]:
        """A motion of the index and its mirrored copy, as the lists name them."""
        texts, own = self.texts / "texts" / f"{name}.txt", self.texts / "texts" / f"M{name}.txt"
        motions = [Motion(name, self.splits[name], texts)] if name in self.splits else []
        if self.mirror and (split := self.splits.get(f"M{name}")):
            has_own = own.is_file()
            motions.append(Motion(f"M{name}", split, own if has_own else texts, mirrored=True, swapped=not has_own))
        return motions

    def _check_source(self) -> None:
        if not any(job.path.parent.is_dir() for job, _ in self.jobs):
            raise UserError(
                f"{self.source} has no data set of {self.index.name}; unpack AMASS there (SMPL+H G): "
                "amass/KIT/3/kick_high_left02_poses.npz"
            )
        if all(job.dataset == "humanact12" for job, _ in self.jobs):
            return
        if missing := [path for sex in ("male", "female") if not (path := self.models / sex / "model.npz").is_file()]:
            raise UserError(
                f"no body model {missing[0]}: register at mano.is.tue.mpg.de, take 'Extended SMPL+H model' (that of "
                "AMASS), unpack it there, or set data.corpus.body_models to the folder that has smplh/male/model.npz"
            )
        if importlib.util.find_spec("smplx") is None:
            raise UserError("the body model of AMASS needs the package smplx: pip install 'motion_lightning[amass]'")
