// The one place where the page says what happened.

import { byId } from "./element.js";

let timer = 0;

/** @param {[string, string]} text title and what to do  @param {"error"|"warning"|"good"} kind */
export function notify([title, text], kind, forMs = 0) {
  clearTimeout(timer);
  byId("notice").dataset.kind = kind;
  byId("notice").hidden = false;
  byId("notice-title").textContent = title;
  byId("notice-text").textContent = text;
  if (forMs) timer = setTimeout(dismiss, forMs);
}

/** Takes the notice away; only one of `title` if that is given. */
export function dismiss(title = null) {
  if (typeof title === "string" && byId("notice-title").textContent !== title) return;
  clearTimeout(timer);
  byId("notice").hidden = true;
}

byId("notice-close").addEventListener("click", () => dismiss());
