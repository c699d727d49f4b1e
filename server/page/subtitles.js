// A transcript as text and as SubRip subtitles, by the rules of `asr transcribe` and `asr-client` (client/formats.py).

const LINE_CHARACTERS = 42; // of a subtitle line, as broadcasters' guidelines have it
const CUE_LINES = 2;
const CUE_MS = 7_000; // longest time a cue is shown
const PAUSE_MS = 1_000; // silence that starts a new cue
const SHORTEST_CUE_MS = 400; // a lone short word stays readable

/** A line per segment. @param {{text: string}[]} segments */
export function toText(segments) {
  return segments.map(({ text }) => `${text}\n`).join("") || "\n";
}

/** @param {{words: {word: string, start_ms: number, end_ms: number}[]}[]} segments */
export function toSrt(segments) {
  const groups = segments.flatMap(({ words }) => grouped(words));
  let previousEnd = 0;
  const cues = groups.map((group, i) => {
    const start = Math.max(group[0].start_ms, previousEnd);
    let end = Math.max(Math.min(group.at(-1).end_ms, start + CUE_MS), start + SHORTEST_CUE_MS);
    if (i + 1 < groups.length) end = Math.max(start + 1, Math.min(end, groups[i + 1][0].start_ms));
    previousEnd = end;
    return `${i + 1}\n${timestamp(start)} --> ${timestamp(end)}\n${wrapped(group).join("\n")}\n`;
  });
  return cues.join("\n") || "\n";
}

/** Words of each cue: split at pauses, and where a cue would last too long or not fit its lines. */
function grouped(words) {
  const cues = [];
  for (const word of words) {
    const text = word.word.split(/\s+/).filter(Boolean).join(" "); // a line feed would end the line, two the cue
    if (!text) continue;
    const next = { ...word, word: text };
    const cue = cues.at(-1);
    const fits =
      cue &&
      word.start_ms - cue.at(-1).end_ms < PAUSE_MS &&
      word.end_ms - cue[0].start_ms <= CUE_MS &&
      wrapped([...cue, next]).length <= CUE_LINES;
    if (fits) cue.push(next);
    else cues.push([next]);
  }
  return cues;
}

/** Lines of at most LINE_CHARACTERS, unless a single word is longer. */
function wrapped(words) {
  const lines = [];
  for (const { word } of words) {
    const line = lines.at(-1);
    if (line && length(line) + 1 + length(word) <= LINE_CHARACTERS) lines[lines.length - 1] = `${line} ${word}`;
    else lines.push(word);
  }
  return lines;
}

function length(text) {
  return Array.from(text).length;
}

function timestamp(ms) {
  const part = (value, digits) => String(Math.floor(value)).padStart(digits, "0");
  return `${part(ms / 3_600_000, 2)}:${part((ms / 60_000) % 60, 2)}:${part((ms / 1000) % 60, 2)},${part(ms % 1000, 3)}`;
}
