"""A real browser draws the page: no errors, a body on the canvas, time that passes, left in its colour."""

import html
import json
import re
import shutil
import subprocess

import numpy as np
import pytest

from motion_lightning.view import write_viewer

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-logging=stderr",
    "--window-size=900,700",
]
WATCH = "<script>window.errors=[];addEventListener('error',e=>errors.push(e.message));</script>"
PROBE = """<pre id="probe"></pre><script>
const element = document.querySelector(".mv"), canvas = element.querySelector("canvas");
const probe = () => {
  const viewer = element.viewer, out = { errors };
  const press = key => element.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
  const pixel = ([x, y]) => [...panel.ctx.getImageData(Math.round(x), Math.round(y), 1, 1).data];
  const wrists = () => [20, 21].map(j => viewer.locate(0, j)).map(at => ({ at, colour: pixel(at) }));
  const panel = viewer.panels[0], { width, height } = panel.canvas;
  press(" "); out.playing = viewer.playing;
  viewer.seek(0); press("ArrowRight"); press("ArrowRight"); press("ArrowLeft");
  out.stepped = Number(canvas.dataset.frame);
  const image = panel.ctx.getImageData(0, 0, width, height).data;
  out.drawn = image.filter((v, i) => i % 4 === 3 && v > 200).length / (width * height);
  viewer.seek(2.5); out.front = wrists();
  viewer.orbit(Math.PI, 0);
  out.behind = wrists();
  viewer.seek(99); out.frames = viewer.panels.map(p => Number(p.canvas.dataset.frame));
  out.joints = [...panel.clip.joints];
  document.getElementById("probe").textContent = JSON.stringify(out);
};
const wait = () => Number(canvas.dataset.frame) > 2 ? probe() : setTimeout(wait, 50);  // it plays by itself
wait();
</script>"""


def probed(path, probe: str) -> tuple[dict, str]:
    """What a script leaves in the element "probe" of a page, and what the browser says."""
    page = path.read_text().replace("<body>", "<body>" + WATCH).replace("</body>", probe + "</body>")
    path.write_text(page)
    command = [
        CHROMIUM,
        *FLAGS,
        f"--user-data-dir={path.parent / 'profile'}",
        "--virtual-time-budget=20000",
        "--dump-dom",
    ]
    for _ in range(4):  # on a busy machine virtual time can run out before the first frame is drawn
        done = subprocess.run([*command, path.as_uri()], capture_output=True, text=True, timeout=120)
        found = re.search(r'<pre id="probe">(.*?)</pre>', done.stdout, re.S)
        if found and found[1]:
            break
    assert found and found[1], done.stderr[-2000:]
    return json.loads(html.unescape(found[1])), done.stderr


@pytest.mark.skipif(not CHROMIUM, reason="chromium is not installed")
def test_page_in_a_browser(tmp_path, clip, walk):
    path = write_viewer(tmp_path / "page.html", [clip(100), clip(60, "a shorter one")], "In a browser")
    seen, log = probed(path, PROBE)
    assert seen["errors"] == [] and not re.search("(ERROR|WARNING):CONSOLE", log)
    assert seen["playing"] is False
    assert seen["stepped"] == 1 and seen["frames"] == [99, 59]
    assert 0.01 < seen["drawn"] < 0.5
    assert np.abs(np.array(seen["joints"]).reshape(100, 22, 3) - walk(100)).max() < 0.0005 + 1e-5
    for view, sign in (("front", 1), ("behind", -1)):
        (left, right) = seen[view]
        assert (left["at"][0] - right["at"][0]) * sign > 20  # the body's left is at a viewer's right
        assert left["colour"][0] > left["colour"][2] + 40  # orange
        assert right["colour"][2] > right["colour"][0] + 40  # blue


POSES = """<pre id="probe"></pre><script>
const element = document.querySelector(".mv");
const wait = () => {
  if (element.querySelector("canvas").dataset.frame === undefined) return setTimeout(wait, 50);
  const shown = [...element.querySelectorAll(".mv-bar [data-mv]")].filter(e => e.offsetParent).map(e => e.dataset.mv);
  const out = { errors, shown, playing: element.viewer.playing };
  document.getElementById("probe").textContent = JSON.stringify(out);
};
wait();
</script>"""


@pytest.mark.skipif(not CHROMIUM, reason="chromium is not installed")
def test_a_page_of_single_poses_has_nothing_to_play(tmp_path, clip):
    path = write_viewer(tmp_path / "page.html", [clip(1), clip(1, "another")], "Poses")
    seen, _ = probed(path, POSES)
    assert seen == {"errors": [], "shown": ["home"], "playing": False}
