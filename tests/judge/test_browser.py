"""A real browser: keys answer, a reload keeps what was answered, and the file that is saved can be read."""

import html
import json
import re
import shutil
import subprocess
import urllib.parse

import pytest

from motion_lightning.judge.answers import read_answers, read_keys

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
FLAGS += ["--disable-background-networking", "--disable-component-update", "--window-size=1100,850"]
HEAD = """<script>
window.errors = []; addEventListener("error", e => errors.push(e.message));
const links = []; HTMLAnchorElement.prototype.click = function () { links.push([this.download, this.href]); };
const wait = ms => new Promise(done => setTimeout(done, ms));
const until = async test => { while (!test()) await wait(30); };
const press = key => document.body.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
const shown = () => [...document.querySelectorAll(".item")].findIndex(item => !item.hidden);
const said = () => document.querySelector(".count").textContent;
const leave = out => { document.getElementById("probe").textContent = JSON.stringify({ errors, ...out }); };
</script>"""
pytestmark = pytest.mark.skipif(not CHROMIUM, reason="chromium is not installed")


@pytest.fixture
def visit(tmp_path):
    """Runs a script in a page; what it leaves."""

    def visit(page, script: str) -> dict:
        probe = f'<pre id="probe"></pre><script>(async () => {{ {script} }})();</script>'
        path = tmp_path / page.name
        path.write_text(page.read_text().replace("<body>", "<body>" + HEAD).replace("</body>", probe + "</body>"))
        command = [CHROMIUM, *FLAGS, "--virtual-time-budget=30000", "--dump-dom"]
        for attempt in range(3):  # on a busy machine virtual time can run out before the first frame is drawn
            profile = f"--user-data-dir={tmp_path / f'profile{attempt}'}"
            done = subprocess.run([*command, profile, path.as_uri()], capture_output=True, text=True, timeout=120)
            found = re.search(r'<pre id="probe">(.+?)</pre>', done.stdout, re.S)
            if found:
                break
        assert found, done.stderr[-2000:]
        return json.loads(html.unescape(found[1]))

    return visit


PAIRS = """
if (!sessionStorage.getItem("again")) {
  sessionStorage.setItem("again", 1);
  const name = document.querySelector(".viewer");
  name.value = "Änna O'Neill"; name.dispatchEvent(new Event("input"));
  press("Enter"); await until(() => shown() === 0);
  press("1"); press("3"); await until(() => shown() === 1);
  press("2"); press("2"); await until(() => shown() === 2);
  press("9"); press("3");
  location.reload();
} else {
  await until(() => shown() === 2);
  const kept = said();
  const pressed = [...document.querySelectorAll(".item:not([hidden]) [aria-pressed=true]")].map(b => b.dataset.answer);
  press("Backspace"); await until(() => shown() === 1);
  document.querySelector(".item:not([hidden]) [data-question=better] [data-answer=left]").click();  // a changed mind
  press("x"); await wait(500);
  const stayed = shown();
  document.querySelector(".progress [data-go=save]").click();
  leave({ kept, pressed, stayed, name: document.querySelector(".viewer").value, links });
}
"""


def test_keys_answer_and_a_reload_keeps_it_and_the_file_is_read(pages, visit, tmp_path):
    seen = visit(pages / "pairs.html", PAIRS)
    assert seen["errors"] == []
    assert (seen["kept"], seen["pressed"], seen["stayed"]) == ("3 of 5, 2 answered", ["neither"], 1)
    assert seen["name"] == "Änna O'Neill"
    ((name, link),) = seen["links"]
    assert re.fullmatch(r"pairs-\w{12}-änna-o-neill\.json", name)
    file = tmp_path / name
    file.write_text(urllib.parse.unquote(link.partition(",")[2]), encoding="utf-8")
    (sheet,), (note,) = read_answers([file], read_keys(pages), pages)
    given = {item: [entry.get(name) for name in ("better", "natural")] for item, entry in sheet.answers.items()}
    assert given == {0: ["left", "neither"], 1: ["left", "right"], 2: ["neither", None]}
    assert sheet.viewer == "Änna O'Neill" and "2 of 5 answered" in note
    assert all(value >= 0 for entry in sheet.answers.values() for value in entry["seconds"].values())


CHOOSE = """
press("Enter"); await until(() => shown() === 0);
for (let i = 0; i < 15; i++) { press(String(1 + i % 8)); await until(() => shown() !== i); }
const end = !document.querySelector(".end").hidden;
press("3");
document.querySelector(".end [data-go=save]").click();
leave({ end, links, left: document.querySelector(".left").textContent });
"""


def test_every_clip_gets_its_sentence_by_one_key(pages, visit, tmp_path, call):
    seen = visit(pages / "choose.html", CHOOSE)
    assert seen["errors"] == [] and seen["end"] and seen["left"] == "All 15 are answered."
    (tmp_path / "answers.json").write_text(urllib.parse.unquote(seen["links"][0][1].partition(",")[2]))
    out = tmp_path / "out"
    shutil.copytree(pages, out)
    assert call(f"answers=[{tmp_path / 'answers.json'}]", f"out={out}") == 0
    key, found = read_keys(pages)["choose"], json.loads((out / "judging.json").read_text())["choose"]
    right = sum(item["right"] == str(1 + i % 8) for i, item in enumerate(key["items"]))
    assert sum(own["count"] for own in found["accuracy"].values()) == right
    assert sum(own["of"] for own in found["accuracy"].values()) == 15
    assert sum(row["times"] for row in found["confusions"]) == 15 - right


SIDES = """
press("Enter"); await until(() => shown() === 0);
const { viewer } = document.querySelector(".item:not([hidden]) .mv");
await until(() => viewer.panels.every(p => Number(p.canvas.dataset.frame) > 2));  // it plays by itself, on a floor
const cameras = viewer.panels.map(p => viewer.view(p)).map(({ eye, forward, focal }) => [...eye, ...forward, focal]);
const frames = viewer.panels.map(p => p.canvas.dataset.frame);
const { width, height } = viewer.panels[0].canvas;
const joints = [0, 1].flatMap(i => [...Array(22).keys()].map(j => viewer.locate(i, j)));
const inside = joints.map(([x, y]) => x > 0 && x < width && y > 0 && y < height);
const others = [...document.querySelectorAll(".item[hidden] .mv")].map(e => e.viewer.playing);
const { scrollWidth, scrollHeight } = document.documentElement;
leave({ cameras, frames, inside, others, size: [scrollWidth, scrollHeight] });
"""


def test_both_sides_are_seen_by_one_camera_at_one_time_on_one_screen(pages, visit):
    seen = visit(pages / "pairs.html", SIDES)
    left, right = seen["cameras"]
    assert left == right and seen["frames"][0] == seen["frames"][1]
    assert all(seen["inside"]) and not any(seen["others"])
    assert seen["size"][0] <= 1100 and seen["size"][1] <= 850
