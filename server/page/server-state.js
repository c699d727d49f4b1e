// Whether the server takes sessions, and what it offers: its `/readyz`.

import { byId } from "./element.js";

const AGAIN_MS = { ready: 60_000, other: 3_000 };
const TEXTS = {
  loading: "The model is being loaded…",
  recovering: "The server is recovering…",
  draining: "The server is being stopped",
};

/** Looks again and again while the page is visible. @param {(about: object) => void} onReady what a ready one says */
export function watchServer(onReady) {
  let timer = 0;
  const look = async () => {
    clearTimeout(timer);
    if (document.hidden) return;
    const about = await ask();
    const ready = about?.status === "ready";
    show(about);
    if (ready) onReady(about);
    timer = setTimeout(look, ready ? AGAIN_MS.ready : AGAIN_MS.other);
  };
  document.addEventListener("visibilitychange", look);
  window.addEventListener("online", look);
  look();
  return look;
}

async function ask() {
  try {
    return await (await fetch("readyz", { cache: "no-store" })).json();
  } catch {
    return null; // unreachable, or something else answers there
  }
}

function show(about) {
  const state = byId("server-state");
  state.dataset.state = about?.status ?? "unreachable";
  if (about?.status === "ready") state.textContent = `${about.model} on ${about.device.toUpperCase()}`;
  else state.textContent = TEXTS[about?.status] ?? "The server does not answer";
}
