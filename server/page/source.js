// What is sent: bytes, some of which may have to be sent again.

/** Sound as it comes, kept until the server acknowledges it. Positions are in bytes from the session's start. */
export class LiveSource {
  live = true;
  closed = false;
  start = 0;
  end = 0;
  #blocks = []; // {begin, bytes}, without gaps, from the block that holds `start` on
  #capacity;

  /** @param {number} capacity most bytes that are kept */
  constructor(capacity) {
    this.#capacity = capacity;
  }

  /** Adds samples; false if there is no room for them. */
  add(samples) {
    const bytes = new Uint8Array(samples.buffer, samples.byteOffset, samples.byteLength);
    if (this.closed || this.end - this.start + bytes.length > this.#capacity) return false;
    this.#blocks.push({ begin: this.end, bytes });
    this.end += bytes.length;
    return true;
  }

  /** There will be no more. */
  close() {
    this.closed = true;
  }

  /** The bytes of [from, to), which must be kept. */
  slice(from, to) {
    const out = new Uint8Array(to - from);
    for (const { begin, bytes } of this.#blocks) {
      const first = Math.max(from, begin);
      const last = Math.min(to, begin + bytes.length);
      if (first < last) out.set(bytes.subarray(first - begin, last - begin), first - from);
    }
    return out;
  }

  /** The server has everything before this byte. */
  forget(position) {
    this.start = Math.max(this.start, position);
    const keep = this.#blocks.findIndex(({ begin, bytes }) => begin + bytes.length > this.start);
    this.#blocks.splice(0, keep < 0 ? this.#blocks.length : keep);
  }
}

/** A file: can be read again from anywhere. */
export class FileSource {
  live = false;
  closed = true;
  start = 0;
  #file;

  /** @param {File} file */
  constructor(file) {
    this.#file = file;
    this.end = file.size;
  }

  /** Sends nothing beyond what was sent. */
  close(position) {
    this.end = Math.min(this.end, position);
  }

  slice(from, to) {
    return this.#file.slice(from, to);
  }

  forget(position) {
    this.start = Math.max(this.start, position);
  }
}
