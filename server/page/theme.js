// Light, dark, or as the system has it.

import { byId } from "./element.js";
import { recall, remember } from "./memory.js";

/** Makes the choice work. */
export function startTheme() {
  const choice = byId("theme");
  const apply = () => {
    document.documentElement.dataset.theme = choice.value;
  };
  choice.value = recall("theme") ?? "auto";
  if (!choice.value) choice.value = "auto";
  choice.addEventListener("change", () => {
    remember("theme", choice.value);
    apply();
  });
  apply();
}
