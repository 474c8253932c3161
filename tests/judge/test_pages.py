"""What the pages hold, and what they must not tell."""

import json
import re
from collections import Counter

import numpy as np
import pytest
import torch

from motion_lightning.data.kinds import kind
from motion_lightning.judge.choices import ALIKE, OPTIONS, others
from motion_lightning.judge.sources import Prompt

RUNS = ("zebra_one", "quokka_two")


def key_of(pages, page: str) -> dict:
    return json.loads((pages / f"{page}.key.json").read_text())


@pytest.mark.parametrize("page", ["pairs", "choose"])
def test_the_page_does_not_tell_whose_clips_it_shows(pages, runs, page):
    text = (pages / f"{page}.html").read_text()
    for secret in (*RUNS, str(runs), "checkpoint", "test_0", "seed", "guidance"):
        assert secret not in text
    assert not re.search(r"\breal\b|https?:|src=(?!\"data:)", text)
    sections = re.findall(r'<section class="item".*?</section>\s*</div>\s*<noscript>', text, re.S)
    assert len(sections) == len(key_of(pages, page)["items"])
    blind = {re.sub(r"Moving skeleton: [^\"]*|<h2>.*?</h2>", "", section) for section in sections}
    assert len(blind) == 1  # nothing in the markup of clips differs from item to item but their titles
    assert key_of(pages, page)["page"] in text


def test_each_run_is_on_the_left_as_often_and_no_sentence_comes_twice(pages, program_store):
    key = key_of(pages, "pairs")
    sides = Counter(item["left"] for item in key["items"])
    assert set(sides) == set(RUNS) and abs(sides[RUNS[0]] - sides[RUNS[1]]) == 1  # of five
    assert all({item["left"], item["right"]} == set(RUNS) for item in key["items"])
    assert len({item["prompt"] for item in key["items"]}) == 5
    part = program_store.split("test")
    held_out = {part.ids[i]: part.captions(i)[0] for i in range(len(part))}
    assert all(held_out[item["clip"]] == item["prompt"] for item in key["items"])
    assert set(key["sources"]) == set(RUNS) and key["sources"][RUNS[0]]["step"] == 7


def test_eight_sentences_mean_eight_things_and_the_right_one_is_among_them(pages, program_store):
    key, part = key_of(pages, "choose"), program_store.split("test")
    meaning = {part.captions(i)[0]: kind(part.tags(i)) for i in range(len(part))}
    assert Counter(item["source"] for item in key["items"]) == dict.fromkeys([*RUNS, "real"], 5)
    for item in key["items"]:
        assert item["options"][int(item["right"]) - 1] == item["prompt"]
        assert len({meaning[text] for text in item["options"]}) == OPTIONS
    pairs = {item["prompt"] for item in key_of(pages, "pairs")["items"]}
    right = [item["prompt"] for item in key["items"]]
    assert len(set(right)) == 15 and not pairs & set(right)
    text = (pages / "choose.html").read_text()
    assert all(text.count(f'data-answer="{k}"') == 15 for k in range(1, 9))


def test_the_same_command_makes_the_same_page_and_another_seed_another(pages, runs, tmp_path, call):
    both = f"runs=[{','.join(str(runs / name) for name in RUNS)}]"
    assert (
        call(both, f"out={tmp_path / 'a'}", "clips=5") == call(both, f"out={tmp_path / 'b'}", "clips=5", "seed=1") == 0
    )
    assert (tmp_path / "a/pairs.html").read_text() == (pages / "pairs.html").read_text()
    assert key_of(tmp_path / "b", "pairs")["page"] != key_of(pages, "pairs")["page"]


def test_clips_of_two_models_are_each_decoded_by_their_own_statistics(pages, runs, program_store, tmp_path, call):
    """A pair of a run with the real clips shows those as they are."""
    from motion_lightning.tasks.motion import real_joints
    from motion_lightning.view.page import encode_joints

    assert call(f"runs=[real,{runs / RUNS[1]}]", f"out={tmp_path}", "clips=3") == 0
    part, key = program_store.split("test"), key_of(tmp_path, "pairs")
    text = (tmp_path / "pairs.html").read_text()
    for item in key["items"]:
        (joints,) = real_joints(part, [part.ids.index(item["clip"])])
        clips = json.loads(
            re.findall(r'<script type="application/json">(.*?)</script>', text)[key["items"].index(item)]
        )
        assert clips["clips"][0 if item["left"] == "real" else 1]["joints"][:400] == encode_joints(joints)[:400]


@pytest.mark.slow
def test_sentences_of_ones_own_need_no_data(runs, tmp_path, call, randomise):
    from motion_lightning.assemble import build_model

    for name in RUNS:
        state = torch.load(runs / name / "checkpoints/last.ckpt", weights_only=True)
        config = state["config"] | {"text_dim": 384, "store": None}
        model = randomise(build_model(config, 384), 0, 0.02)
        weights = {f"model.{key}": value for key, value in model.state_dict().items()}
        (tmp_path / name).mkdir()
        torch.save({"state_dict": weights, "config": config, "global_step": 1}, tmp_path / name / "last.ckpt")
    both = f"runs=[{','.join(str(tmp_path / name / 'last.ckpt') for name in RUNS)}]"
    asked = ["a person waves, then bows", "A person waves, then bows.", "somebody jumps"]
    assert call(both, f"prompts={json.dumps(asked)}", "seconds=2", f"out={tmp_path}") == 0
    key = key_of(tmp_path, "pairs")
    assert [item["prompt"] for item in key["items"]] in ([asked[1], asked[2]], [asked[2], asked[1]])
    assert not (tmp_path / "choose.html").exists()  # there are no eight
    assert call(both, f"out={tmp_path / 'other'}") == 2


BAD = [
    (["runs=[{runs}/nobody,{runs}/zebra_one]"], "there is no run"),
    (["runs=[{runs}/zebra_one,{runs}/zebra_one]"], "name two different ones"),
    (["runs=[real]"], "name the run that is judged"),
    (["runs=[{runs}/zebra_one]", "clips=0"], "clips is at least 1"),
    (["runs=[{runs}/zebra_one,real]", "prompts=[a wave]"], "there are no real clips"),
    (["runs=[{runs}/zebra_one,real]", "out={pages}"], "is the key of another page"),
    ([], "give runs="),
    (["runs=[{runs}/zebra_one]", "answers=[x.json]"], "give runs="),
    (["answers=[x.json]", "out={runs}"], "holds neither"),
    (["answers=[{pages}/none.json]", "out={pages}"], "can be counted"),
]


@pytest.mark.parametrize(("arguments", "says"), BAD, ids=[case[1] for case in BAD])
def test_bad_input_ends_in_one_line(pages, runs, call, capsys, tmp_path, monkeypatch, arguments, says):
    monkeypatch.chdir(tmp_path)
    assert call(*(argument.format(runs=runs, pages=pages) for argument in arguments)) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert says in line and not list(tmp_path.iterdir())


# ------------------------------------------------------------------------------------- wrong sentences


@pytest.fixture
def prompts() -> list[Prompt]:
    """60 sentences on a circle, two neighbours of one meaning."""
    angles = np.arange(60) / 60 * 2 * np.pi
    vectors = np.stack([np.cos(angles), np.sin(angles)], 1)
    return [Prompt(f"sentence {i}", 40, f"meaning {i // 2}", True, vectors[i], f"{i}") for i in range(60)]


def test_wrong_sentences_are_near_ones_of_other_meanings(prompts):
    drawn = [others(10, prompts, np.random.default_rng(seed)) for seed in range(50)]
    for found in drawn:
        meanings = [prompts[j].meaning for j in found]
        assert len(set(meanings)) == OPTIONS - 1 and "meaning 5" not in meanings
    assert len({frozenset(found) for found in drawn}) > 30
    assert max(min(abs(j - 10), 60 - abs(j - 10)) for found in drawn for j in found) <= 23  # 21 meanings around it


def test_where_meanings_are_not_known_what_is_too_alike_is_left_out(prompts):
    unsure = [prompt._replace(known=False, meaning=prompt.text) for prompt in prompts]
    for seed in range(20):
        found = others(10, unsure, np.random.default_rng(seed))
        assert len(found) == OPTIONS - 1
        assert all(prompts[j].vector @ prompts[10].vector < ALIKE for j in found)
    assert len(others(10, unsure[:14], np.random.default_rng(0))) < OPTIONS - 1
