// Draws the page of a run. All charts share one stretch of steps, `view`.
(() => {
"use strict";

const PHASES = { train: "#0072B2", val: "#D55E00", test: "#009E73", predict: "#CC79A7" };
const LINES = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#444444"];
const VIRIDIS = [
  [68, 1, 84], [72, 40, 120], [62, 74, 137], [49, 104, 142], [38, 130, 142],
  [31, 158, 137], [53, 183, 121], [109, 205, 89], [180, 222, 44], [253, 231, 37],
];
const INK = "#444444", FAINT = "#dddddd", BROKEN = "#cc0000";
const BROKEN_RGB = [204, 0, 0], UNKNOWN_RGB = [150, 150, 150];
const OF_LAYERS = /^(gradient_norm|weight_norm|activation|health)(\/|$)/;
const MAX_LINES = 6;  // curves in one pane; more are a map
const ARRAYS = {
  f4: Float32Array, f8: Float64Array, i4: Int32Array, u1: Uint8Array, u2: Uint16Array, u4: Uint32Array,
};

const byId = (id) => document.getElementById(id);
const charts = [];
let whole = [0, 1], view = [0, 1], isLogarithmic = false, isPending = false;

// Numbers ---------------------------------------------------------------------------------------

function unpack(packed) {
  if ("count" in packed) {
    return Float64Array.from({ length: packed.count }, (_, i) => packed.start + i * packed.stride);
  }
  const text = atob(packed.base64), bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return new ARRAYS[packed.dtype](bytes.buffer);
}

/** Give the first index whose step is not before `step`. */
function search(steps, step) {
  let low = 0, high = steps.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (steps[middle] < step) low = middle + 1; else high = middle;
  }
  return low;
}

/** Give the index whose step is nearest; there must be one. */
function nearest(steps, step) {
  const after = search(steps, step);
  if (after === 0) return 0;
  if (after === steps.length) return after - 1;
  return steps[after] - step < step - steps[after - 1] ? after : after - 1;
}

/** Give steps in ascending order, with what belongs to them. */
function ascending(steps, values) {
  for (let i = 1; i < steps.length; i++) {
    if (steps[i] < steps[i - 1]) {
      const order = Array.from(steps.keys()).sort((a, b) => steps[a] - steps[b]);
      return [Float64Array.from(order, (i) => steps[i]), Float64Array.from(order, (i) => values[i])];
    }
  }
  return [steps, values];
}

function round(value) {
  if (!Number.isFinite(value)) return String(value).replace("Infinity", "inf").replace("NaN", "nan");
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e6)) return value.toExponential(3).replace("e+", "e");
  return String(Number(value.toPrecision(5)));
}

function ticks(low, high, count, least = 0) {
  const raw = (high - low) / Math.max(1, count), power = 10 ** Math.floor(Math.log10(raw));
  const even = [1, 2, 5, 10].map((factor) => factor * power).find((one) => one >= raw) || raw;
  const stride = Math.max(least, even);
  const found = [];
  for (let i = Math.ceil(low / stride - 1e-9); i * stride <= high + stride * 1e-9; i++) found.push(i * stride);
  return found;
}

/** Give the range that all but the outermost hundredths of finite values lie in. */
function spread(values) {
  const finite = Float64Array.from(values).filter(Number.isFinite).sort();
  if (!finite.length) return [0, 1];
  const at = (fraction) => finite[Math.round(fraction * (finite.length - 1))];
  return [at(0.02), at(0.98)];
}

function colour(value, low, high) {
  const place = high > low ? Math.min(1, Math.max(0, (value - low) / (high - low))) : 0;
  const exact = place * (VIRIDIS.length - 1), index = Math.min(VIRIDIS.length - 2, Math.floor(exact));
  return VIRIDIS[index].map((part, i) => part + (exact - index) * (VIRIDIS[index + 1][i] - part));
}

// Charts ----------------------------------------------------------------------------------------

function element(tag, parent, text = "", name = "") {
  const made = document.createElement(tag);
  made.textContent = text;
  if (name) made.className = name;
  parent.append(made);
  return made;
}

/** A canvas with a frame of steps that can be dragged over. */
class Chart {
  constructor(parent, height, left = 62) {
    this.canvas = element("canvas", parent);
    this.context = this.canvas.getContext("2d");
    this.frame = { left, top: 6, right: 10, bottom: 22 };
    this.height = height;
    this.canvas.style.height = `${height}px`;
    this.pointer = null;  // where it is, and where dragging began
    this.listen();
    charts.push(this);
  }

  listen() {
    const canvas = this.canvas;
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      canvas.setPointerCapture(event.pointerId);
      this.pointer = { x: event.offsetX, y: event.offsetY, from: event.offsetX };
    });
    canvas.addEventListener("pointermove", (event) => {
      this.pointer = { ...this.pointer, x: event.offsetX, y: event.offsetY };
      this.draw();
      tell(this.read(event.offsetX, event.offsetY), event);
    });
    canvas.addEventListener("pointerup", (event) => {
      const from = this.pointer && this.pointer.from;
      this.pointer = { x: event.offsetX, y: event.offsetY };
      if (from === undefined || from === null) return;
      if (Math.abs(event.offsetX - from) > 4) zoom(this.step(from), this.step(event.offsetX));
      else this.click(event.offsetX, event.offsetY);
    });
    canvas.addEventListener("pointerleave", () => { this.pointer = null; tell("", null); this.draw(); });
    canvas.addEventListener("pointercancel", () => { this.pointer = null; this.draw(); });
    canvas.addEventListener("dblclick", () => zoom(...whole));
  }

  get plotWidth() { return Math.max(1, this.width - this.frame.left - this.frame.right); }
  get plotHeight() { return this.height - this.frame.top - this.frame.bottom; }
  x(step) { return this.frame.left + (step - view[0]) / (view[1] - view[0]) * this.plotWidth; }
  step(x) { return view[0] + (x - this.frame.left) / this.plotWidth * (view[1] - view[0]); }
  click() {}
  read() { return ""; }

  draw() {
    this.width = this.canvas.clientWidth;
    if (!this.width) return;
    const scale = window.devicePixelRatio || 1, context = this.context;
    const [pixelWidth, pixelHeight] = [Math.round(this.width * scale), Math.round(this.height * scale)];
    if (this.canvas.width !== pixelWidth || this.canvas.height !== pixelHeight) {
      [this.canvas.width, this.canvas.height] = [pixelWidth, pixelHeight];
    }
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.clearRect(0, 0, this.width, this.height);
    context.font = "11px system-ui, sans-serif";
    this.drawMarks();
    this.paint(context);
    this.drawSteps();
    this.drawPointer();
  }

  line(x, style) {
    const { left, top } = this.frame;
    if (x < left - 0.5 || x > left + this.plotWidth + 0.5) return;
    this.context.strokeStyle = style;
    this.context.beginPath();
    this.context.moveTo(x, top);
    this.context.lineTo(x, top + this.plotHeight);
    this.context.stroke();
  }

  drawMarks() {
    this.context.lineWidth = 1;
    for (const step of data.epochs) this.line(this.x(step), FAINT);
    this.context.setLineDash([3, 3]);
    for (const step of data.incidents) this.line(this.x(step), BROKEN);
    this.context.setLineDash([]);
  }

  drawSteps() {
    const context = this.context, bottom = this.frame.top + this.plotHeight;
    context.strokeStyle = "#bbbbbb";
    context.strokeRect(this.frame.left, this.frame.top, this.plotWidth, this.plotHeight);
    context.fillStyle = INK;
    context.textAlign = "center";
    context.textBaseline = "top";
    for (const step of ticks(view[0], view[1], this.plotWidth / 90, 1)) {
      context.fillText(round(step), this.x(step), bottom + 5);
    }
  }

  drawPointer() {
    if (!this.pointer) return;
    const { x, from } = this.pointer, { top } = this.frame;
    this.line(x, "#999999");
    if (from === undefined) return;
    this.context.fillStyle = "#0072b233";
    this.context.fillRect(Math.min(x, from), top, Math.abs(x - from), this.plotHeight);
  }

  /** Write beside the frame; `places` are pairs of a text and its height. */
  drawLabels(places) {
    const context = this.context;
    context.fillStyle = INK;
    context.textAlign = "right";
    context.textBaseline = "middle";
    for (const [text, y] of places) context.fillText(text, this.frame.left - 5, y);
  }
}

function tell(text, event) {
  const tip = byId("tip");
  tip.hidden = !text;
  tip.textContent = text;
  if (!text) return;
  const isFar = event.clientX > window.innerWidth / 2;
  const x = isFar ? event.clientX - tip.offsetWidth - 14 : event.clientX + 14;
  tip.style.left = `${Math.max(0, x)}px`;
  tip.style.top = `${Math.min(event.clientY + 12, window.innerHeight - tip.offsetHeight - 4)}px`;
}

function zoom(from, to) {
  const low = Math.max(whole[0], Math.min(from, to)), high = Math.min(whole[1], Math.max(from, to));
  view = high - low > 1e-6 ? [low, high] : [...whole];
  const isAll = view[0] === whole[0] && view[1] === whole[1];
  byId("view").textContent = isAll ? "" : `steps ${round(Math.ceil(view[0]))} to ${round(Math.floor(view[1]))}`;
  drawAll();
}

function drawAll() {
  if (isPending) return;
  isPending = true;
  requestAnimationFrame(() => { isPending = false; for (const chart of charts) chart.draw(); });
}

// Curves ----------------------------------------------------------------------------------------

/** Curves over steps. */
class Lines extends Chart {
  constructor(parent, title, curves) {
    const pane = element("div", parent, "", "pane"), head = element("div", pane, title, "title");
    for (const curve of curves) {
      if (curve.label) element("span", head, curve.label, "key").style.setProperty("--colour", curve.colour);
    }
    super(pane, 200);
    this.curves = curves;
  }

  /** Give the indices to be drawn: those in view, and one more on either side. */
  part(curve) {
    const first = search(curve.steps, view[0]), end = search(curve.steps, view[1] + 1e-9);
    return [Math.max(0, first - 1), Math.min(curve.steps.length, end + 1)];
  }

  range() {
    let low = Infinity, high = -Infinity;
    for (const { steps, values } of this.curves) {
      const end = search(steps, view[1] + 1e-9);
      for (let i = search(steps, view[0]); i < end; i++) {
        if (!Number.isFinite(values[i]) || (isLogarithmic && values[i] <= 0)) continue;
        if (values[i] < low) low = values[i];
        if (values[i] > high) high = values[i];
      }
    }
    if (low > high) [low, high] = isLogarithmic ? [0.1, 1] : [0, 1];
    if (isLogarithmic) [low, high] = [Math.log10(low), Math.log10(high)];
    const margin = (high - low) * 0.05 || Math.abs(high) * 0.05 || 0.05;
    return [low - margin, high + margin];
  }

  paint(context) {
    const [low, high] = this.range(), { left, top } = this.frame;
    this.y = (value) => {
      const place = isLogarithmic ? Math.log10(value) : value;
      return top + this.plotHeight * (1 - (place - low) / (high - low));
    };
    this.drawLabels(ticks(low, high, 6).map((tick) => {
      const value = isLogarithmic ? 10 ** tick : tick;
      return [round(value), this.y(value)];
    }));
    context.save();
    context.beginPath();
    context.rect(left, top - 3, this.plotWidth, this.plotHeight + 6);
    context.clip();
    for (const curve of this.curves) this.drawCurve(context, curve);
    context.restore();
  }

  drawCurve(context, curve) {
    const [first, end] = this.part(curve);
    context.strokeStyle = context.fillStyle = curve.colour;
    context.lineWidth = 1.3;
    context.beginPath();
    if (end - first > 3 * this.plotWidth) this.traceColumns(context, curve, first, end);
    else this.tracePoints(context, curve, first, end);
    context.stroke();
    if (end - first <= 60) this.drawDots(context, curve, first, end);
    context.fillStyle = BROKEN;
    for (let i = first; i < end; i++) {
      if (!Number.isFinite(curve.values[i])) context.fillRect(this.x(curve.steps[i]) - 1, this.frame.top, 2, 7);
    }
  }

  isShown(value) { return Number.isFinite(value) && !(isLogarithmic && value <= 0); }

  tracePoints(context, { steps, values }, first, end) {
    let isBroken = true;
    for (let i = first; i < end; i++) {
      if (!this.isShown(values[i])) { isBroken = true; continue; }
      context[isBroken ? "moveTo" : "lineTo"](this.x(steps[i]), this.y(values[i]));
      isBroken = false;
    }
  }

  /** Go through the lowest and the highest value of each column of pixels. */
  traceColumns(context, { steps, values }, first, end) {
    let isBroken = true;
    for (let i = first; i < end;) {
      const column = Math.floor(this.x(steps[i]));
      let low = Infinity, high = -Infinity, hasGap = false;
      for (; i < end && Math.floor(this.x(steps[i])) === column; i++) {
        if (!this.isShown(values[i])) { hasGap = true; continue; }
        if (values[i] < low) low = values[i];
        if (values[i] > high) high = values[i];
      }
      if (low > high) { isBroken = true; continue; }
      context[isBroken ? "moveTo" : "lineTo"](column + 0.5, this.y(high));
      context.lineTo(column + 0.5, this.y(low));
      isBroken = hasGap;
    }
  }

  drawDots(context, { steps, values }, first, end) {
    for (let i = first; i < end; i++) {
      if (!this.isShown(values[i])) continue;
      context.beginPath();
      context.arc(this.x(steps[i]), this.y(values[i]), 2.2, 0, 7);
      context.fill();
    }
  }

  read(x) {
    const step = this.step(x), lines = [];
    const known = this.curves.map((curve) => curve.steps[nearest(curve.steps, step)]);
    const best = known.reduce((a, b) => (Math.abs(b - step) < Math.abs(a - step) ? b : a));
    this.curves.forEach((curve, index) => {
      const isElsewhere = known[index] !== best ? ` at ${known[index]}` : "";
      lines.push(`${curve.label || "value"} ${round(curve.values[nearest(curve.steps, step)])}${isElsewhere}`);
    });
    return [`step ${best}`, ...lines].join("\n");
  }
}

// Maps ------------------------------------------------------------------------------------------

/** Fill a frame pixel by pixel. */
function paintPixels(chart, fill) {
  const scale = window.devicePixelRatio || 1, { left, top } = chart.frame;
  const width = Math.max(1, Math.round(chart.plotWidth * scale));
  const height = Math.max(1, Math.round(chart.plotHeight * scale));
  const image = chart.context.createImageData(width, height), pixels = image.data;
  fill(width, height, (x, y, w, h, [red, green, blue], alpha = 255) => {
    const [right, bottom] = [Math.min(width, x + w), Math.min(height, y + h)];
    for (let row = Math.max(0, y); row < bottom; row++) {
      for (let column = Math.max(0, x); column < right; column++) {
        const at = (row * width + column) * 4;
        pixels[at] = red; pixels[at + 1] = green; pixels[at + 2] = blue; pixels[at + 3] = alpha;
      }
    }
  }, scale);
  chart.context.putImageData(image, Math.round(left * scale), Math.round(top * scale));
}

/** A row of colours for each of many curves. */
class ColourMap extends Chart {
  constructor(parent, title, curves) {
    const pane = element("div", parent, "", "pane"), head = element("div", pane, title, "title");
    super(pane, Math.max(120, Math.min(420, 28 + 13 * curves.length)), 150);
    this.curves = curves;
    const all = curves.flatMap(({ values }) => Array.from(values));
    this.isPositive = all.some((one) => one > 0) && all.every((one) => !(one < 0));
    this.place = (value) => (this.isPositive ? Math.log10(value) : value);
    [this.low, this.high] = spread(all.map(this.place));
    const exact = (place) => round(this.isPositive ? 10 ** place : place);
    element("span", head, `dark ${exact(this.low)}, bright ${exact(this.high)}`, "note key");
  }

  paint() {
    const count = this.curves.length;
    paintPixels(this, (width, height, fill) => {
      this.curves.forEach(({ steps, values }, row) => {
        const y = Math.floor(row * height / count), h = Math.floor((row + 1) * height / count) - y;
        for (let x = 0; x < width; x++) {
          const index = search(steps, this.step(this.frame.left + (x + 1) * this.plotWidth / width)) - 1;
          if (index < 0) continue;
          fill(x, y, 1, h, this.colour(values[index]));
        }
      });
    });
    const height = this.plotHeight / count, every = Math.ceil(11 / height);
    this.drawLabels(this.curves.flatMap(({ label }, row) => {
      const text = label.length > 24 ? `…${label.slice(-23)}` : label;
      return row % every ? [] : [[text, this.frame.top + (row + 0.5) * height]];
    }));
  }

  colour(value) {
    if (!Number.isFinite(value)) return BROKEN_RGB;
    return colour(this.place(value), this.low, this.high);  // of zero, the logarithm is the lowest
  }

  read(x, y) {
    const row = Math.floor((y - this.frame.top) / this.plotHeight * this.curves.length);
    const curve = this.curves[row];
    if (!curve) return "";
    const index = Math.max(0, search(curve.steps, this.step(x)) - 1);
    return `${curve.label}\nstep ${curve.steps[index]}\nvalue ${round(curve.values[index])}`;
  }
}

/** Which set was used at which step, coloured by loss. */
class Timeline extends Chart {
  constructor(parent, timeline) {
    super(parent, 140);
    this.all = timeline;
    this.chosen = null;
    this.losses = null;
  }

  show(phase) {
    const { step, set, loss, phase: phases, numbers } = this.all;
    const of = numbers.length;
    this.uses = Array.from({ length: of }, () => []);
    for (let i = 0; i < step.length; i++) if (phases[i] === phase) this.uses[set[i]].push(i);
    for (const uses of this.uses) uses.sort((a, b) => step[a] - step[b]);
    const rows = Array.from(numbers.keys()).filter((row) => this.uses[row].length);
    this.uses = rows.map((row) => this.uses[row]);
    this.numbers = rows.map((row) => numbers[row]);
    this.height = Math.max(140, Math.min(460, 28 + 16 * rows.length));
    this.canvas.style.height = `${this.height}px`;
    const values = this.uses.flat().map((i) => loss[i]);
    this.knowsLoss = values.some((one) => !Number.isNaN(one));
    [this.low, this.high] = spread(values);
    this.choose(null);
    this.drawScale();
  }

  drawScale() {
    const place = byId("scale");
    place.textContent = this.knowsLoss ? `${round(this.low)} ` : "no loss is known";
    if (!this.knowsLoss) return;
    const bar = element("canvas", place), context = bar.getContext("2d");
    [bar.width, bar.height] = [120, 10];
    for (let x = 0; x < 120; x++) {
      context.fillStyle = `rgb(${colour(x, 0, 119).join(",")})`;
      context.fillRect(x, 0, 1, 10);
    }
    place.append(` ${round(this.high)}`);
  }

  paint() {
    const count = this.numbers.length;
    paintPixels(this, (width, height, fill, scale) => {
      const w = Math.min(14 * scale, Math.max(scale, Math.floor(width / (view[1] - view[0]) * 0.8)));
      const h = Math.max(1, Math.floor(height / count) - (height / count > 4 ? 1 : 0));
      for (let row = 0; row < count; row++) if (row !== this.chosen) this.paintRow(fill, row, width, height, w, h);
      if (this.chosen !== null) this.paintRow(fill, this.chosen, width, height, w, Math.max(h, 3));
    });
    const rowHeight = this.plotHeight / count, every = Math.ceil(12 / rowHeight), labels = [];
    for (let row = 0; row < count; row += every) {
      labels.push([String(this.numbers[row]), this.frame.top + (row + 0.5) * rowHeight]);
    }
    this.drawLabels(labels);
  }

  paintRow(fill, row, width, height, w, h) {
    const { step, loss } = this.all, y = Math.floor(row * height / this.numbers.length);
    const alpha = this.chosen === null || this.chosen === row ? 255 : 70;
    for (const i of this.uses[row]) {
      if (step[i] < view[0] || step[i] > view[1]) continue;
      const x = Math.floor((step[i] - view[0]) / (view[1] - view[0]) * width - w / 2);
      fill(x, y, Math.ceil(w), h, this.colour(loss[i]), alpha);
    }
  }

  colour(loss) {
    if (Number.isFinite(loss)) return colour(loss, this.low, this.high);
    return this.knowsLoss ? BROKEN_RGB : UNKNOWN_RGB;
  }

  row(y) {
    const row = Math.floor((y - this.frame.top) / this.plotHeight * this.numbers.length);
    return row >= 0 && row < this.numbers.length ? row : null;
  }

  read(x, y) {
    const row = this.row(y);
    if (row === null) return "";
    const steps = this.uses[row].map((i) => this.all.step[i]);
    const use = this.uses[row][nearest(steps, this.step(x))];
    return `set ${this.numbers[row]}\nstep ${this.all.step[use]}\nloss ${round(this.all.loss[use])}`;
  }

  click(x, y) {
    const row = this.row(y);
    this.choose(row === this.chosen ? null : row);
  }

  choose(row) {
    if (this.losses) charts.splice(charts.indexOf(this.losses), 1);
    [this.chosen, this.losses] = [row, null];
    byId("losses").replaceChildren();
    byId("chosen").textContent = "";
    if (row !== null) this.describe(row);
    drawAll();
  }

  describe(row) {
    const steps = this.uses[row].map((i) => this.all.step[i]);
    const values = this.uses[row].map((i) => this.all.loss[i]), finite = values.filter(Number.isFinite);
    const name = `set ${this.numbers[row]}`, parts = [`${name}: used ${values.length} times`];
    if (finite.length) {
      const mean = finite.reduce((a, b) => a + b, 0) / finite.length;
      parts.push(`loss ${round(finite[0])} at first, ${round(finite[finite.length - 1])} at last, ${round(mean)} on average`);
    }
    byId("chosen").textContent = parts.join("; ");
    this.losses = new Lines(byId("losses"), `loss of ${name}`, [{ label: "", colour: INK, steps, values }]);
  }
}

// The page --------------------------------------------------------------------------------------

function isLoss(name) { return /loss|error/i.test(name); }

/** Sort curves into panes: phases of a metric together, figures of layers together. */
function group(curves) {
  const panes = new Map(), families = new Map();
  const add = (map, key, curve) => map.set(key, [...(map.get(key) || []), curve]);
  for (const curve of curves) {
    const first = curve.name.split("/")[0], last = curve.name.lastIndexOf("/");
    if (first in PHASES && last > 0) {
      add(panes, curve.name.slice(first.length + 1), { ...curve, label: first, colour: PHASES[first] });
    } else {
      add(families, curve.name.slice(0, Math.max(0, last)), { ...curve, label: curve.name.slice(last + 1) });
    }
  }
  const layers = new Map();
  for (const [family, members] of families) {
    members.sort((a, b) => a.label.localeCompare(b.label, undefined, { numeric: true }));
    if (family && (OF_LAYERS.test(family) || members.length > MAX_LINES)) layers.set(family, members);
    else if (!family) for (const one of members) panes.set(one.name, [{ ...one, label: "" }]);
    else panes.set(family, members);
  }
  const rank = ({ label }) => Object.keys(PHASES).indexOf(label);
  for (const members of panes.values()) members.sort((a, b) => rank(a) - rank(b));
  const order = [...panes].sort(([a], [b]) => isLoss(b) - isLoss(a) || a.localeCompare(b));
  return [order, [...layers]];
}

function colourLines(members) {
  return members.map((one, i) => ({ colour: LINES[i % LINES.length], ...one }));
}

function showCurves() {
  const axes = data.axes.map(unpack);
  const curves = data.curves.map(({ name, axis, values }) => {
    const [steps, sorted] = ascending(axes[axis], unpack(values));
    return { name, steps, values: sorted };
  });
  const [panes, layers] = group(curves);
  for (const [title, members] of panes) new Lines(byId("panes"), title, colourLines(members));
  if (!panes.length) element("p", byId("panes"), "Nothing was logged.", "none");
  byId("layers").hidden = !layers.length;
  for (const [title, members] of layers) {
    if (members.length > MAX_LINES) new ColourMap(byId("maps"), title, members);
    else new Lines(byId("maps"), title, colourLines(members));
  }
  return curves.flatMap(({ steps }) => [steps[0], steps[steps.length - 1]]);
}

function showSets() {
  if (!data.timeline) return [];
  const { phases, step, set, loss, phase, numbers } = data.timeline;
  const timeline = { step: unpack(step), set: unpack(set), loss: unpack(loss), phase: unpack(phase), numbers: unpack(numbers) };
  byId("sets").hidden = false;
  const chart = new Timeline(byId("timeline"), timeline), select = byId("phase");
  const known = new Set(timeline.phase);
  phases.forEach((name, index) => {
    if (known.has(index)) element("option", select, name).value = index;
  });
  select.addEventListener("change", () => chart.show(Number(select.value)));
  chart.show(Number(select.value));
  let low = Infinity, high = -Infinity;
  for (const one of timeline.step) { if (one < low) low = one; if (one > high) high = one; }
  return [low, high];
}

const data = JSON.parse(byId("data").textContent);
const ends = [...showCurves(), ...showSets()];
if (ends.length) whole = [Math.min(...ends), Math.max(...ends)];
if (whole[0] === whole[1]) whole = [whole[0] - 0.5, whole[1] + 0.5];
byId("log").addEventListener("change", (event) => { isLogarithmic = event.target.checked; drawAll(); });
window.addEventListener("resize", drawAll);
window.addEventListener("keydown", (event) => { if (event.key === "Escape") zoom(...whole); });
zoom(...whole);
})();
