// When which sound was sent, to measure how long its words took.

const MOST = 3000; // marks, a minute of blocks of 20 ms: nobody waits longer in vain

export class SendTimes {
  #bytesPerMs;
  #marks = []; // {end: milliseconds of sound, at: milliseconds of the clock}, in order of both

  /** @param {number} bytesPerSecond of the sound */
  constructor(bytesPerSecond) {
    this.#bytesPerMs = bytesPerSecond / 1000;
  }

  /** The bytes up to `position` were sent. */
  sent(position, now) {
    this.#marks.push({ end: position / this.#bytesPerMs, at: now });
    if (this.#marks.length > MOST) this.#marks.shift();
  }

  /** What is after `position` will be sent again. */
  rewind(position) {
    const end = position / this.#bytesPerMs;
    this.#marks = this.#marks.filter((mark) => mark.end <= end);
  }

  /** Milliseconds since the sound up to `audioMs` was sent; null if that was not, as the end of a padded chunk. */
  since(audioMs, now) {
    const index = this.#marks.findIndex((mark) => mark.end >= audioMs);
    if (index < 0) return null;
    this.#marks.splice(0, index); // partials come in the order of their sound
    return now - this.#marks[0].at;
  }
}
