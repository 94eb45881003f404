// The last hour as two curves and an area, drawn as SVG; a gap stays a gap.

import { clock, count, make, say, short } from "./words.js";

const SPACE = "http://www.w3.org/2000/svg";
const RATES = { top: 10, height: 130 };
const BACKLOG = { top: 168, height: 70 };
const HEIGHT = 262;
const LEFT = 46;
const RIGHT = 8;
const BUCKET_PX = 3;
// Minutes shown, and from one time to the next: as many as there are figures for.
const SPANS = [[10, 1, 2], [20, 2, 5], [30, 5, 10], [60, 10, 20]];
const TABLE_ROWS = 12;
// A step is told when it is over, which takes a moment.
const LATE_STEPS = 3;

export class Chart {
  constructor(svg, title, readout, table) {
    this.svg = svg;
    this.title = title;
    this.readout = readout;
    this.table = table;
    this.points = new Map();
    svg.addEventListener("pointermove", (event) => this.point(event));
    svg.addEventListener("pointerleave", () => this.leave());
    new ResizeObserver(() => this.draw()).observe(svg);
  }

  begin(history) {
    this.points.clear();
    this.add(history);
  }

  add(history) {
    const { points, now, nowMs, step_s: stepS, steps } = history;
    Object.assign(this, { now: now.step, nowMs, stepS, steps });
    for (const [step, received, delivered, backlog] of points) {
      this.points.set(step, { received: received / stepS, delivered: delivered / stepS, backlog });
    }
    for (const step of this.points.keys()) if (step <= this.now - steps) this.points.delete(step);
    this.span();
    this.draw();
  }

  // A line that was started just now needs no hour for its curve.
  span() {
    const known = ((this.now - Math.min(this.now, ...this.points.keys())) * this.stepS) / 60;
    const [minutes, every, seldom] = SPANS.find(([one]) => known <= one) ?? SPANS.at(-1);
    this.ticks = [every * 60000, seldom * 60000];
    this.shown = Math.round((minutes * 60) / this.stepS);
    say(this.title, minutes === 60 ? "The last hour" : `The last ${minutes} minutes`);
  }

  timeOf(step) {
    return this.nowMs - (this.now - step) * this.stepS * 1000;
  }

  // Steps `size` at a time: the mean of the rates and the largest backlog; null where nothing is.
  // They begin at multiples of the size, so that a curve moves and does not change its form.
  buckets(size) {
    const first = Math.floor((this.now - this.shown) / size) + 1;
    const latest = Math.max(...this.points.keys());
    const last = this.now - latest > LATE_STEPS ? this.now - 1 : latest;
    const found = [];
    for (let place = first; place <= Math.floor(last / size); place++) {
      const held = [];
      for (let step = place * size; step < (place + 1) * size; step++) {
        if (this.points.has(step)) held.push(this.points.get(step));
      }
      const mean = (name) => held.reduce((sum, one) => sum + one[name], 0) / held.length;
      const backlog = Math.max(...held.map((one) => one.backlog));
      const values = { received: mean("received"), delivered: mean("delivered"), backlog };
      found.push({ step: place * size, size, values: held.length ? values : null });
    }
    return found;
  }

  draw() {
    const width = this.svg.clientWidth;
    if (!width || !this.stepS) return;
    this.width = width;
    this.svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    const size = Math.max(1, Math.ceil((this.shown * BUCKET_PX) / (width - LEFT - RIGHT)));
    this.drawn = this.buckets(size);
    const known = this.drawn.filter((one) => one.values).map((one) => one.values);
    const top = (...names) => nice(Math.max(0, ...known.flatMap((one) => names.map((name) => one[name]))));
    const rate = top("received", "delivered");
    const backlog = top("backlog");
    this.cursor = shape("line", { class: "cursor", y1: RATES.top, y2: BACKLOG.top + BACKLOG.height });
    this.svg.replaceChildren(
      ...this.gaps(), ...this.grid(RATES, rate, 2), ...this.grid(BACKLOG, backlog, 1), ...this.hours(),
      ...this.curves("backlog area", BACKLOG, backlog), ...this.curves("backlog", BACKLOG, backlog),
      ...this.curves("received", RATES, rate), ...this.curves("delivered", RATES, rate), this.cursor,
    );
    this.leave();
    this.describe(known, rate);
  }

  x(step) {
    const from = this.now - this.shown;
    return LEFT + ((step - from) / this.shown) * (this.width - LEFT - RIGHT);
  }

  gaps() {
    const shapes = [];
    let begin = null;
    const end = this.drawn.length ? this.drawn.at(-1).step + this.drawn.at(-1).size : this.now;
    for (const one of [...this.drawn, { step: end, values: {} }]) {
      if (!one.values) begin ??= Math.max(one.step, this.now - this.shown);
      else if (begin !== null) {
        const x = this.x(begin);
        const place = { x, y: RATES.top, width: this.x(one.step) - x, height: BACKLOG.top + BACKLOG.height - RATES.top };
        shapes.push(shape("rect", { class: "gap", ...place }));
        begin = null;
      }
    }
    return shapes;
  }

  grid({ top, height }, most, parts) {
    const shapes = [];
    for (let part = 0; part <= parts; part++) {
      const y = top + height - (height * part) / parts;
      shapes.push(shape("line", { class: "grid", x1: LEFT, x2: this.width - RIGHT, y1: y, y2: y }));
      shapes.push(label(LEFT - 6, y + 4, short((most * part) / parts), "end"));
    }
    return shapes;
  }

  // A line at each round time of the clock, fewer where there is little room.
  hours() {
    const every = this.ticks[this.width < 600 ? 1 : 0];
    const shapes = [];
    const first = this.timeOf(this.now - this.shown);
    for (let at = Math.ceil(first / every) * every; at <= this.nowMs; at += every) {
      const x = this.x(this.now - (this.nowMs - at) / 1000 / this.stepS);
      if (x > this.width - 24 || x < LEFT + 16) continue;
      shapes.push(shape("line", { class: "grid", x1: x, x2: x, y1: RATES.top, y2: BACKLOG.top + BACKLOG.height }));
      shapes.push(label(x, HEIGHT - 6, clock(at, false), "middle"));
    }
    return shapes;
  }

  // One path for each run of buckets without a gap; an area is closed along the floor.
  curves(look, { top, height }, most) {
    const [name, isArea] = look.split(" ");
    const floor = top + height;
    const runs = [[]];
    for (const { step, size, values } of this.drawn) {
      if (!values) runs.push([]);
      else runs.at(-1).push([this.x(step + size / 2), floor - (height * values[name]) / most]);
    }
    return runs.filter((run) => run.length).map((run) => {
      if (run.length === 1) run = [[run[0][0] - 1, run[0][1]], [run[0][0] + 1, run[0][1]]];
      const line = run.map(([x, y]) => `${x.toFixed(1)} ${y.toFixed(1)}`).join("L");
      const area = isArea ? `L${run.at(-1)[0].toFixed(1)} ${floor}L${run[0][0].toFixed(1)} ${floor}Z` : "";
      return shape("path", { class: look, d: `M${line}${area}` });
    });
  }

  point(event) {
    const step = this.now - this.shown
      + ((event.offsetX - LEFT) / (this.width - LEFT - RIGHT)) * this.shown;
    const one = this.drawn?.find((bucket) => step >= bucket.step && step < bucket.step + bucket.size);
    if (!one) return this.leave();
    const x = this.x(one.step + one.size / 2);
    this.cursor.setAttribute("x1", x);
    this.cursor.setAttribute("x2", x);
    this.cursor.removeAttribute("visibility");
    say(this.readout, `${clock(this.timeOf(one.step))}: ${told(one.values)}`);
  }

  leave() {
    this.cursor?.setAttribute("visibility", "hidden");
    const last = this.drawn?.findLast((one) => one.values);
    say(this.readout, last ? `now: ${told(last.values)}` : "");
  }

  // What the curves show, for those who don't see them.
  describe(known, most) {
    const latest = known.at(-1);
    const peak = Math.max(0, ...known.map((one) => one.backlog));
    this.svg.setAttribute("aria-label", latest
      ? `${this.title.textContent}. Now ${told(latest)}. At most ${short(most)} records a second, and a backlog of ${count(peak)}.`
      : "No figures yet.");
    const rows = this.buckets(Math.ceil(this.shown / TABLE_ROWS)).filter((one) => one.values).reverse();
    this.table.replaceChildren(...rows.map(({ step, values }) => {
      const row = make("tr");
      const from = make("th", "", clock(this.timeOf(step), false));
      from.scope = "row";
      const figures = [short(values.received), short(values.delivered), count(values.backlog)];
      row.append(from, ...figures.map((one) => make("td", "number", one)));
      return row;
    }));
  }
}

function told(values) {
  if (!values) return "no figures";
  const { received, delivered, backlog } = values;
  return `${short(received)} received/s, ${short(delivered)} delivered/s, backlog ${count(backlog)}`;
}

// The next of 1, 2, 5, 10, …: an axis keeps its labels while the curve grows.
function nice(value) {
  const power = 10 ** Math.floor(Math.log10(Math.max(value, 1)));
  return power * [1, 2, 5, 10].find((one) => value <= one * power);
}

function shape(tag, attributes) {
  const element = document.createElementNS(SPACE, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

function label(x, y, text, anchor) {
  return say(shape("text", { x, y, "text-anchor": anchor }), text);
}
