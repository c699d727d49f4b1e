// What is remembered: for good, or until the tab is closed. Where storage is switched off, for this visit only.

const PREFIX = "earshot-";

function storage(secret) {
  try {
    return secret ? sessionStorage : localStorage;
  } catch {
    return null;
  }
}

/** The value of a name, or null. @param {{secret?: boolean}} options secret: not beyond the tab */
export function recall(name, { secret = false } = {}) {
  return storage(secret)?.getItem(PREFIX + name) ?? null;
}

export function remember(name, value, { secret = false } = {}) {
  storage(secret)?.setItem(PREFIX + name, value);
}
