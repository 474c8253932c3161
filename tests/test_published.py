"""Protocols and published figures say what they are, where they come from, and nothing that cannot be."""

import pytest
import yaml

from motion_lightning.paths import conf_dir

PROTOCOLS = {path.stem: yaml.safe_load(path.read_text()) for path in (conf_dir() / "protocol").glob("*.yaml")}
PUBLISHED = {path.stem: yaml.safe_load(path.read_text()) for path in (conf_dir() / "published").glob("*.yaml")}
ROWS = [pytest.param(row, id=f"{name}, {row['name']}") for name, file in PUBLISHED.items() for row in file["rows"]]
R_PRECISION = [f"R-precision {k}" for k in (1, 2, 3)]
METRICS = [*R_PRECISION, "FID", "MM-Dist", "Diversity", "MultiModality"]
FIELD = {"t2m", "mdm", "mld", "momask", "mardm67"}  # not ours


def test_the_fields_protocols_are_there_and_our_own():
    assert set(PROTOCOLS) == FIELD | {"programs"}
    assert all(name == protocol["name"] for name, protocol in PROTOCOLS.items())
    assert len({tuple(protocol) for protocol in PROTOCOLS.values()}) == 1, "all have the same settings"


@pytest.mark.parametrize("name", sorted(PROTOCOLS))
def test_a_protocol_can_be_executed(name):
    protocol = PROTOCOLS[name]
    assert protocol["source"] and protocol["split"] == "test"
    assert protocol["lengths"] in (True, "predicted") and protocol["pools"] in ("loader", "shuffled")
    assert protocol["evaluator"] in ("guo", "trained") and protocol["features"] in ("all", "essential")
    plan = protocol["multimodality"]
    assert plan["choose"] in ("random", "first_batches")
    assert plan["pairs"] < plan["samples"], "pairs are drawn without replacement"
    assert protocol["clips"] is None or protocol["clips"] % protocol["pool"] == 0


def test_what_papers_differ_in():
    assert [name for name, p in PROTOCOLS.items() if p["lengths"] == "predicted"] == ["t2m"]
    assert [name for name, p in PROTOCOLS.items() if p["pools"] == "shuffled"] == ["mld"]
    assert {name: p["clips"] for name, p in PROTOCOLS.items() if p["clips"]} == {"mdm": 1024}
    assert {name for name, p in PROTOCOLS.items() if p["multimodality"]["choose"] != "random"} == {"momask", "mardm67"}
    assert [name for name, p in PROTOCOLS.items() if p["features"] == "essential"] == ["mardm67"]


@pytest.mark.parametrize("name", sorted(FIELD - {"mardm67"}))
def test_real_motions_are_known_under_a_protocol_of_the_field(name):
    real = PROTOCOLS[name]["real"]
    assert [figure[0] for figure in real["humanml3d"].values()] == [0.511, 0.703, 0.797, 0.002, 2.974, 9.503]
    assert [figure[0] for figure in real["kit"].values()] == [0.424, 0.649, 0.779, 0.031, 2.788, 11.08]
    assert all(list(figures) == METRICS[:-1] for figures in real.values())


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_a_file_of_figures_names_its_corpus_and_each_system_once(name):
    names = [row["name"] for row in PUBLISHED[name]["rows"]]
    assert PUBLISHED[name]["dataset"] == name and len(names) == len(set(names))


@pytest.mark.parametrize("row", ROWS)
def test_a_row_has_a_source_a_known_protocol_and_figures_that_can_be(row):
    assert list(row) == ["name", "paper", "source", "protocol", "incomparable", "figures"]
    assert row["name"] and row["paper"] and row["source"]
    assert row["protocol"] is None or row["protocol"] in FIELD
    assert row["protocol"] or row["incomparable"], "without a protocol, why it may not be compared"
    assert row["figures"] and [name for name in METRICS if name in row["figures"]] == list(row["figures"])
    for mean, interval in row["figures"].values():
        assert isinstance(mean, str) and float(mean) > 0 and 0 <= float(interval) < float(mean)
    shares = [float(row["figures"][name][0]) for name in R_PRECISION if name in row["figures"]]
    assert shares == sorted(set(shares)) and shares[-1] < 1, "R@1 < R@2 < R@3"
