// One session with the server, over as many connections as it takes.

import { refusalOf, subprotocols } from "./protocol.js";
import { SendTimes } from "./send-times.js";

const FRAME_BYTES = 32 * 1024;
const BUFFERED_BYTES = 256 * 1024; // on their way: more would only hide how far the server is
const DRAIN_MS = 20; // until the next look at how much is on its way
const SILENCE_MS = { live: 10_000, file: 30_000 }; // without a sign of life, with something to answer
const RETRY = { first: 250, longest: 5_000, giveUp: 120_000 }; // milliseconds

/**
 * Phases: connecting → open → stopping → done, with resuming in between, and failed instead of done.
 *
 * `on` has the functions phase(name, attempt), ready(ready), partial(partial, roundTripMs or null), final(final),
 * attention(attention), progress(bytes), ended(error or null).
 */
export class Session {
  phase = "idle";
  segments = 0; // finals so far
  #url;
  #token;
  #start;
  #source;
  #width; // bytes in which the server counts: of a sample, or 1 of a container
  #on;
  #socket = null;
  #opened = false; // this connection came about
  #ready = null; // the newest
  #greeted = false; // on this connection
  #stopSent = false; // on this connection
  #stopping = false;
  #cut = false; // a file was, by `stop`
  #told = null; // the server's latest error
  #sent = 0; // bytes, on this connection
  #times;
  #heardAt = 0;
  #lostAt = null;
  #attempt = 0;
  #timers = { retry: 0, drain: 0, watch: 0 };
  #hurry = () => this.phase === "resuming" && this.#connect();

  constructor({ url, token, start, source, on }) {
    this.#url = url;
    this.#token = token;
    this.#start = { type: "start", ...start };
    this.#source = source;
    this.#width = source.live ? 2 : 1;
    this.#on = on;
    this.#times = source.live ? new SendTimes(start.sample_rate * 2) : null;
  }

  /** Connects for the first time; what the source holds by then is sent as well. */
  open() {
    this.#become("connecting");
    window.addEventListener("online", this.#hurry);
    this.#timers.watch = setInterval(() => this.#watch(), 1000);
    this.#connect();
  }

  /** The source has something new. */
  pump() {
    clearTimeout(this.#timers.drain);
    const socket = this.#socket;
    if (!this.#greeted || socket.readyState !== WebSocket.OPEN) return;
    while (this.#sent < this.#source.end) {
      if (socket.bufferedAmount > BUFFERED_BYTES) {
        this.#timers.drain = setTimeout(() => this.pump(), DRAIN_MS);
        return;
      }
      const end = Math.min(this.#source.end, this.#sent + FRAME_BYTES);
      socket.send(this.#source.slice(this.#sent, end));
      this.#sent = end;
      this.#times?.sent(end, performance.now());
    }
    if (this.#source.closed && !this.#stopSent) {
      this.#stopSent = true;
      socket.send('{"type":"stop"}');
      this.#stopping = true;
      if (this.phase === "open") this.#become("stopping");
    }
  }

  /** No more audio; what was sent becomes final. */
  stop() {
    this.#stopping = true;
    this.#cut = !this.#source.live && this.#sent < this.#source.end;
    this.#source.close(this.#sent);
    if (this.phase === "open") this.#become("stopping");
    this.pump();
  }

  /** Ends without waiting for anything; the server frees the stream at once. */
  abandon(error = null) {
    if (this.#over) return;
    this.#drop(1000);
    this.#end("failed", error);
  }

  get #over() {
    return this.phase === "done" || this.phase === "failed";
  }

  #become(phase) {
    this.phase = phase;
    this.#on.phase(phase, this.#attempt);
  }

  #connect() {
    clearTimeout(this.#timers.retry);
    this.#drop(4000);
    this.#opened = this.#greeted = this.#stopSent = false;
    this.#heardAt = performance.now();
    const socket = new WebSocket(this.#url, subprotocols(this.#token));
    this.#socket = socket;
    socket.onopen = () => {
      this.#opened = true;
      socket.send(JSON.stringify(this.#greeting()));
    };
    socket.onmessage = ({ data }) => {
      this.#heardAt = performance.now();
      this.#receive(JSON.parse(data));
    };
    socket.onclose = (closing) => this.#closed(closing);
  }

  #greeting() {
    if (this.#ready === null) return this.#start;
    const { session, resume } = this.#ready;
    return { type: "resume", session, resume, segments: this.segments };
  }

  /** Forgets the connection. */
  #drop(code) {
    const socket = this.#socket;
    if (socket === null) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close(code); // 1000: the server ends the session; others: it waits for us
    this.#socket = null;
    this.#greeted = false;
  }

  #receive(message) {
    if (message.type === "ready") this.#welcome(message);
    else if (message.type === "partial" && message.segment === this.segments) {
      const trip = this.#times?.since(message.audio_ms, performance.now()) ?? null;
      this.#on.partial(message, trip);
    } else if (message.type === "final") this.#final(message);
    else if (message.type === "attention") this.#on.attention(message);
    else if (message.type === "ack") this.#acknowledge(message.bytes ?? message.samples * this.#width);
    else if (message.type === "error") this.#hearError(message);
    else if (message.type === "done") this.#done(message);
  }

  #welcome(ready) {
    const position = ready.received_bytes ?? ready.received_samples * this.#width;
    if (position < this.#source.start || position > this.#source.end) {
      this.abandon({ code: "lost_count", message: "" });
      return;
    }
    this.#ready = ready;
    this.#greeted = true;
    this.#lostAt = null;
    this.#attempt = 0;
    this.#told = null;
    this.#sent = position;
    this.#times?.rewind(position);
    this.#acknowledge(position);
    this.#on.ready(ready);
    this.#become(this.#stopping ? "stopping" : "open");
    this.pump();
  }

  #hearError(error) {
    if (this.#isOurCut(error)) return;
    // That a failed session cannot be resumed says less than why it failed.
    if (this.#told === null || error.code !== "unknown_session") this.#told = error;
  }

  /** Whether an error says no more than that a file ends where it was cut. */
  #isOurCut(error) {
    return this.#cut && error.code === "invalid_audio";
  }

  #final(final) {
    if (final.segment > this.segments) this.abandon({ code: "lost_count", message: "" });
    if (final.segment !== this.segments || this.#over) return; // a resumed session may repeat what we have
    this.segments += 1;
    this.#on.final(final);
  }

  #acknowledge(position) {
    this.#source.forget(position);
    this.#on.progress(position);
  }

  #done(done) {
    const lost = done.segments !== this.segments;
    const error = this.#told ?? (lost ? { code: "lost_count", message: "" } : null);
    this.#socket.onclose = null;
    this.#socket.close(1000);
    this.#end(error ? "failed" : "done", error);
  }

  #closed(closing) {
    const had = { opened: this.#opened, ready: this.#ready !== null, greeting: !this.#greeted };
    const refusal = refusalOf(closing, this.#told, had);
    this.#socket = null;
    this.#greeted = false;
    clearTimeout(this.#timers.drain);
    if (refusal && this.#isOurCut(refusal)) this.#end("done", null);
    else if (refusal) this.#end("failed", refusal);
    else this.#retry();
  }

  #retry() {
    const now = performance.now();
    this.#lostAt ??= now;
    if (now - this.#lostAt > RETRY.giveUp) {
      this.#end("failed", this.#told ?? { code: "gave_up", message: "" });
      return;
    }
    const longest = Math.min(RETRY.longest, RETRY.first * 2 ** this.#attempt);
    this.#attempt += 1;
    this.#become("resuming");
    // Jitter keeps clients that were cut off together from coming back together.
    this.#timers.retry = setTimeout(() => this.#connect(), longest * (0.5 + Math.random() / 2));
  }

  /** A connection can be dead without either side being told: then nothing comes any more. */
  #watch() {
    if (this.#socket === null) return;
    const owed = !this.#greeted || this.#stopping || this.#sent > this.#source.start;
    const limit = this.#source.live && !this.#stopping ? SILENCE_MS.live : SILENCE_MS.file;
    if (!owed || performance.now() - this.#heardAt < limit) return;
    this.#drop(4000);
    this.#closed({ code: 1006, reason: "" });
  }

  #end(phase, error) {
    for (const timer of Object.values(this.#timers)) clearTimeout(timer);
    window.removeEventListener("online", this.#hurry);
    this.#socket = null;
    this.#greeted = false;
    this.#become(phase);
    this.#on.ended(error);
  }
}
