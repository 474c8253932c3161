"""Cut captions of a store: their texts, embeddings and tags, under the indices of the whole ones."""

import pickle

import numpy as np
import pytest
import torch

from motion_lightning.data import embedding
from motion_lightning.data.clip import Clip
from motion_lightning.data.cuts import cut_texts, prepare_cuts
from motion_lightning.data.datamodule import MotionDataModule
from motion_lightning.data.store import Store
from motion_lightning.data.writer import prepare_store
from motion_lightning.errors import UserError
from motion_lightning.text import tagging

CAPTIONS = [
    ("a man walks and then sits", "a/DET man/NOUN walk/VERB and/CCONJ then/ADV sit/VERB", "a man walks"),
    ("a man walks", "", "a man walks"),
    ("a man sits. he waves", "", "a man sits"),
    ("someone jumps, then turns", "", "someone jumps"),
    ("someone jumps before turning", "", "someone jumps"),
    ("waves while walking", "wave/VERB while/SCONJ walk/VERB", "waves while walking"),
]


class Told:
    """Four clips with some of the captions each."""

    name, representation, skeleton, fps, min_frames = "told", "motion", "humanml22", 20.0, 4
    about = {"title": "Captions", "source": "this test", "licence": "MIT"}  # noqa: RUF012

    def fingerprint(self):
        return {}

    def __len__(self):
        return 4

    def clips(self):
        for i, split in enumerate(("train", "train", "val", "test")):
            told = CAPTIONS[i : i + 3]
            features = np.full((8, 263), i, np.float32)
            yield Clip(str(i), features, [text for text, _, _ in told], split, pos=[line for _, line, _ in told])


@pytest.fixture
def store(tmp_path, tiny_encoder, monkeypatch) -> Store:
    monkeypatch.setenv("MOTION_LIGHTNING_HOME", str(tmp_path / "home"))
    prepare_store(Told(), tiny_encoder, tmp_path / "store", progress=False)
    return Store.open(tmp_path / "store")


def test_cuts_stand_under_the_indices_of_the_whole(store, tiny_encoder):
    folder = prepare_cuts(store, "first_action", tiny_encoder, progress=False)
    assert folder.parent == store.path / "derived"
    texts = cut_texts(store, "first_action")
    assert list(texts) == [cut for _, _, cut in CAPTIONS]
    assert [store.texts[i] for i in range(6)] == [text for text, _, _ in CAPTIONS]  # the store is as it was
    assert len((folder / "texts.ends").read_bytes()) == 8 * 2  # "a man walks" was there: two new ones
    for i, (_, _, kept) in enumerate(CAPTIONS):
        expected = tiny_encoder.encode([kept])
        assert torch.allclose(torch.tensor(texts.tokens(i)).float(), expected.tokens[0], atol=2e-3)
        assert torch.allclose(torch.tensor(texts.pooled(i)).float(), expected.pooled[0], atol=2e-3)
        assert texts[texts.lookup(kept)] == kept
    cond, expected = texts.cond([3, 0, 5]), tiny_encoder.encode([CAPTIONS[i][2] for i in (3, 0, 5)])
    for a, b in zip(cond, expected, strict=True):
        assert a.dtype == b.dtype
        assert torch.allclose(a.float(), b.float(), atol=2e-3)
    assert texts.pos(0) == "a/DET man/NOUN walk/VERB"
    assert texts.pos(1) == ""
    assert texts.pos(5) == "wave/VERB while/SCONJ walk/VERB"
    Store.open(store.path).verify()


def test_made_once_and_of_this_version(store, tiny_encoder, monkeypatch):
    with pytest.raises(UserError, match=r"were not cut by first_action=seed; run: .* \+loader.first_action=seed"):
        cut_texts(store, "seed")
    folder = prepare_cuts(store, "seed", tiny_encoder, progress=False)
    monkeypatch.setattr(tiny_encoder, "encode", lambda texts: pytest.fail("it was there"))
    assert prepare_cuts(store, "seed", tiny_encoder, progress=False) == folder
    monkeypatch.setattr(tagging, "MODEL_VERSION", "4.0.0")
    with pytest.raises(UserError, match="were not cut"):
        cut_texts(store, "seed")


def test_an_interrupted_call_goes_on(store, tiny_encoder, monkeypatch):
    monkeypatch.setattr(embedding, "TEXTS_A_CHUNK", 1)
    encode, calls = tiny_encoder.encode, []

    def stop_at_second(texts):
        calls.append(texts)
        assert len(calls) != 2, "stop"
        return encode(texts)

    monkeypatch.setattr(tiny_encoder, "encode", stop_at_second)
    with pytest.raises(AssertionError, match="stop"):
        prepare_cuts(store, "first_action", tiny_encoder, progress=False)
    with pytest.raises(UserError, match="were not cut"):
        cut_texts(store, "first_action")
    prepare_cuts(store, "first_action", tiny_encoder, progress=False)
    assert calls == [["a man sits"], ["someone jumps"], ["someone jumps"]]
    assert list(cut_texts(store, "first_action")) == [cut for _, _, cut in CAPTIONS]


def test_the_encoder_is_the_stores(store, tiny_encoder, monkeypatch):
    monkeypatch.setattr(tiny_encoder, "fingerprint", lambda: {"name": "another"})
    with pytest.raises(UserError, match="another text encoder"):
        prepare_cuts(store, "first_action", tiny_encoder, progress=False)
    with pytest.raises(UserError, match="one of none, first_sentence, seed, first_action"):
        prepare_cuts(store, "second_action", tiny_encoder, progress=False)


def test_batches_hold_the_cut_captions(store, tiny_encoder):
    prepare_cuts(store, "first_action", tiny_encoder, progress=False)
    whole = next(iter(MotionDataModule(store, val_batch_size=4).val_dataloader()))
    data = MotionDataModule(store, val_batch_size=4, first_action="first_action")
    cut = next(iter(data.val_dataloader()))
    assert torch.equal(whole.x, cut.x)
    assert whole.info.caption.tolist() == cut.info.caption.tolist() == [2]
    assert whole.cond.mask.sum() == 5
    assert cut.cond.mask.sum() == 3  # a man sits
    assert data.store.split("val").captions(0)[0] == "a man sits"
    assert pickle.loads(pickle.dumps(data.store)).texts[0] == "a man walks"
    data.threads = 2
    from_thread = next(iter(data.val_dataloader()))
    assert torch.equal(from_thread.cond.tokens, cut.cond.tokens)
