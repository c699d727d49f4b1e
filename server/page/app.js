// The page: what the buttons do, and what is shown when.

import { AttentionPicture } from "./attention.js";
import { byId, clock } from "./element.js";
import { LatencyChart } from "./latency.js";
import { LevelMeter } from "./meters.js";
import { Microphone, obstacle } from "./microphone.js";
import { dismiss, notify } from "./notice.js";
import { streamUrl } from "./protocol.js";
import { watchServer } from "./server-state.js";
import { Session } from "./session.js";
import { Settings } from "./settings.js";
import { FileSource, LiveSource } from "./source.js";
import { microphoneText, sessionText } from "./texts.js";
import { startTheme } from "./theme.js";
import { Transcript } from "./transcript.js";

const KEPT_S = 150; // seconds of sound kept for a server that is away: longer than it waits for us
const LOST = "Connection lost: resuming";
const QUIET = "Nothing is heard";
const PHASES = {
  idle: ["Start listening", "Ready"],
  asking: ["Cancel", "Waiting for the microphone…"],
  connecting: ["Stop", "Connecting…"],
  open: ["Stop", "Listening"],
  sending: ["Stop", "Transcribing"],
  stopping: ["Discard the rest", "Finishing the last words…"],
  resuming: ["Stop", "Resuming…"],
  leaving: ["Discard the rest", "Resuming, to finish the last words…"],
};

class App {
  #settings = new Settings();
  #transcript = new Transcript((text) => notify([text, ""], "good", 3000));
  #latency = new LatencyChart();
  #attention = new AttentionPicture();
  #level = new LevelMeter((quiet) => this.#quiet(quiet));
  #look = watchServer((about) => this.#session ?? this.#offer(about));
  #session = null;
  #microphone = null;
  #source = null;
  #asking = null; // the request for the microphone that waits for its answer
  #stopping = false;
  #wasLost = false;
  #durationMs = 0;
  #audioMs = (position) => position; // from bytes

  constructor() {
    byId("record").addEventListener("click", () => this.#press());
    byId("file").addEventListener("change", ({ target }) => {
      if (target.files[0]) this.#transcribe(target.files[0]);
      target.value = "";
    });
    document.addEventListener("dragover", (event) => event.preventDefault());
    document.addEventListener("drop", (event) => {
      event.preventDefault();
      if (event.dataTransfer.files[0]) this.#transcribe(event.dataTransfer.files[0]);
    });
    // Else the server would keep the stream for a client that never comes back.
    window.addEventListener("pagehide", () => this.#session?.abandon());
    this.#show("idle");
  }

  /** What the server says of itself. */
  #offer({ chunks_ms: chunks }) {
    this.#settings.offerChunks(chunks);
  }

  #press() {
    if (this.#asking) this.#cancel();
    else if (this.#session === null) this.#listen();
    else if (this.#stopping) this.#session.abandon();
    else this.#stop();
  }

  async #listen() {
    if (!this.#mayBegin()) return;
    const hindrance = obstacle();
    if (hindrance) {
      notify(microphoneText(hindrance), "error");
      return;
    }
    const asking = (this.#asking = {});
    this.#show("asking");
    try {
      const hear = (block) => this.#hear(block);
      const microphone = await Microphone.open(this.#settings.microphone, hear, () => this.#microphoneLost());
      if (asking === this.#asking) this.#listenTo(microphone);
      else await microphone.stop(); // it was cancelled meanwhile
    } catch (error) {
      if (asking !== this.#asking) return;
      this.#cancel();
      notify(microphoneText(error.name), "error");
      this.#look();
    }
  }

  #listenTo(microphone) {
    this.#asking = null;
    this.#microphone = microphone;
    const { rate } = microphone;
    this.#audioMs = (bytes) => bytes / 2 / (rate / 1000);
    this.#source = new LiveSource(KEPT_S * rate * 2);
    this.#level.reset();
    this.#begin(`Microphone, ${new Date().toLocaleTimeString()}`, { sample_rate: rate, encoding: "pcm_s16le" });
    this.#settings.offerMicrophones();
  }

  #cancel() {
    this.#asking = null;
    this.#show("idle");
  }

  #transcribe(file) {
    if (this.#session || this.#asking || !this.#mayBegin()) return;
    this.#source = new FileSource(file);
    this.#audioMs = () => 0;
    byId("progress").value = 0;
    this.#begin(file.name, { encoding: "container" });
  }

  #mayBegin() {
    dismiss();
    if (this.#settings.tokenFits) return true;
    this.#settings.askForToken("This token cannot be sent: it may hold letters, digits and !#$%&'*+-.^_`|~ only.");
    return false;
  }

  #begin(name, format) {
    this.#stopping = this.#wasLost = false;
    this.#durationMs = 0;
    this.#latency.clear();
    this.#attention.begin(this.#settings.attention);
    this.#transcript.begin(name);
    this.#session = new Session({
      url: streamUrl(),
      token: this.#settings.token,
      start: { ...format, ...this.#settings.start },
      source: this.#source,
      on: {
        phase: (phase, attempt) => this.#phase(phase, attempt),
        ready: () => this.#ready(),
        partial: (partial, trip) => this.#partial(partial, trip),
        final: (final) => this.#final(final),
        attention: (block) => this.#attention.add(block),
        progress: (bytes) => this.#progress(bytes),
        ended: (error) => this.#ended(error),
      },
    });
    this.#session.open();
  }

  async #stop() {
    this.#stopping = true;
    this.#show(this.#session.phase === "resuming" ? "leaving" : "stopping");
    const session = this.#session;
    await this.#release();
    session.stop();
  }

  /** Lets the microphone go, after its last block. */
  async #release() {
    const microphone = this.#microphone;
    this.#microphone = null;
    await microphone?.stop();
    this.#level.reset();
  }

  #hear(block) {
    const session = this.#session;
    if (session === null || this.#source.closed) return;
    this.#level.show(block);
    if (this.#source.add(block.samples)) session.pump();
    else session.abandon({ code: "full_buffer", message: "" });
    if (this.#session) byId("elapsed").textContent = clock(this.#audioMs(this.#source.end));
  }

  #microphoneLost() {
    if (this.#session === null || this.#stopping) return;
    notify(["The microphone went away", "What was said until then is in the transcript."], "warning");
    this.#stop();
  }

  #quiet(quiet) {
    if (!quiet) dismiss(QUIET);
    else if (byId("notice").hidden) notify([QUIET, "Is the microphone muted, or another one chosen?"], "warning");
  }

  #phase(phase, attempt) {
    if (phase === "resuming") {
      this.#wasLost = true;
      const kept = this.#source.live ? "what you say is kept and sent afterwards" : "the file goes on where it was";
      notify([LOST, `Nothing is lost: ${kept}. Attempt ${attempt}.`], "warning");
      this.#show(this.#stopping ? "leaving" : "resuming");
    } else if (phase === "open" && !this.#source.live) this.#show("sending");
    else if (phase === "stopping" && !this.#source.live && !this.#stopping) this.#show("sending");
    else if (phase === "open" && this.#stopping) this.#show("stopping");
    else if (phase in PHASES) this.#show(phase);
  }

  #ready() {
    if (!this.#wasLost) return;
    this.#wasLost = false;
    notify(["Connected again", "Nothing was lost."], "good", 4000);
  }

  #partial(partial, trip) {
    this.#durationMs = Math.max(this.#durationMs, partial.audio_ms);
    if (!this.#source.live) byId("elapsed").textContent = clock(partial.audio_ms);
    this.#latency.add(partial.timing, trip);
    this.#transcript.partial(partial);
  }

  #final(final) {
    this.#durationMs = Math.max(this.#durationMs, final.words.at(-1)?.end_ms ?? 0);
    this.#transcript.final(final);
  }

  #progress(bytes) {
    if (this.#source.live) this.#durationMs = Math.max(this.#durationMs, this.#audioMs(bytes));
    else byId("progress").value = this.#source.end ? bytes / this.#source.end : 1;
  }

  #ended(error) {
    this.#session = null;
    this.#release();
    this.#transcript.end(this.#durationMs, error !== null);
    this.#attention.end(this.#settings.attention && error === null);
    this.#source = null;
    this.#show("idle");
    if (error?.code === "unauthorized") this.#settings.askForToken(sessionText(error).join(". "));
    else if (error) notify(sessionText(error), "error");
    else {
      dismiss(LOST);
      dismiss(QUIET);
    }
    if (error) this.#look();
    if (!this.#durationMs) byId("elapsed").textContent = "";
  }

  #show(phase) {
    const [button, text] = PHASES[phase];
    byId("record-label").textContent = button;
    byId("phase").textContent = text;
    document.body.dataset.phase = phase;
    const busy = phase !== "idle";
    byId("file").disabled = busy;
    byId("file-label").dataset.disabled = String(busy);
    const live = this.#source?.live ?? true;
    byId("level").hidden = !live;
    byId("progress").hidden = live;
    if (phase === "asking" || phase === "connecting") byId("elapsed").textContent = "";
  }
}

startTheme();
new App();
