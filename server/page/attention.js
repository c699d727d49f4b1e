// Where the model looked: wordpieces downwards, time to the right, and below how sure it was that a block was done.

import { colour, drawText, prepare, redrawing } from "./canvas.js";
import { byId } from "./element.js";

const SPAN_MS = 6_000; // shown
const KEPT_MS = 60_000; // for showing the last words after a silence
const ROWS = 20;
const STRIP = 22; // pixels, of the end-of-block bars
const LABELS = 72; // pixels
const ROW = 12; // pixels, the tallest

export class AttentionPicture {
  #canvas = byId("attention");
  #blocks = []; // the messages, oldest first, and where each begins
  #over = false;
  #empty = "Shown while the model listens";
  #redraw = redrawing(this.#canvas, () => this.#draw());

  /** A recording begins. @param {boolean} wanted whether the server was asked for pictures */
  begin(wanted) {
    this.#blocks = [];
    this.#over = false;
    this.#empty = wanted ? "Waiting for the first block" : "Switched off in the settings";
    this.#redraw();
  }

  /** The recording is over. @param {boolean} missed whether there should have been pictures */
  end(missed) {
    this.#over = true;
    this.#empty = missed ? "The server sent none" : "Shown while the model listens";
    this.#redraw();
  }

  /** A block was read, or is told again because other words are now the likeliest: the wire's `attention`. */
  add(block) {
    const last = this.#blocks.at(-1)?.audio_ms ?? 0;
    const place = this.#blocks.findLastIndex(({ audio_ms: ms }) => ms === block.audio_ms);
    if (place >= 0) this.#blocks[place] = { ...block, begin: this.#blocks[place].begin };
    else if (block.audio_ms > last) this.#blocks.push({ ...block, begin: last });
    else return; // after a pause, a little is read again in other blocks
    while (this.#blocks[0].audio_ms < last - KEPT_MS) this.#blocks.shift();
    this.#redraw();
  }

  #draw() {
    const { context, width, height } = prepare(this.#canvas);
    this.#canvas.setAttribute("aria-label", this.#inWords());
    if (!this.#blocks.length) {
      drawText(context, this.#empty, width, height, colour(this.#canvas, "color"));
      return;
    }
    // Live the newest block is at the right; afterwards, the last one that brought words and another.
    const spoken = this.#over ? this.#blocks.findLastIndex(({ labels }) => labels.length) : -1;
    const end = (this.#blocks[spoken < 0 ? Infinity : spoken + 1] ?? this.#blocks.at(-1)).audio_ms;
    const shown = this.#blocks.filter(({ audio_ms: ms }) => ms > end - SPAN_MS && ms <= end);
    const x = (ms) => LABELS + Math.max(0, ((ms - end + SPAN_MS) / SPAN_MS) * (width - LABELS));
    const ink = colour(this.#canvas, "color");
    const hue = colour(byId("colour-attention"));
    context.font = "11px system-ui, sans-serif";
    context.textBaseline = "middle";
    drawBlocks(context, shown, x, height, ink, hue);
    drawRows(context, shown, x, height - STRIP - 6, ink, hue);
  }

  #inWords() {
    const block = this.#blocks.at(-1);
    if (!block) return this.#empty;
    const labels = block.labels.map((label) => label.replace("▁", "")).join(", ") || "no wordpiece";
    return `Latest block: ${labels}; done with ${Math.round(100 * block.end_probability)} percent`;
  }
}

/** Where blocks end, and the bars below. */
function drawBlocks(context, blocks, x, height, ink, hue) {
  context.fillStyle = ink;
  context.globalAlpha = 0.7;
  context.textAlign = "right";
  context.fillText("block done", LABELS - 6, height - STRIP / 2);
  blocks.forEach((block) => {
    const right = x(block.audio_ms);
    const left = x(block.begin);
    context.fillStyle = ink;
    context.globalAlpha = 0.12;
    context.fillRect(Math.round(right) - 1, 0, 1, height);
    context.fillStyle = hue;
    context.globalAlpha = 0.65;
    const high = STRIP * block.end_probability;
    context.fillRect(left + 1, height - high, Math.max(0, right - left - 2), high);
  });
  context.globalAlpha = 1;
}

/** The newest wordpieces, each at its time. */
function drawRows(context, blocks, x, bottom, ink, hue) {
  const rows = blocks
    .flatMap((block) => block.labels.map((label, i) => ({ label, block, weights: block.weights[i] })))
    .slice(-ROWS);
  const high = Math.min(ROW, bottom / ROWS);
  rows.forEach(({ label, block, weights }, i) => {
    const y = i * high;
    const begin = block.audio_ms - weights.length * block.frame_ms;
    context.fillStyle = hue;
    context.globalAlpha = 0.08;
    context.fillRect(x(begin), y, x(block.audio_ms) - x(begin), high - 1);
    weights.forEach((weight, frame) => {
      const left = x(begin + frame * block.frame_ms);
      const right = x(begin + (frame + 1) * block.frame_ms);
      context.globalAlpha = Math.sqrt(weight); // small weights are seen, too
      context.fillRect(left, y, right - left, high - 1);
    });
    context.globalAlpha = 0.9;
    context.fillStyle = ink;
    context.fillText(label.replace(/^▁/, "·"), LABELS - 6, y + high / 2, LABELS - 8);
  });
  context.globalAlpha = 1;
}
