// Where the time of each chunk went: a bar a chunk, and numbers.

import { colour, drawText, prepare, redrawing } from "./canvas.js";
import { byId } from "./element.js";

const BARS = 60;
const KEPT = 600; // chunks that the numbers are of
const LEFT = 40; // pixels, of the scale's numbers
const PARTS = ["queue", "compute", "network"];
const STEPS = [10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000]; // milliseconds, tops of the scale

export class LatencyChart {
  #canvas = byId("latency");
  #chunks = []; // {queue, compute, total or null, network}
  #redraw = redrawing(this.#canvas, () => this.#draw());

  clear() {
    this.#chunks = [];
    this.#show();
  }

  /** @param {{queue_ms: number, compute_ms: number}} timing  @param {?number} trip ms from sending to the words */
  add({ queue_ms: queue, compute_ms: compute }, trip) {
    const network = trip === null ? 0 : Math.max(0, trip - queue - compute);
    this.#chunks.push({ queue, compute, network, total: trip });
    if (this.#chunks.length > KEPT) this.#chunks.shift();
    this.#show();
  }

  #show() {
    for (const name of ["queue", "compute", "total"]) {
      const values = this.#chunks.map((chunk) => chunk[name]).filter((value) => value !== null);
      const sorted = [...values].sort((a, b) => a - b);
      byId(`${name}-latest`).textContent = number(values.at(-1));
      byId(`${name}-p50`).textContent = number(quantile(sorted, 0.5));
      byId(`${name}-p95`).textContent = number(quantile(sorted, 0.95));
    }
    this.#redraw();
  }

  #draw() {
    const { context, width, height } = prepare(this.#canvas);
    this.#canvas.setAttribute("aria-label", this.#inWords());
    const ink = colour(this.#canvas, "color");
    if (!this.#chunks.length) {
      drawText(context, "A bar for every chunk that brings words", width, height, ink);
      return;
    }
    const shown = this.#chunks.slice(-BARS);
    const most = Math.max(...shown.map((chunk) => PARTS.reduce((sum, part) => sum + chunk[part], 0)));
    const top = STEPS.find((step) => step >= most) ?? most;
    const floor = height - 6;
    const scale = (floor - 12) / top;
    drawScale(context, [0, top / 2, top], (value) => floor - value * scale, width, ink);
    drawBars(context, shown, floor, scale, width);
  }

  #inWords() {
    if (!this.#chunks.length) return "No chunk yet";
    const { queue, compute, total } = this.#chunks.at(-1);
    const trip = total === null ? "" : `, round trip ${number(total)}`;
    return `Latest chunk: queue ${number(queue)}, compute ${number(compute)}${trip} milliseconds`;
  }
}

function drawScale(context, values, y, width, ink) {
  context.font = "11px system-ui, sans-serif";
  context.textAlign = "right";
  context.textBaseline = "middle";
  context.fillStyle = ink;
  for (const value of values) {
    context.globalAlpha = 0.15;
    context.fillRect(LEFT, Math.round(y(value)), width - LEFT, 1);
    context.globalAlpha = 1;
    context.fillText(String(value), LEFT - 6, y(value));
  }
}

/** The newest chunk at the right. */
function drawBars(context, chunks, floor, scale, width) {
  const step = (width - LEFT) / BARS;
  const colours = Object.fromEntries(PARTS.map((part) => [part, colour(byId(`colour-${part}`))]));
  chunks.forEach((chunk, i) => {
    const x = width - (chunks.length - i) * step;
    let y = floor;
    for (const part of PARTS) {
      const high = chunk[part] * scale;
      context.fillStyle = colours[part];
      context.fillRect(x + 0.5, y - high, Math.max(1, step - 1.5), high);
      y -= high;
    }
  });
}

function quantile(sorted, share) {
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))];
}

function number(value) {
  if (value === undefined) return "–";
  return value < 10 ? value.toFixed(1) : value.toFixed(0);
}
