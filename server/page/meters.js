// How loud the microphone is.

import { byId } from "./element.js";

const FLOOR_DB = -60;
const FALL_DB = 24; // a second, of the peak mark
const QUIET_DB = -57; // below: nobody is heard, not even a room
const QUIET_MS = 4_000;

export class LevelMeter {
  #meter = byId("level");
  #bar = byId("level-bar");
  #mark = byId("level-peak");
  #peak = FLOOR_DB;
  #level = FLOOR_DB;
  #at = 0;
  #toldAt = 0;
  #heardAt = 0;
  #quiet = false;
  #drawing = false;
  #onQuiet;

  /** @param {(quiet: boolean) => void} onQuiet told when nothing was heard for a while, and when something is again */
  constructor(onQuiet) {
    this.#onQuiet = onQuiet;
  }

  reset() {
    this.#level = this.#peak = FLOOR_DB;
    this.#heardAt = performance.now();
    this.#quiet = false;
    this.#draw();
  }

  /** A block of sound came. @param {{rms: number, peak: number}} block with 1 as full scale */
  show({ rms, peak }) {
    const now = performance.now();
    this.#level = decibels(rms);
    this.#peak = Math.max(decibels(peak), this.#peak - (FALL_DB * (now - this.#at)) / 1000);
    this.#at = now;
    this.#listen(now);
    if (this.#drawing) return;
    this.#drawing = true;
    requestAnimationFrame(() => {
      this.#drawing = false;
      this.#draw();
    });
  }

  #listen(now) {
    if (this.#level > QUIET_DB) this.#heardAt = now;
    const quiet = now - this.#heardAt > QUIET_MS;
    if (quiet !== this.#quiet) this.#onQuiet(quiet);
    this.#quiet = quiet;
  }

  #draw() {
    const share = (db) => 1 - db / FLOOR_DB;
    this.#bar.style.transform = `scaleX(${share(this.#level)})`;
    this.#mark.style.left = `${100 * share(this.#peak)}%`;
    this.#meter.dataset.clipping = String(this.#peak > -0.1);
    const now = performance.now();
    if (now - this.#toldAt < 1000) return; // screen readers need not follow every frame
    this.#toldAt = now;
    this.#meter.setAttribute("aria-valuenow", this.#level.toFixed(0));
    const text = this.#level > FLOOR_DB ? `${this.#level.toFixed(0)} decibels` : "silent";
    this.#meter.setAttribute("aria-valuetext", text);
  }
}

function decibels(amplitude) {
  return Math.max(FLOOR_DB, Math.min(0, 20 * Math.log10(amplitude || 1e-9)));
}
