"""A table says which figures may be compared, in every format, and never shows a number that there is not."""

import copy
import math
import re

import pytest

from motion_lightning.errors import UserError
from motion_lightning.view.result_table import tabulate
from motion_lightning.view.results import latex, markdown, page, tex, write_results


def figure(mean, interval=0.003, replications=20):
    return {"mean": mean, "interval": interval, "replications": replications}


REAL = {"R-precision 1": figure(0.5114), "FID": figure(0.002, 0.0001), "Diversity": figure(9.503, 0.065)}
PUBLISHED = [
    {
        "name": "Other & co",
        "paper": "Doe et al., 2023",
        "source": "Table 1",
        "protocol": "mdm",
        "incomparable": None,
        "figures": {"R-precision 1": ["0.480", "0.003"], "Diversity": ["9.5", None]},
    }
]


def result(r=0.5, fid=0.2, diversity=9.4, **others):
    metrics = {"R-precision 1": figure(r), "FID": figure(fid, 0.01), "Diversity": figure(diversity, 0.07)}
    provenance = {"evaluator": "e1", "data": "humanml3d test", "store": "s1", "steps": 50, "sampler": "ddim"}
    base = {"protocol": "mdm", "dataset": "humanml3d", "metrics": metrics, "real": REAL, "comparable": True}
    return copy.deepcopy(base | {"reasons": [], "provenance": provenance} | others)


def changed(**provenance):
    made = result(0.9, 0.01, 9.503)
    made["provenance"] |= provenance
    return made


TWO = {"a_1": result(0.512, 0.083, 9.61), "b": result(0.45, 0.492, 9.9)}


def test_markdown_is_as_it_reads():
    assert (
        markdown(tabulate(TWO, PUBLISHED))
        == r"""# humanml3d, protocol mdm

Mean ± 95 % interval; replications 20, data humanml3d test, evaluator e1, store s1.

|             | R-precision 1 ↑  | FID ↓            | Diversity →      |
| ----------- | ---------------: | ---------------: | ---------------: |
| real        | 0.511 ± .003     | 0.002 ± .000     | 9.503 ± .065     |
| a\_1        | **0.512** ± .003 | **0.083** ± .010 | **9.610** ± .070 |
| b           | 0.450 ± .003     | 0.492 ± .010     | 9.900 ± .070     |
| *Published* |                  |                  |                  |
| Other & co  | 0.480 ± .003     | —<sup>a</sup>    | 9.5              |

Bold: best of the comparable runs.  
↑ more is better, ↓ less is better, → as in real motions is best.

- <sup>a</sup> not given in the source

| sampled | sampler | steps |
| ------- | ------: | ----: |
| a\_1    | ddim    | 50    |
| b       | ddim    | 50    |

Sources:

- Other & co (Doe et al., 2023): Table 1
"""
    )


def test_latex_has_a_cell_for_every_column_and_escapes_names():
    text = latex(tabulate(TWO | {"odd ~{x}\\%": result(math.nan, diversity=8)}, PUBLISHED))
    assert text.splitlines()[0] == r"% needs \usepackage{booktabs}"
    body = text.partition(r"\toprule")[2].partition(r"\bottomrule")[0]
    rows = [line for line in body.splitlines() if line.endswith(r"\\")]
    assert len(rows) == 1 + 1 + 3 + 1 and all(len(re.findall(r"(?<!\\)&", row)) == 3 for row in rows)
    assert r"\begin{tabular}{lrrr}" in text and body.count(r"\midrule") == 3
    assert r"a\_1 & $\mathbf{0.512}^{\pm.003}$ & $\mathbf{0.083}^{\pm.010}$ & $\mathbf{9.610}^{\pm.070}$ \\" in rows
    assert r"odd \textasciitilde{}\{x\}\textbackslash{}\% & --$^{a}$ &" in text
    assert r"Other \& co & $0.480^{\pm.003}$ & --$^{b}$ & $9.5$ \\" in rows
    assert text.count("{") - text.count(r"\{") == text.count("}") - text.count(r"\}")


def test_tex_leaves_no_sign_that_latex_reads():
    assert re.fullmatch(r"(\\[&%$#_{}]|\\[a-z]+\{\}|\$\\[a-z]+\$|[\w ,.-])*", tex("a&b_c %#$ {x} ~^\\ <±≥→†—…"))


ODD = {
    "self-test failed": result(0.9, comparable=False, reasons=["real motions have FID 3, expected 0.002"]),
    "protocol is t2m": result(0.9, protocol="t2m"),
    "evaluator is e2": changed(evaluator="e2"),
    "data is humanml3d val": changed(data="humanml3d val"),
    "store is s2": changed(store="s2"),
    "5 replications of FID": result(0.9) | {"metrics": {"FID": figure(0.01, replications=5)}},
}


@pytest.mark.parametrize("reason", ODD)
def test_what_differs_is_marked_with_its_reason_and_never_best(reason):
    table = tabulate(TWO | {"odd": ODD[reason]}, PUBLISHED)
    odd = table.blocks["runs"][-1]
    said = "real motions have FID 3" if reason == "self-test failed" else reason
    assert table.notes[odd.marks[0]].startswith(said)
    assert not any(cell.best for cell in odd.cells) and not any(line.marks for line in table.blocks["runs"][:2])
    assert table.blocks["runs"][0].cells[0].best, "the best of those that may be compared"
    for text in (markdown(table), latex(table), page(table)):
        assert ("†" in text or r"\dagger" in text) and said.replace("_", r"\_") in text


def test_real_motions_of_a_run_that_failed_its_test_stand_apart():
    odd = ODD["self-test failed"] | {"real": {"FID": figure(3.0)}}
    rows = tabulate({"odd": odd} | TWO).blocks["real"]
    assert [row.name for row in rows] == ["real", "real, beside odd"]
    assert not rows[0].marks and rows[1].marks


def test_published_figures_of_another_protocol_are_marked_and_all_where_no_run_is_sound():
    other = [PUBLISHED[0] | {"protocol": "mld"}, PUBLISHED[0] | {"incomparable": "two bugs"}, *PUBLISHED]
    table = tabulate(TWO, other)
    found = [[table.notes[mark] for mark in line.marks] for line in table.blocks["published"]]
    assert found == [["measured under protocol mld, not mdm"], ["two bugs"], []]
    broken = tabulate({"odd": ODD["self-test failed"]}, PUBLISHED)
    assert broken.blocks["published"][0].marks and broken.blocks["runs"][0].marks


@pytest.mark.parametrize("figure", [None, figure(math.nan), figure(math.inf), figure(None)])
def test_what_is_no_number_is_a_dash_with_a_note(figure):
    bad = result()
    bad["metrics"]["FID"] = figure
    table = tabulate(TWO | {"bad": bad})
    cell = table.blocks["runs"][-1].cells[1]
    assert not cell.mean and not cell.interval and "finite" in table.notes[cell.mark]
    for text in (markdown(table), latex(table), page(table)):
        assert not re.search(r"\b(nan|inf|None)\b", text)


def test_the_best_is_judged_by_the_metric():
    table = tabulate({"low": result(0.1, 0.1, 9.0), "high": result(0.9, 0.9, 9.6)})
    assert [[cell.best for cell in line.cells] for line in table.blocks["runs"]] == [
        [False, True, False],
        [True, False, True],
    ]
    alone = tabulate({"one": result()})
    assert not any(cell.best for cell in alone.blocks["runs"][0].cells), "one run is not the best of anything"
    unknown = {name: result() | {"metrics": {"jitter": figure(v)}} for name, v in (("a", 1.0), ("b", 2.0))}
    assert not any(cell.best for line in tabulate(unknown).blocks["runs"] for cell in line.cells)


def test_digits_are_those_of_papers():
    wide = {"FID": figure(10.4378, 1.25), "R-precision 1": figure(0.00049, 0.00049), "Diversity": figure(123.456)}
    cells = tabulate({"x": result() | {"metrics": wide}}).blocks["runs"][0].cells
    assert [(cell.mean, cell.interval) for cell in cells] == [("10.44", "1.250"), ("0.000", ".000"), ("123.5", ".003")]


def test_the_page_stands_alone_escapes_and_links_its_notes():
    text = page(tabulate({"<script>x": result(), "b": result(math.nan, diversity=8)}, PUBLISHED))
    assert "<script>x" not in text and "&lt;script&gt;x" in text and "http" not in text.partition("<body>")[2]
    marks = set(re.findall(r'href="#note-(\w+)"', text))
    assert marks and all(f"id=note-{mark}>" in text for mark in marks)


def test_files_are_written_whole_and_none_without_results(tmp_path):
    paths = write_results(tmp_path / "out", TWO, PUBLISHED)
    assert [path.name for path in paths] == ["results.md", "results.tex", "results.html"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(path.name for path in paths)
    with pytest.raises(UserError, match="no results"):
        write_results(tmp_path / "none", {})
    assert not (tmp_path / "none").exists()
