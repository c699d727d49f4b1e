// The words on the page: finals of every recording, and the segment that is being spoken.

import { byId, clock } from "./element.js";
import { Take } from "./take.js";

const NEAR_END = 80; // pixels from the end of the page within which it follows the newest words

export class Transcript {
  #takes = byId("takes");
  #open = byId("open");
  #take = null;
  #announce;

  /** @param {(text: string) => void} announce tells the user */
  constructor(announce) {
    this.#announce = announce;
    byId("clear").addEventListener("click", () => this.clear());
    followWords(this.#takes, byId("word"));
  }

  /** A recording begins. */
  begin(name) {
    this.#take = new Take(name, this.#announce);
    this.#takes.append(this.#take.element);
    byId("welcome").hidden = true;
    byId("clear").disabled = true;
    this.partial({ text: "", stable: 0, audio_ms: 0 });
  }

  /** What the open segment reads so far. */
  partial({ text, stable, audio_ms: audioMs }) {
    const characters = Array.from(text); // `stable` counts code points
    while (characters[stable] === " ") stable += 1;
    this.#following(() => {
      byId("settled").textContent = characters.slice(0, stable).join("");
      byId("unsettled").textContent = characters.slice(stable).join("");
      byId("open-at").textContent = audioMs ? clock(audioMs) : "";
      this.#open.hidden = false;
    });
  }

  /** The open segment is done. */
  final(final) {
    this.#following(() => {
      byId("settled").textContent = byId("unsettled").textContent = byId("open-at").textContent = "";
      this.#take.add(final);
    });
  }

  /** The recording is over. What did not become final stays, but may be wrong.
   * @param {number} durationMs of the recording  @param {boolean} failed whether it ended before its end */
  end(durationMs, failed) {
    const rest = byId("settled").textContent + byId("unsettled").textContent;
    if (rest) this.#take.addUnsettled(rest);
    this.#open.hidden = true;
    if (failed && !this.#take.segments.length) this.#take.element.remove();
    else this.#take.finish(durationMs);
    const empty = !this.#takes.hasChildNodes();
    byId("welcome").hidden = !empty;
    byId("clear").disabled = empty;
  }

  /** Takes everything away; not while a recording goes on. */
  clear() {
    this.#takes.replaceChildren();
    byId("welcome").hidden = false;
    byId("clear").disabled = true;
  }

  /** Changes the page; if its end was in view, it still is afterwards. */
  #following(change) {
    const card = this.#takes.closest(".card");
    const atEnd = card.getBoundingClientRect().bottom < window.innerHeight + NEAR_END;
    change();
    if (atEnd) this.#open.scrollIntoView({ block: "nearest" });
  }
}

/** One tab stop for all words; arrow keys move between them; `info` tells of the word that has the focus or pointer. */
function followWords(takes, info) {
  const silent = info.textContent;
  const tell = (word) => {
    info.textContent = word ? `“${word.textContent}”: ${word.title}` : silent;
  };
  takes.tabIndex = 0;
  takes.addEventListener("keydown", (event) => {
    const words = [...takes.querySelectorAll(".word")];
    const step = { ArrowRight: 1, ArrowLeft: -1, Home: -Infinity, End: Infinity }[event.key];
    if (step === undefined || !words.length || event.target.closest("button")) return;
    event.preventDefault();
    const from = words.indexOf(document.activeElement);
    words[Math.max(0, Math.min(words.length - 1, from + step))].focus();
  });
  takes.addEventListener("focusin", ({ target }) => tell(target.closest(".word")));
  takes.addEventListener("focusout", () => tell(null));
  takes.addEventListener("pointerover", ({ target }) => tell(target.closest(".word")));
  takes.addEventListener("pointerleave", () => tell(null));
}
