"""The clips of a store as the checks see them."""

import json
import re
from functools import cached_property

import numpy as np

from motion_lightning.data.bodies import joints_of
from motion_lightning.data.clip import SPLITS
from motion_lightning.data.store import Store
from motion_lightning.errors import UserError
from motion_lightning.motion.skeleton import Skeleton, load_skeleton


class Clips:
    """Rows of a store, whatever their split: ids, tags, captions, groups."""

    def __init__(self, store: Store):
        self.store, self.manifest = store, store.manifest
        self.fps = store.manifest["fps"]
        self.lengths = store.features.lengths  # (N,) frames
        self.splits = store.splits  # (N,) index into SPLITS

    def __len__(self) -> int:
        return len(self.store)

    @cached_property
    def ids(self) -> list[str]:
        return [self.store.ids.text(row) for row in range(len(self))]

    @cached_property
    def tags(self) -> list[dict]:
        return [json.loads(self.store.tags.text(row)) for row in range(len(self))]

    @cached_property
    def recordings(self) -> list[str]:
        """What a clip is a part of, or a mirrored copy of: its own id where the corpus does not say."""
        return [str(tags.get("recording") or name) for tags, name in zip(self.tags, self.ids, strict=True)]

    @cached_property
    def groups(self) -> list[str]:
        """Where a clip came from: its rig, and the folder of its source."""
        folders = ["/".join(re.split("[/:]", str(tags.get("source", "")))[-3:-1]) for tags in self.tags]
        return [f"{tags.get('rig', '')} {folder}".strip() for tags, folder in zip(self.tags, folders, strict=True)]

    @cached_property
    def skeleton(self) -> Skeleton | None:
        """The skeleton of motions and poses whose features fit it."""
        name, shape = self.manifest["skeleton"], self.manifest["features"]["shape"]
        if not name:
            return None
        try:
            skeleton = load_skeleton(name)
        except UserError:  # a file that is no longer there
            return None
        joints = len(skeleton.joints)
        wanted = {"motion": [12 * joints - 1], "pose": [3 * (joints - 1)]}.get(self.manifest["representation"])
        return skeleton if shape == wanted else None

    def split(self, row: int) -> str:
        return SPLITS[self.splits[row]]

    def texts(self, row: int) -> list[int]:
        return self.store.captions[row].tolist()

    def caption(self, row: int) -> str:
        """The first caption."""
        return self.store.whole_texts[self.texts(row)[0]] if self.texts(row) else ""

    def joints(self, row: int) -> np.ndarray:
        """Joints (T, J, 3) in metres, float64, of a motion or pose."""
        return joints_of(self.store.features[row], self.skeleton, self.manifest["representation"]).astype(np.float64)

    def seconds(self, frame: int) -> str:
        return f"{frame / self.fps:.2f} s"
