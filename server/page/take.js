// One recording in the transcript: its name, its segments, and what can be taken away of it.

import { clock, make } from "./element.js";
import { toSrt, toText } from "./subtitles.js";

const DOUBT = [0.9, 0.75, 0.5, 0.25]; // confidence below which a word is shaded, more and more

export class Take {
  segments = [];
  #length;
  #buttons;
  #body;

  /**
   * @param {string} name of the recording, for people and for files
   * @param {(text: string) => void} announce tells the user
   */
  constructor(name, announce) {
    this.name = name;
    this.#length = make("span", { className: "number" });
    this.#body = make("div");
    this.#buttons = [
      this.#button("Copy", "Copy the text", () => this.#copy(announce)),
      this.#button("Text", "Download as text", () => this.#download("txt", toText(this.segments))),
      this.#button("SRT", "Download as SRT subtitles", () => this.#download("srt", toSrt(this.segments))),
    ];
    const title = make("h3", { text: name });
    const buttons = make("span", { className: "buttons" }, ...this.#buttons);
    const head = make("div", { className: "take-head" }, title, this.#length, buttons);
    this.element = make("section", { className: "take", "aria-label": name }, head, this.#body);
  }

  /** Adds a final. */
  add(final) {
    this.segments.push(final);
    for (const button of this.#buttons) button.disabled = false;
    if (!final.text) return;
    const text = make("p");
    if (final.words.length) final.words.forEach((word, i) => text.append(i ? " " : "", spoken(word)));
    else text.textContent = final.text;
    const at = final.words.length ? clock(final.words[0].start_ms) : "";
    this.#body.append(make("div", { className: "segment" }, make("span", { className: "at number", text: at }), text));
  }

  /** Adds what was heard when the session failed, before it could become final. */
  addUnsettled(text) {
    this.add({ text, words: [] });
    this.#body.lastElementChild.classList.add("unfinished");
  }

  /** It is over. */
  finish(durationMs) {
    this.#length.textContent = clock(durationMs);
    if (this.segments.some(({ text }) => text)) return;
    this.#body.append(make("p", { className: "nothing", text: "No words were recognised." }));
  }

  #button(text, label, action) {
    const button = make("button", { text, className: "quiet", type: "button", "aria-label": `${label}: ${this.name}` });
    button.title = label;
    button.disabled = true;
    button.addEventListener("click", action);
    return button;
  }

  #copy(announce) {
    navigator.clipboard?.writeText(toText(this.segments)).then(
      () => announce("Copied."),
      () => announce("The browser did not allow copying. Download the text instead."),
    ) ?? announce("Browsers copy only on secure pages. Download the text instead.");
  }

  #download(extension, text) {
    const url = URL.createObjectURL(new Blob([text], { type: "text/plain;charset=utf-8" }));
    const link = make("a", { href: url, download: `${fileName(this.name)}.${extension}` });
    link.click();
    setTimeout(() => URL.revokeObjectURL(url), 60_000); // browsers may ask where to first
  }
}

/** A word that shows how sure the model was. */
function spoken(word) {
  const percent = Math.round(100 * word.confidence);
  const seconds = (ms) => (ms / 1000).toFixed(2);
  const title = `${percent} % sure, ${seconds(word.start_ms)} to ${seconds(word.end_ms)} s`;
  const doubt = DOUBT.filter((least) => word.confidence < least).length;
  return make("span", { text: word.word, className: "word", title, tabindex: "-1", "data-doubt": String(doubt) });
}

function fileName(name) {
  const stem = name.replace(/\.[a-z0-9]{1,5}$/i, "");
  return stem.replace(/[^\p{L}\p{N}._-]+/gu, "-").replace(/^-+|-+$/g, "") || "transcript";
}
