"""Guo et al.'s evaluator: the published sizes, loops in plain numpy, and clips that know nothing of their batch."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from motion_lightning.errors import UserError
from motion_lightning.models.guo import GuoEvaluator

PUBLISHED = {  # of EricGuo5513/text-to-motion, text_mot_match/model/finest.tar, HumanML3D
    "movement_encoder.main.0.weight": (512, 259, 4),
    "movement_encoder.main.0.bias": (512,),
    "movement_encoder.main.3.weight": (512, 512, 4),
    "movement_encoder.main.3.bias": (512,),
    "movement_encoder.out_net.weight": (512, 512),
    "movement_encoder.out_net.bias": (512,),
    "motion_encoder.hidden": (2, 1, 1024),
    "motion_encoder.input_emb.weight": (1024, 512),
    "motion_encoder.input_emb.bias": (1024,),
    **{f"motion_encoder.gru.weight_{of}_l0{way}": (3072, 1024) for of in ("ih", "hh") for way in ("", "_reverse")},
    **{f"motion_encoder.gru.bias_{of}_l0{way}": (3072,) for of in ("ih", "hh") for way in ("", "_reverse")},
    "motion_encoder.output_net.0.weight": (1024, 2048),
    "motion_encoder.output_net.0.bias": (1024,),
    "motion_encoder.output_net.1.weight": (1024,),
    "motion_encoder.output_net.1.bias": (1024,),
    "motion_encoder.output_net.3.weight": (512, 1024),
    "motion_encoder.output_net.3.bias": (512,),
    "text_encoder.hidden": (2, 1, 512),
    "text_encoder.pos_emb.weight": (300, 15),
    "text_encoder.pos_emb.bias": (300,),
    "text_encoder.input_emb.weight": (512, 300),
    "text_encoder.input_emb.bias": (512,),
    **{f"text_encoder.gru.weight_{of}_l0{way}": (1536, 512) for of in ("ih", "hh") for way in ("", "_reverse")},
    **{f"text_encoder.gru.bias_{of}_l0{way}": (1536,) for of in ("ih", "hh") for way in ("", "_reverse")},
    "text_encoder.output_net.0.weight": (512, 1024),
    "text_encoder.output_net.0.bias": (512,),
    "text_encoder.output_net.1.weight": (512,),
    "text_encoder.output_net.1.bias": (512,),
    "text_encoder.output_net.3.weight": (512, 512),
    "text_encoder.output_net.3.bias": (512,),
}


def make(features: int = 263) -> GuoEvaluator:
    torch.manual_seed(0)
    network = GuoEvaluator(features).requires_grad_(False)
    network.mean.normal_()
    network.std.uniform_(0.001, 2)
    return network


@pytest.fixture(scope="module")
def evaluator() -> GuoEvaluator:
    return make()


@pytest.fixture(scope="module")
def clips(evaluator) -> list[torch.Tensor]:
    rng = np.random.default_rng(0)
    noise = [torch.from_numpy(rng.normal(size=(length, 263))) for length in (44, 196, 120, 199, 4, 67, 196)]
    return [(evaluator.mean + evaluator.std * clip).float() for clip in noise]


@pytest.fixture(scope="module")
def captions() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    pos = F.one_hot(torch.randint(15, (6, 22), generator=generator), 15).float()
    return torch.randn(6, 22, 300, generator=generator), pos, torch.tensor([5, 22, 2, 13, 22, 3])


@pytest.fixture(scope="module")
def embedded(evaluator, clips) -> torch.Tensor:
    return evaluator.embed_motion(*batch(clips))


def batch(clips, value: float = 0.0) -> tuple[torch.Tensor, torch.Tensor]:
    padded = torch.nn.utils.rnn.pad_sequence(clips, batch_first=True, padding_value=value)
    return padded, torch.tensor([len(clip) for clip in clips])


def close(a, b) -> None:
    torch.testing.assert_close(a, b, atol=2e-6, rtol=0)


def arrays(network: torch.nn.Module) -> dict[str, np.ndarray]:
    return {name: tensor.double().numpy() for name, tensor in network.state_dict().items()}


def strided(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Convolution of (T, I), kernel 4, stride 2, one zero on either side, then LeakyReLU."""
    x = np.pad(x, ((1, 1), (0, 0)))
    h = np.stack([np.einsum("ki,oik->o", x[t : t + 4], weight) + bias for t in range(0, len(x) - 3, 2)])
    return np.where(h > 0, h, 0.2 * h)


def gru(x: np.ndarray, w: dict[str, np.ndarray], first: np.ndarray, way: str) -> np.ndarray:
    """The last state, step by step (Cho et al., 2014, with PyTorch's order of gates: reset, update, new)."""
    h = first
    for step in x:
        i = np.split(w[f"gru.weight_ih_l0{way}"] @ step + w[f"gru.bias_ih_l0{way}"], 3)
        s = np.split(w[f"gru.weight_hh_l0{way}"] @ h + w[f"gru.bias_hh_l0{way}"], 3)
        reset, update = (1 / (1 + np.exp(-(i[k] + s[k]))) for k in (0, 1))
        h = (1 - update) * np.tanh(i[2] + reset * s[2]) + update * h
    return h


def read(x: np.ndarray, w: dict[str, np.ndarray]) -> np.ndarray:
    x = x @ w["input_emb.weight"].T + w["input_emb.bias"]
    h = np.concatenate([gru(x, w, w["hidden"][0, 0], ""), gru(x[::-1], w, w["hidden"][1, 0], "_reverse")])
    h = w["output_net.0.weight"] @ h + w["output_net.0.bias"]
    h = (h - h.mean()) / np.sqrt(h.var() + 1e-5) * w["output_net.1.weight"] + w["output_net.1.bias"]
    return w["output_net.3.weight"] @ np.where(h > 0, h, 0.2 * h) + w["output_net.3.bias"]


@pytest.mark.parametrize(("features", "seen"), [(263, 259), (251, 247)])
def test_names_and_sizes_are_the_published_ones(features, seen):
    shapes = {name: tuple(tensor.shape) for name, tensor in GuoEvaluator(features).state_dict().items()}
    expected = {**PUBLISHED, "movement_encoder.main.0.weight": (512, seen, 4)}
    assert shapes == {**expected, "mean": (features,), "std": (features,)}


@pytest.mark.parametrize("clip", [0, 1, 3, 4])
def test_a_motion_is_what_loops_make_of_it(evaluator, clips, embedded, clip):
    w, length = arrays(evaluator.movement_encoder), len(clips[clip]) // 4 * 4
    x = (clips[clip][:length].double() - evaluator.mean) / evaluator.std
    x = np.pad(x.numpy(), ((0, 196 - length), (0, 0)))[:, :-4]
    x = strided(strided(x, w["main.0.weight"], w["main.0.bias"]), w["main.3.weight"], w["main.3.bias"])
    x = x[: length // 4] @ w["out_net.weight"].T + w["out_net.bias"]
    np.testing.assert_allclose(embedded[clip], read(x, arrays(evaluator.motion_encoder)), atol=1e-5)


def test_a_caption_is_what_loops_make_of_it(evaluator, captions):
    words, pos, lengths = captions
    w = arrays(evaluator.text_encoder)
    embedded = evaluator.embed_text(*captions)
    for i, length in enumerate(lengths):
        x = words[i, :length].double().numpy() + w["pos_emb.weight"].T[pos[i, :length].argmax(1)] + w["pos_emb.bias"]
        np.testing.assert_allclose(embedded[i], read(x, w), atol=1e-5)


def test_a_clip_is_embedded_alike_in_any_batch(evaluator, clips, embedded):
    for i in (0, 1, 3, 4):
        close(evaluator.embed_motion(*batch([clips[i]]))[0], embedded[i])
    order = torch.tensor([3, 0, 6, 5, 1, 4, 2])
    close(evaluator.embed_motion(*batch([clips[i] for i in order])), embedded[order])
    assert (embedded[1] - embedded[6]).abs().max() > 1e-3  # two clips of one length are still two


def test_what_lies_beyond_a_clip_does_not_count(evaluator, clips, embedded):
    close(evaluator.embed_motion(*batch(clips, float("nan"))), embedded)
    close(evaluator.embed_motion(*batch([clip[: len(clip) // 4 * 4] for clip in clips])), embedded)


def test_contacts_do_not_count(evaluator, clips, embedded):
    contacts = [torch.cat([clip[:, :-4], 5 * clip[:, -4:]], dim=1) for clip in clips[:2]]
    close(evaluator.embed_motion(*batch(contacts)), embedded[:2])


def test_every_other_number_counts(evaluator, clips):
    clip = clips[0]
    plain = evaluator.embed_motion(clip[None], torch.tensor([44]))
    changes = torch.cat([torch.eye(263)[[0, 3, 66, 192, 258]], torch.zeros(5, 263)])
    for frame, change in ((0, changes[0]), (20, changes[1]), (43, changes[4])):
        changed = clip.clone()
        changed[frame] += 3 * change * evaluator.std
        assert (evaluator.embed_motion(changed[None], torch.tensor([44])) - plain).abs().max() > 1e-6


def test_a_caption_is_embedded_alike_in_any_batch(evaluator, captions):
    words, pos, lengths = captions
    together = evaluator.embed_text(*captions)
    for i, length in enumerate(lengths):
        close(evaluator.embed_text(words[i : i + 1, :length], pos[i : i + 1, :length], length[None])[0], together[i])
    order = torch.tensor([2, 4, 0, 5, 1, 3])
    close(evaluator.embed_text(words[order], pos[order], lengths[order]), together[order])


def test_a_caption_ends_at_its_length(evaluator, captions):
    words, pos, lengths = captions
    expected = evaluator.embed_text(*captions)
    rows = torch.tensor([0, 2, 3, 5])  # those that are padded
    behind, last = words.clone(), words.clone()
    behind[rows, lengths[rows]] += 1
    last[rows, lengths[rows] - 1] += 1
    close(evaluator.embed_text(behind, pos, lengths), expected)
    assert ((evaluator.embed_text(last, pos, lengths) - expected)[rows].abs().amax(1) > 1e-3).all()


def test_nan_in_a_clip_is_not_hidden(evaluator, clips):
    spoiled = [clip.clone() for clip in clips[:3]]
    spoiled[1][7, 11] = float("nan")
    out = evaluator.embed_motion(*batch(spoiled))
    assert out[1].isnan().all() and out[[0, 2]].isfinite().all()


def test_it_does_not_drop_out_nor_halve_its_precision(evaluator, clips, captions, embedded):
    texts = evaluator.embed_text(*captions)
    torch.nn.Sequential(evaluator).train()
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(evaluator.embed_motion(*batch(clips)), embedded)
        assert torch.equal(evaluator.embed_text(*captions), texts)


@pytest.mark.parametrize(
    ("width", "lengths", "message"),
    [
        (251, [40, 44], "263.*humanml3d"),
        (263, [3, 44], "a clip of 3 frames"),
        (263, [200, 44], "a clip of 200 frames"),
        (263, [40, 45], "a clip of 45 frames in a batch padded to 44"),
        (263, [40], "lengths of shape"),
    ],
)
def test_motions_that_it_cannot_read_are_refused(evaluator, width, lengths, message):
    frames = 201 if max(lengths) > 196 else 44
    with pytest.raises(UserError, match=message):
        evaluator.embed_motion(torch.zeros(2, frames, width), torch.tensor(lengths))


@pytest.mark.parametrize("broken", ["words", "pos", "length"])
def test_captions_that_it_cannot_read_are_refused(evaluator, captions, broken):
    words, pos, lengths = captions
    words = words[..., :299] if broken == "words" else words
    pos = pos[:, :20] if broken == "pos" else pos
    lengths = lengths + 1 if broken == "length" else lengths
    with pytest.raises(UserError):
        evaluator.embed_text(words, pos, lengths)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_gives_the_same(clips, captions):
    on_cpu, on_gpu = make(), make().cuda()
    padded, lengths = batch(clips)
    motions = on_gpu.embed_motion(padded.cuda(), lengths.cuda())
    texts = on_gpu.embed_text(*(part.cuda() for part in captions))
    torch.testing.assert_close(motions.cpu(), on_cpu.embed_motion(padded, lengths), atol=5e-3, rtol=0)  # TF32
    torch.testing.assert_close(texts.cpu(), on_cpu.embed_text(*captions), atol=5e-3, rtol=0)


def test_real_motions_are_near_the_evaluators_statistics(shared_data):
    reference = shared_data / "humanml3d_reference"
    network = make()
    for of in ("mean", "std"):
        getattr(network, of).copy_(torch.from_numpy(np.load(reference / "evaluator_stats" / f"t2m_{of}.npy")))
    motions = [torch.from_numpy(np.load(path)[:199]) for path in sorted((reference / "new_joint_vecs").glob("*.npy"))]
    embedded = network.embed_motion(*batch(motions))
    assert embedded.shape == (len(motions), 512) and embedded.isfinite().all()
    positions = (torch.cat(motions) - network.mean)[:, 4:67] / network.std[4:67]
    assert positions.abs().mean() < 3
