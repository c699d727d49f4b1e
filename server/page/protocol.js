// What the wire fixes: addresses, codes, and what a connection's end means (PROTOCOL.md).

export const SUBPROTOCOL = "earshot.v1";

/** Close codes that tell of a refusal even if the error was lost; anything on the way may send the others. */
const REFUSAL_OF_CLOSE = {
  1013: "overloaded",
  4401: "unauthorized",
  4403: "forbidden_origin",
  4404: "unknown_session",
  4408: "idle_timeout",
  4409: "superseded",
  4413: "session_too_long",
  4415: "invalid_audio",
  4420: "too_slow",
  4421: "too_fast",
  4429: "limit_exceeded",
};
const CLOSE_OF_ERROR = {
  invalid_message: 1007,
  message_too_big: 1009,
  unexpected_message: 1002,
  unsupported: 1003,
  shutting_down: 1012,
  internal: 1011,
  ...Object.fromEntries(Object.entries(REFUSAL_OF_CLOSE).map(([close, code]) => [code, Number(close)])),
};
/** The server kept the session. */
const RESUMABLE = ["too_fast", "too_slow"];
/** A client that resumes may outlast these. */
const TRANSIENT = ["overloaded", "limit_exceeded", "shutting_down"];

/** The websocket beside this page. */
export function streamUrl() {
  const url = new URL("v1/stream", document.baseURI);
  url.protocol = url.protocol.replace("http", "ws");
  return url.href;
}

/** Browsers cannot send an Authorization header with a websocket, so the token is offered as a subprotocol. */
export function subprotocols(token) {
  return token ? [SUBPROTOCOL, `bearer.${token}`] : [SUBPROTOCOL];
}

/** Whether a token can be offered as a subprotocol: characters of an HTTP token (RFC 9110 section 5.6.2). */
export function isToken(token) {
  return /^[!#$%&'*+\-.^_`|~0-9A-Za-z]*$/.test(token);
}

/**
 * Why a session ends with its connection; null if it may be resumed.
 * @param {{code: number, reason: string}} closing the connection's end
 * @param {?{code: string, message: string}} told the server's latest error
 * @param {{opened: boolean, ready: boolean, greeting: boolean}} had whether the connection came about, the session ever
 *   did, and this connection was still waiting for `ready`
 */
export function refusalOf(closing, told, had) {
  let refusal = null;
  if (told && (closing.code === CLOSE_OF_ERROR[told.code] || !had.ready)) refusal = told;
  else if (REFUSAL_OF_CLOSE[closing.code]) refusal = { code: REFUSAL_OF_CLOSE[closing.code], message: closing.reason };
  if (!had.ready) return refusal ?? { code: had.opened ? "closed" : "unreachable", message: closing.reason };
  if (refusal && RESUMABLE.includes(refusal.code)) return null;
  if (refusal && TRANSIENT.includes(refusal.code) && had.greeting) return null;
  if (refusal?.code === "unknown_session" && told && told.code !== "unknown_session") return told;
  return refusal;
}
