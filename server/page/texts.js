// What people are told when something is not as it should be: a title and what to do.

const KEPT = "What was said before is in the transcript.";
const UNREACHABLE = ["The server does not answer", "Check that it runs and that you are online, then try again."];

/** Why there is no microphone, by `obstacle` or by the name of getUserMedia's error. */
const MICROPHONE = {
  insecure: [
    "This page may not use the microphone",
    "Browsers give microphones only to secure pages. Open it by https, or as http://localhost on the server’s own " +
      "machine. Transcribing a file works here.",
  ],
  unsupported: [
    "This browser cannot record",
    "It has no microphone for pages, or is too old. Transcribing a file works here.",
  ],
  NotAllowedError: [
    "The microphone is blocked",
    "Allow it for this page, beside the address or in the browser’s settings, then press Start listening again.",
  ],
  NotFoundError: ["No microphone was found", "Connect one, then press Start listening again."],
  OverconstrainedError: ["That microphone is gone", "Choose another one in the settings."],
  NotReadableError: [
    "The microphone cannot be opened",
    "Another program may be using it. Close that program, then press Start listening again.",
  ],
  NetworkError: UNREACHABLE,
};
const MICROPHONE_OTHERWISE = ["The microphone cannot be used", "Try another one, or transcribe a file."];

/** Why a session ended, by the server's code or one of ours; the server's own words follow where they say more. */
const SESSION = {
  unreachable: UNREACHABLE,
  closed: ["The server closed the connection", "It gave no reason. Try again in a moment."],
  gave_up: ["The connection did not come back", `${KEPT} Start again when you are online.`],
  full_buffer: ["The connection was gone for too long", `There was no room to keep more sound. ${KEPT}`],
  lost_count: ["The server lost count", `Words may be missing. ${KEPT} Please report this.`],
  overloaded: ["The server is full", "Every stream is taken. Try again in a moment."],
  limit_exceeded: ["Too many streams at a time", "Your token has as many as it may have. End another one first."],
  shutting_down: ["The server is being stopped", `${KEPT} Try again later.`],
  unauthorized: ["The server asks for a token", "Enter one that it knows, then start again."],
  forbidden_origin: [
    "The server does not admit this page",
    "Open the page at the address that the server itself has, or ask its operator.",
  ],
  unknown_session: ["The session could not be resumed", `The server does not have it any more. ${KEPT}`],
  superseded: ["The session went on elsewhere", KEPT],
  idle_timeout: ["The session ended because nothing came", `${KEPT} Start again when you like.`],
  session_too_long: ["The session reached its longest duration", `${KEPT} Start again to go on.`],
  too_slow: ["This browser did not keep up", `${KEPT} Start again.`],
  too_fast: ["The server does not keep up", `${KEPT} Try again later.`],
  invalid_audio: ["This is not sound that the server can read", "It takes Ogg, WebM, FLAC, MP3, MP4, AAC and WAV."],
  unsupported: ["The server does not do that", ""],
  message_too_big: ["Page and server do not understand each other", "Reload the page."],
  invalid_message: ["Page and server do not understand each other", "Reload the page."],
  unexpected_message: ["Page and server do not understand each other", "Reload the page."],
  internal: ["The server failed", `${KEPT} Try again; if it fails again, tell its operator.`],
};
const SAYS_MORE = ["overloaded", "invalid_audio", "unsupported", "unexpected_message", "invalid_message"];

/** @param {string} name of the obstacle or error */
export function microphoneText(name) {
  return MICROPHONE[name] ?? MICROPHONE_OTHERWISE;
}

/** @param {{code: string, message: string}} error */
export function sessionText({ code, message }) {
  const [title, advice] = SESSION[code] ?? ["The server refused", "Try again in a moment."];
  return [title, SAYS_MORE.includes(code) && message ? `${advice} The server says: ${message}.`.trim() : advice];
}
