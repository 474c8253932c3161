// Panels that share one clock and one camera. scene.js draws; this file listens and keeps time.
"use strict";

const REST = 0.7;                            // seconds between the end and the next round

class Viewer {
  constructor(element) {
    this.element = element;
    const data = JSON.parse(element.querySelector("script[type='application/json']").textContent);
    this.panels = [...element.querySelectorAll(".mv-panel")].map((figure, i) => {
      const canvas = figure.querySelector("canvas");
      return {
        figure, canvas, ctx: canvas.getContext("2d"), readout: figure.querySelector("output"),
        clip: new Clip(data.clips[i], data.figure), group: data.clips[i].group, visible: true,
      };
    });
    this.still = this.panels.every(p => p.clip.frames === 1);   // poses: there is nothing to play
    element.classList.toggle("mv-still", this.still);
    this.fps = Math.max(...this.panels.map(p => p.clip.fps));
    this.duration = Math.max(...this.panels.map(p => p.clip.duration), 1 / this.fps);
    this.time = 0;
    this.speed = 1;
    this.camera = { ...HOME };
    this.fixed = element.closest("[data-camera=fixed]") !== null;   // one camera for all panels, which does not follow
    this.follow = !this.fixed && this.panels.some(p => this.travel(p.clip) > 5);
    this.hold = true;
    this.playing = false;
    this.rest = 0;
    this.pointers = new Map();
    this.readColours();
    this.bindControls();
    this.panels.forEach(panel => this.bindPanel(panel));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { this.readColours(); this.draw(); });
    new ResizeObserver(() => this.resize()).observe(element);
    const seen = new IntersectionObserver(entries => {
      for (const entry of entries) this.panels.find(p => p.canvas === entry.target).visible = entry.isIntersecting;
      this.draw();
    }, { rootMargin: "120px" });
    this.panels.forEach(p => seen.observe(p.canvas));
    this.resize();
    if (!this.still && !matchMedia("(prefers-reduced-motion: reduce)").matches) this.play(true);
  }

  travel(clip) {
    let low = [Infinity, Infinity], high = [-Infinity, -Infinity];
    for (let i = 0; i < clip.frames; i++) {
      low = clip.root(i).map((v, k) => Math.min(v, low[k])); high = clip.root(i).map((v, k) => Math.max(v, high[k]));
    }
    return Math.hypot(high[0] - low[0], high[1] - low[1]);
  }

  readColours() {
    const style = getComputedStyle(this.element);
    this.colours = { dark: matchMedia("(prefers-color-scheme: dark)").matches };
    for (const name of ["left", "right", "centre", "panel", "grid", "trail", "shadow"]) {
      this.colours[name] = rgb(style.getPropertyValue("--mv-" + name).trim());
    }
  }

  bindControls() {
    const find = name => this.element.querySelector(`[data-mv="${name}"]`);
    this.controls = Object.fromEntries(["play", "scrub", "time", "speed", "follow", "loop"].map(n => [n, find(n)]));
    const { play, scrub, speed, follow, loop } = this.controls;
    scrub.max = this.duration;
    scrub.step = 1 / this.fps;
    play.onclick = () => this.play(!this.playing);
    find("back").onclick = () => this.step(-1);
    find("next").onclick = () => this.step(1);
    find("home").onclick = () => this.home();
    scrub.oninput = () => { this.play(false); this.seek(Number(scrub.value)); };
    speed.onchange = () => { this.speed = Number(speed.value); };
    follow.checked = this.follow;
    follow.onchange = () => { this.follow = follow.checked; this.refit(); this.draw(); };
    loop.onchange = () => { this.hold = !loop.checked; this.draw(); };
    this.element.addEventListener("keydown", event => this.key(event));
  }

  bindPanel(panel) {
    const { canvas, figure } = panel;
    canvas.addEventListener("pointerdown", event => {
      canvas.setPointerCapture(event.pointerId);
      this.pointers.set(event.pointerId, [event.clientX, event.clientY]);
    });
    canvas.addEventListener("pointermove", event => this.drag(event));
    for (const name of ["pointerup", "pointercancel"]) {
      canvas.addEventListener(name, event => this.pointers.delete(event.pointerId));
    }
    canvas.addEventListener("wheel", event => {
      // A page that scrolls keeps its wheel until a panel is clicked.
      const scrolls = document.documentElement.scrollHeight > innerHeight + 4;
      if (scrolls && document.activeElement !== canvas && !event.ctrlKey && !event.metaKey) {
        figure.classList.add("mv-hint");
        clearTimeout(panel.hint);
        panel.hint = setTimeout(() => figure.classList.remove("mv-hint"), 1200);
        return;
      }
      event.preventDefault();
      this.zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.04 : 0.0014)));
    }, { passive: false });
    canvas.addEventListener("pointerleave", () => { if (!this.pointers.size && document.activeElement === canvas) canvas.blur(); });
    figure.querySelector("button").onclick = () => { figure.classList.toggle("mv-wide"); this.resize(); };
  }

  drag(event) {
    const last = this.pointers.get(event.pointerId);
    if (!last) return;
    const now = [event.clientX, event.clientY];
    if (this.pointers.size === 2) {
      const [other] = [...this.pointers].filter(([id]) => id !== event.pointerId).map(([, p]) => p);
      this.zoom(Math.hypot(now[0] - other[0], now[1] - other[1]) / Math.max(1, Math.hypot(last[0] - other[0], last[1] - other[1])));
    } else {
      this.orbit((last[0] - now[0]) * 0.008, (now[1] - last[1]) * 0.006);
    }
    this.pointers.set(event.pointerId, now);
  }

  key(event) {
    if (event.target.matches("select, input[type=checkbox]") || (event.key === " " && event.target.matches("button, summary"))) return;
    const jump = event.shiftKey ? this.fps : 1;
    const actions = {
      " ": () => this.play(!this.playing), ArrowLeft: () => this.step(-jump), ArrowRight: () => this.step(jump),
      Home: () => this.seek(0), End: () => this.seek(this.duration), r: () => this.home(),
      f: () => this.controls.follow.click(), a: () => this.orbit(-0.12, 0), d: () => this.orbit(0.12, 0),
      w: () => this.orbit(0, 0.08), s: () => this.orbit(0, -0.08), "+": () => this.zoom(1.15), "-": () => this.zoom(1 / 1.15),
    };
    if (event.ctrlKey || event.metaKey || event.altKey || !actions[event.key]) return;
    event.preventDefault();
    actions[event.key]();
  }

  orbit(azimuth, elevation) {
    this.camera.azimuth += azimuth;
    this.camera.elevation = clamp(this.camera.elevation + elevation, 0.02, 1.54);
    this.draw();
  }

  zoom(factor) {
    this.camera.zoom = clamp(this.camera.zoom * factor, 0.3, 6);
    this.draw();
  }

  home() {
    this.camera = { ...HOME };
    this.draw();
  }

  play(on) {
    if (on && this.time >= this.duration) this.time = 0;
    if (!on) this.time = Math.round(this.time * this.fps) / this.fps;
    this.playing = on;
    this.controls.play.setAttribute("aria-label", on ? "Pause" : "Play");
    this.controls.play.classList.toggle("mv-on", on);
    if (on) { this.last = undefined; requestAnimationFrame(now => this.tick(now)); } else this.draw();
  }

  step(frames) {
    this.play(false);
    this.seek((Math.round(this.time * this.fps) + frames) / this.fps);
  }

  seek(time) {
    this.time = clamp(time, 0, this.duration);
    this.draw();
  }

  tick(now) {
    if (!this.playing) return;
    const passed = Math.min(0.1, (now - (this.last ?? now)) / 1000);
    this.last = now;
    if (this.time >= this.duration) {
      this.rest += passed;
      if (this.rest > REST) { this.rest = 0; this.time = 0; }
    } else this.time = Math.min(this.duration, this.time + this.speed * passed);
    this.draw();
    requestAnimationFrame(next => this.tick(next));
  }

  // Panels of one group share a scale, so that they can be compared.
  refit() {
    const groups = Map.groupBy ? Map.groupBy(this.panels, (p, i) => p.group || i) : new Map(this.panels.map((p, i) => [i, [p]]));
    for (const members of groups.values()) {
      for (const p of members) p.base = fit(p.clip.extent(this.follow), p.canvas.clientWidth / p.canvas.clientHeight);
      const distance = Math.max(...members.map(p => p.base.distance));
      for (const p of members) p.base.distance = distance;
    }
    if (!this.fixed) return;
    const all = this.panels.flatMap(p => p.clip.extent(false)), { canvas } = this.panels[0];
    const base = fit(all, canvas.clientWidth / canvas.clientHeight);
    for (const p of this.panels) p.base = { ...base };
  }

  resize() {
    const density = Math.min(devicePixelRatio || 1, 2);
    for (const { canvas, ctx } of this.panels) {
      const [width, height] = [canvas.clientWidth, canvas.clientHeight].map(v => Math.round(v * density));
      if (canvas.width !== width || canvas.height !== height) { canvas.width = width; canvas.height = height; }
      ctx.setTransform(density, 0, 0, density, 0, 0);
    }
    if (!this.panels.every(p => p.canvas.clientHeight)) return;
    this.refit();
    this.draw();
  }

  frame(panel) {
    const { clip } = panel;
    if (this.hold) return Math.min(this.time, clip.duration) * clip.fps;
    const round = clip.duration + 1 / clip.fps;
    return Math.min((this.time % round) * clip.fps, clip.frames - 1);
  }

  view(panel) {
    const { base, clip, canvas } = panel;
    const [x, z] = this.follow ? clip.smoothRoot(this.frame(panel)) : [0, 0];
    const camera = { ...this.camera, target: [base.target[0] + x, base.target[1], base.target[2] + z], distance: base.distance / this.camera.zoom };
    return look(camera, canvas.clientWidth, canvas.clientHeight);
  }

  draw() {
    for (const panel of this.panels) {
      if (!panel.visible || !panel.base) continue;
      const frame = this.frame(panel), view = this.view(panel), reach = panel.base.distance;
      const centre = [0, 2].map(i => view.eye[i] + view.forward[i] * panel.base.distance / this.camera.zoom);
      drawScene(panel.ctx, view, panel.clip, frame, this.colours, centre, clamp(reach * 0.75, 3, 14));
      panel.canvas.dataset.frame = frame.toFixed(2);
      panel.readout.textContent = `${Math.round(frame)} / ${panel.clip.frames - 1}`;
    }
    this.controls.scrub.value = this.time;
    this.controls.scrub.style.setProperty("--mv-done", `${100 * this.time / this.duration}%`);
    this.controls.scrub.setAttribute("aria-valuetext", `${this.time.toFixed(2)} seconds`);
    this.controls.time.textContent = `${this.time.toFixed(2)} / ${this.duration.toFixed(2)} s`;
  }

  // Where a joint is drawn, in pixels of the canvas.
  locate(index, joint) {
    const panel = this.panels[index], pose = panel.clip.at(this.frame(panel)), density = panel.canvas.width / panel.canvas.clientWidth;
    const p = project(this.view(panel), pose[3 * joint], pose[3 * joint + 1], pose[3 * joint + 2]);
    return [p.x * density, p.y * density];
  }
}

for (const element of document.querySelectorAll(".mv")) element.viewer = new Viewer(element);
