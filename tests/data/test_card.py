"""The data card: figures that agree with the store, a picture of every representation, nothing half-written."""

import numpy as np
import pytest
from PIL import Image

from motion_lightning.data.card import write_card
from motion_lightning.data.clip import Clip, Rejected
from motion_lightning.data.store import Store
from motion_lightning.data.vocabulary import connectives, count_verbs, verb, words
from motion_lightning.data.writer import prepare_store


class Arrays:
    """Ten clips of any shape, each with two captions, and one that is left out."""

    name, fps, min_frames = "arrays", 10.0, 1

    def __init__(self, representation, make, skeleton=None, about=None, pos=()):
        self.representation, self.make, self.skeleton, self.pos = representation, make, skeleton, list(pos)
        self.about = {"title": "Ten | clips", "source": "here", "licence": "CC0"} if about is None else about

    def fingerprint(self):
        return {"made": self.representation, "long": list(range(500))}

    def __len__(self):
        return 11

    def clips(self):
        for i in range(10):
            captions = ["a man walks, then waves while he sits", f"someone is number {i % 3}"]
            yield Clip(
                f"c{i}", self.make(np.random.default_rng(i)), captions, "train" if i < 8 else "test", {}, self.pos
            )
        yield Rejected("bad", "bad.bvh", "too | short")


def frames(*shape, dtype=np.float32, frames=12):
    if dtype == np.uint8:
        return lambda rng: rng.integers(0, 256, (frames, *shape), np.uint8)
    return lambda rng: rng.standard_normal((frames + int(rng.integers(3)) if frames > 1 else 1, *shape)).astype(dtype)


CORPORA = {
    "motion": Arrays("motion", lambda rng: frames(263)(rng) * np.float32(0.05), "humanml22"),
    "pose": Arrays("pose", lambda rng: frames(63, frames=1)(rng) * np.float32(0.3), "humanml22"),
    "tracks": Arrays("tracks", frames(32, 2)),
    "video": Arrays("video", frames(3, 16, 24, dtype=np.uint8)),
    "image": Arrays("image", frames(16, 16, 1, frames=1)),
    "keypoints": Arrays("keypoints", frames(8, 3)),
    "something else": Arrays("something else", frames(40), about={}),
}


@pytest.fixture(scope="module", params=CORPORA, ids=str)
def carded(request, tmp_path_factory, tiny_encoder):
    path = tmp_path_factory.mktemp("cards") / "store"
    prepare_store(CORPORA[request.param], tiny_encoder, path, progress=False)
    store = Store.open(path)
    return store, write_card(store)


def test_every_representation_has_a_card_with_a_picture(carded):
    store, path = carded
    assert path == store.path / "card" / "README.md"
    with Image.open(path.parent / "picture.png") as picture:
        assert picture.width > 600
        assert picture.height > 200
        assert len(picture.convert("L").resize((64, 64)).getcolors()) > 20  # something is drawn
    assert sorted(p.name for p in path.parent.iterdir()) == ["README.md", "picture.png"]


def test_figures_agree_with_the_store(carded):
    store, path = carded
    text = path.read_text()
    assert "10 " in text.splitlines()[2]
    assert "with 20 captions (4 different)" in text
    assert "| clips | 8 | 0 | 2 |" in text
    assert "| captions | 16 | 0 | 4 |" in text
    assert "walk 10, wave 10, sit 10" in text
    assert "**Compound:** 50.0%" in text
    assert "then 50.0%, while 50.0%" in text
    assert "| 1 | too \\| short | bad (bad.bvh) |" in text
    assert store.digest in text
    assert "(500 entries)" in text
    if store.manifest["about"]:
        assert text.startswith("# Ten | clips")
        assert "**Licence:** CC0" in text
    else:
        assert "**Licence:** not stated" in text


def test_a_card_is_replaced_whole_and_leaves_the_store_as_it_was(carded):
    store, path = carded
    first = path.read_bytes()
    (path.parent / "stale.txt").write_text("old")
    assert write_card(store).read_bytes() == first
    assert not (path.parent / "stale.txt").exists()
    store.verify()
    assert len(Store.open(store.path)) == 10


def test_parts_of_speech_of_the_corpus_decide_on_verbs(tmp_path, tiny_encoder):
    corpus = Arrays("tracks", frames(4, 2), pos=["a/DET man/NOUN walk/NOUN then/ADV glide/VERB", ""])
    prepare_store(corpus, tiny_encoder, tmp_path / "store", progress=False)
    text = write_card(Store.open(tmp_path / "store")).read_text()
    assert "**Most frequent verbs:** glide 10" in text


@pytest.mark.parametrize(
    ("form", "base"),
    [
        ("walking", "walk"), ("hopped", "hop"), ("waves", "wave"), ("carries", "carry"), ("ran", "run"),
        ("sitting", "sit"), ("goes", "go"), ("lying", "lie"), ("kneels", "kneel"), ("person", None), ("red", None),
    ],
)  # fmt: skip
def test_verbs_are_known_in_their_forms(form, base):
    assert verb(form) == base


def test_words_and_connectives():
    assert words("A person's 2 hands, Körper-Teile!") == ["a", "person's", "hands", "körper", "teile"]
    assert connectives("He walks and THEN turns, followed by a bow; band, authentic") == {"and", "then", "followed by"}
    assert count_verbs([("he walked", "", 3), ("walks", "he/PRON walk/VERB", 2)]) == {"walk": 5}


def test_verbs_are_found_in_real_captions(shared_data):
    """97 % of KIT-ML's captions hold a verb of the list."""
    import json

    annotations = json.loads((shared_data / "kitml_text/annotations.json").read_text())
    texts = [a["text"] for entry in annotations.values() for a in entry["annotations"]]
    assert len(texts) > 10_000
    assert sum(any(map(verb, words(text))) for text in texts) / len(texts) > 0.97
