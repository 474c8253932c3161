// Signers on canvases that share one clock.
"use strict";

const REST = 0.6;                            // seconds between the end and the next round
const UNSEEN = -32768;

class Signers {
  constructor(element) {
    this.data = JSON.parse(element.querySelector("script[type='application/json']").textContent);
    this.element = element;
    this.panels = [...element.querySelectorAll("canvas")].map((canvas, i) => {
      const clip = this.data.clips[i];
      const bytes = Uint8Array.from(atob(clip.points), c => c.charCodeAt(0));
      const points = new Int16Array(bytes.buffer);
      return { canvas, points, fps: clip.fps, frames: points.length / 2 / this.data.points, visible: true };
    });
    this.duration = Math.max(...this.panels.map(p => p.frames / p.fps));
    [this.button, this.scrub] = [element.querySelector("button"), element.querySelector("input")];
    this.button.addEventListener("click", () => this.play(!this.playing));
    this.scrub.addEventListener("input", () => { this.play(false); this.seek(this.scrub.value * this.duration); });
    new ResizeObserver(() => this.draw()).observe(element);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
    const seen = new IntersectionObserver(entries => {
      for (const entry of entries) this.panels.find(p => p.canvas === entry.target).visible = entry.isIntersecting;
      this.draw();
    }, { rootMargin: "120px" });
    this.panels.forEach(p => seen.observe(p.canvas));
    this.time = 0;
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    if (still) this.time = this.duration / 2;
    this.play(!still);
  }

  play(on) {
    this.playing = on;
    this.button.textContent = on ? "Pause" : "Play";
    this.last = undefined;
    if (on) requestAnimationFrame(now => this.tick(now)); else this.draw();
  }

  seek(time) {
    this.time = time;
    this.draw();
  }

  tick(now) {
    if (!this.playing) return;
    if (this.last !== undefined) this.time += (now - this.last) / 1000;
    this.last = now;
    if (this.time > this.duration + REST) this.time = 0;
    this.scrub.value = Math.min(1, this.time / this.duration);
    this.draw();
    requestAnimationFrame(later => this.tick(later));
  }

  draw() {
    const style = getComputedStyle(this.element);
    const colours = Object.fromEntries(["left", "right", "body", "head"].map(n => [n, style.getPropertyValue("--sg-" + n)]));
    for (const panel of this.panels) if (panel.visible) this.drawPanel(panel, colours);
  }

  drawPanel({ canvas, points, fps, frames }, colours) {
    const side = Math.round(canvas.clientWidth * devicePixelRatio);
    if (!side) return;
    if (canvas.width !== side) canvas.width = canvas.height = side;
    const { limbs, grain, box: [midX, midY, reach], head: [radius, above], widths } = this.data;
    const unit = side / 2 / reach, first = 2 * this.data.points * Math.min(frames - 1, Math.floor(this.time * fps));
    const x = k => (points[first + 2 * k] / grain - midX) * unit + side / 2;
    const y = k => (points[first + 2 * k + 1] / grain - midY) * unit + side / 2;
    const known = k => points[first + 2 * k] !== UNSEEN;
    const pen = canvas.getContext("2d");
    pen.clearRect(0, 0, side, side);
    pen.lineCap = "round";
    if (known(0)) {
      pen.fillStyle = colours.head;
      pen.beginPath();
      pen.arc(x(0), y(0) - above * unit, radius * unit, 0, 7);
      pen.fill();
    }
    for (const layer of ["body", "left", "right"]) {
      for (const [a, b, limbSide, thin] of limbs) {
        if (limbSide !== layer || !known(a) || !known(b)) continue;
        pen.strokeStyle = colours[limbSide];
        pen.lineWidth = widths[thin ? 1 : 0] * unit;
        pen.beginPath();
        pen.moveTo(x(a), y(a));
        pen.lineTo(x(b), y(b));
        pen.stroke();
      }
    }
  }
}

document.querySelectorAll(".signers").forEach(element => { element.viewer = new Signers(element); });
