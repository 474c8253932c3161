// One skeleton on a floor, drawn on a 2-d canvas. Metres, Y up; a body that faces +Z has its left at +X.
// camera.py and drawing.py hold the same projection, fit and proportions.
"use strict";

const FIELD = 30 * Math.PI / 180;           // vertical field of view
const HOME = { azimuth: 0.62, elevation: 0.27, zoom: 1 };
const clamp = (x, low, high) => Math.min(high, Math.max(low, x));

// Base64 of zigzag varints: the first frame in millimetres, then differences between frames.
function decodeJoints(text, joints) {
  const bytes = Uint8Array.from(atob(text), c => c.charCodeAt(0));
  const width = joints * 3, values = [];
  for (let i = 0; i < bytes.length;) {
    let code = 0, unit = 1, byte;
    do { byte = bytes[i++]; code += (byte & 127) * unit; unit *= 128; } while (byte & 128);
    const delta = code % 2 ? -(code + 1) / 2 : code / 2;
    values.push(delta + (values.length < width ? 0 : values[values.length - width]));
  }
  return Float32Array.from(values, v => v / 1000);            // (T * J * 3)
}

// Camera on a sphere around target -> axes, eye and focal length in pixels.
function look(camera, width, height) {
  const ca = Math.cos(camera.azimuth), sa = Math.sin(camera.azimuth);
  const ce = Math.cos(camera.elevation), se = Math.sin(camera.elevation);
  const forward = [-ce * sa, -se, -ce * ca];
  return {
    width, height, forward, right: [ca, 0, -sa], up: [-sa * se, ce, -ca * se],
    eye: camera.target.map((c, i) => c - camera.distance * forward[i]),
    focal: height / 2 / Math.tan(FIELD / 2),
  };
}

// -> pixel x, pixel y, depth in metres, pixels per metre at that depth
function project(view, x, y, z) {
  const { right: r, up: u, forward: f, eye } = view;
  const a = x - eye[0], b = y - eye[1], c = z - eye[2];
  const depth = a * f[0] + b * f[1] + c * f[2], scale = view.focal / Math.max(depth, 0.05);
  return {
    x: view.width / 2 + scale * (a * r[0] + b * r[1] + c * r[2]),
    y: view.height / 2 - scale * (a * u[0] + b * u[1] + c * u[2]), depth, scale,
  };
}

// Smallest camera distance, and the target, that keep all points in the picture from the home angles.
function fit(points, aspect) {
  const low = [Infinity, Infinity, Infinity], high = [-Infinity, -Infinity, -Infinity];
  for (let i = 0; i < points.length; i++) {
    low[i % 3] = Math.min(low[i % 3], points[i]);
    high[i % 3] = Math.max(high[i % 3], points[i]);
  }
  const camera = { ...HOME, target: low.map((l, i) => (l + high[i]) / 2), distance: 4 + Math.hypot(...high.map((h, i) => h - low[i])) };
  const half = Math.tan(FIELD / 2) * 0.86;
  for (let round = 0; round < 10; round++) {
    const view = look(camera, 2 * aspect, 2);
    let left = Infinity, rightmost = -Infinity, top = Infinity, bottom = -Infinity;
    for (let i = 0; i < points.length; i += 3) {
      const p = project(view, points[i], points[i + 1], points[i + 2]);
      left = Math.min(left, p.x); rightmost = Math.max(rightmost, p.x);
      top = Math.min(top, p.y); bottom = Math.max(bottom, p.y);
    }
    const metre = camera.distance / view.focal;
    const across = ((left + rightmost) / 2 - aspect) * metre, upward = (1 - (top + bottom) / 2) * metre;
    camera.target = camera.target.map((c, i) => c + across * view.right[i] + upward * view.up[i]);
    const ratio = Math.max((rightmost - left) / 2 / aspect, (bottom - top) / 2) / view.focal / half;
    camera.distance = Math.max(3.4, camera.distance * clamp(ratio, 0.5, 2));
  }
  return camera;
}

class Clip {
  constructor(data, figure) {
    this.figure = figure;
    this.fps = data.fps;
    this.joints = decodeJoints(data.joints, figure.sides.length);
    this.stride = figure.sides.length * 3;
    this.frames = this.joints.length / this.stride;
    this.duration = (this.frames - 1) / this.fps;
    this.pose = new Float32Array(this.stride);
  }

  // Joints at a frame; between frames linearly interpolated.
  at(frame) {
    const i = clamp(Math.floor(frame), 0, this.frames - 1), j = Math.min(i + 1, this.frames - 1), w = clamp(frame - i, 0, 1);
    for (let k = 0; k < this.stride; k++) {
      this.pose[k] = (1 - w) * this.joints[i * this.stride + k] + w * this.joints[j * this.stride + k];
    }
    return this.pose;
  }

  root(i) {
    const k = clamp(i, 0, this.frames - 1) * this.stride;
    return [this.joints[k], this.joints[k + 2]];
  }

  // Root on the floor, averaged over half a second, so that a following camera does not sway with each step.
  smoothRoot(frame) {
    const reach = this.fps / 4;
    let x = 0, z = 0, total = 0;
    for (let i = Math.ceil(frame - reach); i <= frame + reach; i++) {
      const weight = 1 + Math.cos(Math.PI * (i - frame) / reach), [rx, rz] = this.root(i);
      x += weight * rx; z += weight * rz; total += weight;
    }
    return total ? [x / total, z / total] : this.root(Math.round(frame));
  }

  // What must be in the picture, in place or around the root: poses, room for the head, the shadow.
  extent(follow) {
    const points = [], every = Math.ceil(this.frames / 48), { head } = this.figure;
    for (let i = 0; i < this.frames; i += every) {
      const [x, z] = follow ? this.smoothRoot(i) : [0, 0];
      for (let j = 0; j < this.stride / 3; j++) {
        const k = i * this.stride + 3 * j;
        points.push(this.joints[k] - x, this.joints[k + 1] + (j === head ? 0.2 : 0), this.joints[k + 2] - z);
        points.push(this.joints[k] - x, 0, this.joints[k + 2] - z);
      }
    }
    return points;
  }
}

const rgb = text => [1, 3, 5].map(i => parseInt(text.slice(i, i + 2), 16));
const mix = (a, b, w) => a.map((v, i) => v + w * (b[i] - v));
const css = (c, alpha = 1) => `rgba(${c.map(Math.round).join(",")},${alpha})`;

// Two circles and their outer tangents.
function capsule(ctx, a, b, ra, rb) {
  const length = Math.hypot(b.x - a.x, b.y - a.y);
  ctx.beginPath();
  if (length <= Math.abs(ra - rb) + 1e-3) {
    const [p, r] = ra > rb ? [a, ra] : [b, rb];
    ctx.arc(p.x, p.y, r, 0, 2 * Math.PI);
    return;
  }
  const along = Math.atan2(b.y - a.y, b.x - a.x), open = Math.acos((ra - rb) / length);
  ctx.arc(a.x, a.y, ra, along + open, along - open + 2 * Math.PI);
  ctx.arc(b.x, b.y, rb, along - open, along + open);
  ctx.closePath();
}

// Lit from the upper left: a gradient across the shape.
function shade(ctx, a, b, radius, colour) {
  const length = Math.hypot(b.x - a.x, b.y - a.y) || 1;
  let nx = -(b.y - a.y) / length, ny = (b.x - a.x) / length;
  if (nx * 0.5 + ny > 0) { nx = -nx; ny = -ny; }
  const x = (a.x + b.x) / 2, y = (a.y + b.y) / 2;
  const paint = ctx.createLinearGradient(x + nx * radius, y + ny * radius, x - nx * radius, y - ny * radius);
  paint.addColorStop(0, css(mix(colour, [255, 255, 255], 0.26)));
  paint.addColorStop(0.45, css(colour));
  paint.addColorStop(1, css(mix(colour, [0, 0, 0], 0.2)));
  return paint;
}

// A grid of metres that fades with the distance; lines of about one shade are stroked together.
function drawFloor(ctx, view, centre, radius, colours) {
  const first = Math.ceil(-radius), shades = Array.from({ length: 10 }, () => new Path2D());
  const [x, z] = centre.map(Math.round);
  for (let line = first; line <= radius; line += 1) {
    for (let step = first; step < radius; step += 1) {
      const fade = 1 - Math.hypot(line, step + 0.5) / radius;
      if (fade <= 0) continue;
      for (const [a, b] of [
        [project(view, x + line, 0, z + step), project(view, x + line, 0, z + step + 1)],
        [project(view, x + step, 0, z + line), project(view, x + step + 1, 0, z + line)],
      ]) {
        if (a.depth < 0.3 || b.depth < 0.3) continue;
        const path = shades[Math.min(9, Math.floor(16 * fade))];
        path.moveTo(a.x, a.y); path.lineTo(b.x, b.y);
      }
    }
  }
  ctx.lineWidth = 1;
  shades.forEach((path, i) => { ctx.strokeStyle = css(colours.grid, (i + 1) / 10); ctx.stroke(path); });
}

// The whole path faintly; the part already walked, with a dot at every second.
function drawPath(ctx, view, clip, frame, colours) {
  const floor = i => project(view, clip.root(i)[0], 0, clip.root(i)[1]);
  const trace = (from, to) => {
    ctx.beginPath();
    for (let i = from; i <= to; i++) { const p = floor(i); ctx.lineTo(p.x, p.y); }
    const now = project(view, clip.pose[0], 0, clip.pose[2]);
    if (to < clip.frames - 1) ctx.lineTo(now.x, now.y);
    ctx.stroke();
  };
  ctx.lineJoin = ctx.lineCap = "round";
  ctx.lineWidth = 1.5; ctx.strokeStyle = css(colours.trail, 0.22);
  trace(0, clip.frames - 1);
  ctx.lineWidth = 2.5; ctx.strokeStyle = css(colours.trail, 0.9);
  trace(0, Math.floor(frame));
  for (let second = 0; second * clip.fps <= frame; second++) {
    const p = floor(Math.round(second * clip.fps));
    ctx.fillStyle = css(colours.trail);
    ctx.beginPath(); ctx.arc(p.x, p.y, 3, 0, 2 * Math.PI); ctx.fill();
  }
}

// Arrow head on the floor in front of the body; it points along (left minus right) x up.
function drawHeading(ctx, view, pose, facing, colours) {
  const [rh, lh, rs, ls] = facing.map(j => 3 * j);
  let x = pose[rh + 2] - pose[lh + 2] + pose[rs + 2] - pose[ls + 2];
  let z = pose[lh] - pose[rh] + pose[ls] - pose[rs];
  const size = Math.hypot(x, z);
  if (size < 1e-4) return;
  x /= size; z /= size;
  const spot = (ahead, side) => project(view, pose[0] + ahead * x + side * z, 0, pose[2] + ahead * z - side * x);
  const corners = [spot(0.62, 0), spot(0.44, 0.11), spot(0.49, 0), spot(0.44, -0.11)];
  if (corners.some(p => p.depth < 0.3)) return;
  ctx.fillStyle = css(colours.trail, 0.75);
  ctx.beginPath(); corners.forEach(p => ctx.lineTo(p.x, p.y)); ctx.fill();
}

// Straight from above, so that a foot on the floor meets its shadow.
function drawShadow(ctx, view, pose, figure, colours) {
  const spots = figure.sides.map((_, j) => project(view, pose[3 * j], 0, pose[3 * j + 2]));
  const metre = spots[0].scale;
  ctx.lineJoin = ctx.lineCap = "round";
  for (let width = 0.03; width < 0.2; width += 0.02) {
    ctx.strokeStyle = css(colours.shadow, colours.dark ? 0.1 : 0.026);
    ctx.lineWidth = width * metre;
    ctx.beginPath();
    for (const [child, parent] of figure.bones) {
      ctx.moveTo(spots[parent].x, spots[parent].y); ctx.lineTo(spots[child].x, spots[child].y);
    }
    ctx.stroke();
  }
  for (const j of figure.feet) {
    const near = clamp(1 - pose[3 * j + 1] / 0.16, 0, 1);
    if (!near) continue;
    ctx.fillStyle = css(colours.shadow, (colours.dark ? 0.5 : 0.2) * near);
    ctx.beginPath();
    ctx.ellipse(spots[j].x, spots[j].y, 0.085 * metre, 0.085 * metre * Math.max(0.12, -view.forward[1]), 0, 0, 2 * Math.PI);
    ctx.fill();
  }
}

function drawBody(ctx, view, pose, figure, colours) {
  const { radii, sides, head, neck } = figure;
  const spots = sides.map((_, j) => project(view, pose[3 * j], pose[3 * j + 1], pose[3 * j + 2]));
  const fog = (side, depth) => mix(colours[side], colours.panel, clamp(0.16 + 0.3 * (depth - spots[0].depth), 0, 0.42));
  const shapes = figure.bones.map(([child, parent]) => {
    const a = spots[parent], b = spots[child], depth = (a.depth + b.depth) / 2;
    return { a, b, ra: radii[parent] * a.scale, rb: radii[child] * b.scale, depth, colour: fog(sides[child], depth) };
  });
  if (head !== null) {
    const k = 3 * head, n = 3 * neck, length = Math.hypot(pose[k] - pose[n], pose[k + 1] - pose[n + 1], pose[k + 2] - pose[n + 2]) || 1;
    const [x, y, z] = [0, 1, 2].map(i => pose[k + i] + 0.07 * (pose[k + i] - pose[n + i]) / length);
    const a = project(view, x, y, z);
    shapes.push({ a, b: a, ra: 0.112 * a.scale, rb: 0, depth: a.depth - 0.05, colour: fog("centre", a.depth), round: true });
  }
  shapes.sort((s, t) => t.depth - s.depth);
  for (const { a, b, ra, rb, colour, round } of shapes) {
    capsule(ctx, a, b, ra, rb);
    if (round) {
      ctx.lineWidth = 3; ctx.strokeStyle = css(colours.panel); ctx.stroke();
      const paint = ctx.createRadialGradient(a.x - ra * 0.35, a.y - ra * 0.45, ra * 0.1, a.x, a.y, ra);
      paint.addColorStop(0, css(mix(colour, [255, 255, 255], 0.3)));
      paint.addColorStop(1, css(mix(colour, [0, 0, 0], 0.12)));
      ctx.fillStyle = paint;
    } else {
      // A rim along the sides only: limbs stay apart where they cross, and joints have no seam.
      const length = Math.hypot(b.x - a.x, b.y - a.y) || 1, nx = -(b.y - a.y) / length, ny = (b.x - a.x) / length;
      ctx.lineWidth = 3; ctx.lineCap = "butt"; ctx.strokeStyle = css(colours.panel);
      ctx.beginPath();
      for (const s of [1, -1]) {
        ctx.moveTo(a.x + s * nx * ra, a.y + s * ny * ra); ctx.lineTo(b.x + s * nx * rb, b.y + s * ny * rb);
      }
      ctx.stroke();
      capsule(ctx, a, b, ra, rb);
      ctx.fillStyle = shade(ctx, a, b, Math.max(ra, rb), colour);
    }
    ctx.fill();
  }
}

function drawScene(ctx, view, clip, frame, colours, floorCentre, floorRadius) {
  const pose = clip.at(frame);
  ctx.clearRect(0, 0, view.width, view.height);
  drawFloor(ctx, view, floorCentre, floorRadius, colours);
  drawPath(ctx, view, clip, frame, colours);
  if (clip.figure.facing) drawHeading(ctx, view, pose, clip.figure.facing, colours);
  drawShadow(ctx, view, pose, clip.figure, colours);
  drawBody(ctx, view, pose, clip.figure, colours);
}
