// What the user chose, and what there is to choose from.

import { byId, make } from "./element.js";
import { recall, remember } from "./memory.js";
import { microphones } from "./microphone.js";
import { isToken } from "./protocol.js";

export class Settings {
  #hint = byId("token-hint").textContent;

  constructor() {
    const dialog = byId("settings");
    byId("settings-open").addEventListener("click", () => dialog.showModal());
    dialog.addEventListener("close", () => this.#forgive());
    byId("settings-form").addEventListener("submit", (event) => {
      event.preventDefault();
      dialog.close();
    });
    this.#startToken();
    const attention = byId("want-attention");
    attention.checked = recall("attention") !== "false";
    attention.addEventListener("change", () => remember("attention", String(attention.checked)));
    byId("chunk").addEventListener("change", () => remember("chunk", byId("chunk").value));
    navigator.mediaDevices?.addEventListener?.("devicechange", () => this.offerMicrophones());
    this.offerMicrophones();
  }

  #startToken() {
    byId("token").value = recall("token", { secret: true }) ?? "";
    byId("token").addEventListener("input", () => {
      remember("token", this.token, { secret: true });
      this.#forgive();
    });
  }

  get token() {
    return byId("token").value.trim();
  }

  /** Whether the token can be sent at all. */
  get tokenFits() {
    return isToken(this.token);
  }

  get microphone() {
    return byId("microphone").value;
  }

  get attention() {
    return byId("want-attention").checked;
  }

  /** What `start` says beyond the audio's format. */
  get start() {
    const chunk = byId("chunk").value;
    return { words: true, attention: this.attention, ...(chunk ? { chunk_ms: Number(chunk) } : {}) };
  }

  /** The token is missing or wrong. @param {string} why what to do about it */
  askForToken(why) {
    byId("settings").showModal();
    byId("token-hint").textContent = why;
    byId("token").setAttribute("aria-invalid", "true");
    byId("token").focus();
  }

  #forgive() {
    byId("token-hint").textContent = this.#hint;
    byId("token").removeAttribute("aria-invalid");
  }

  /** Chunk sizes that the server has, its default first. */
  offerChunks(chunks) {
    const chosen = recall("chunk") ?? "";
    const sorted = [...chunks].sort((a, b) => a - b);
    const options = sorted.map((ms) => make("option", { value: String(ms), text: `${ms} ms` }));
    const usual = make("option", { value: "", text: `the server’s choice, ${chunks[0]} ms` });
    byId("chunk").replaceChildren(usual, ...options);
    byId("chunk").value = chunks.includes(Number(chosen)) ? chosen : "";
  }

  async offerMicrophones() {
    const chosen = this.microphone;
    const found = await microphones();
    const options = found.map(({ deviceId, label }) => make("option", { value: deviceId, text: label }));
    byId("microphone").replaceChildren(make("option", { value: "", text: "the system’s choice" }), ...options);
    byId("microphone").value = found.some(({ deviceId }) => deviceId === chosen) ? chosen : "";
  }
}
