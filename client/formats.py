"""Transcripts as text, JSON, SubRip (SRT) and WebVTT: the same bytes as `asr transcribe` writes.

`asr.formats` has the same rules. Neither may import the other, because the client comes without the recogniser; a
test holds the two to each other.
"""

import json
from collections.abc import Callable, Iterator
from enum import StrEnum

from msgspec.structs import asdict, replace

from client.transcript import Segment, Transcript
from server.wire import Word

LINE_CHARACTERS = 42  # of a subtitle line, as broadcasters' guidelines have it
CUE_LINES = 2
CUE_MS = 7_000  # longest time a cue is shown
PAUSE_MS = 1_000  # silence that starts a new cue
SHORTEST_CUE_MS = 400  # a lone short word stays readable


class Format(StrEnum):
    """How a transcript is written."""

    text = "text"
    """A line per segment."""
    json = "json"
    """Segments and words with times and confidence."""
    srt = "srt"
    """SubRip subtitles."""
    vtt = "vtt"
    """WebVTT subtitles."""

    @property
    def extension(self) -> str:
        """Of a file of this kind, without a dot."""
        return "txt" if self is Format.text else self.value


def format_transcript(transcript: Transcript, kind: Format) -> str:
    """A transcript in one of the formats, ending in a line feed."""
    writers: dict[Format, Callable[[Transcript], str]] = {
        Format.text: _text,
        Format.json: _json,
        Format.srt: _srt,
        Format.vtt: _vtt,
    }
    return writers[kind](transcript)


def _text(transcript: Transcript) -> str:
    return "".join(f"{s.text}\n" for s in transcript.segments) or "\n"


def _json(transcript: Transcript) -> str:
    segments = [
        {
            "start_ms": s.start_ms,
            "end_ms": s.end_ms,
            "text": s.text,
            "words": [{**asdict(w), "confidence": round(w.confidence, 4)} for w in s.words],
        }
        for s in transcript.segments
    ]
    value = {
        "text": transcript.text,
        "duration_ms": transcript.duration_ms,
        "model": transcript.model,
        "segments": segments,
    }
    return json.dumps(value, ensure_ascii=False, indent=1) + "\n"


def _timestamp(ms: int, mark: str) -> str:
    """Hours, minutes, seconds and milliseconds; `mark` stands before the milliseconds."""
    seconds, ms = divmod(ms, 1000)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}{mark}{ms:03d}"


def _wrapped(words: list[Word]) -> list[str]:
    """Lines of at most `LINE_CHARACTERS`, unless a single word is longer."""
    lines: list[str] = []
    for word in words:
        if lines and len(lines[-1]) + 1 + len(word.word) <= LINE_CHARACTERS:
            lines[-1] += f" {word.word}"
        else:
            lines.append(word.word)
    return lines


def _cues(transcript: Transcript) -> Iterator[tuple[int, int, list[str]]]:
    """Start, end and lines of each cue; each lasts at least 1 ms and ends before or when the next starts."""
    groups = [group for segment in transcript.segments for group in _grouped(segment)]
    starts = [group[0].start_ms for group in groups]
    previous_end = 0
    for i, group in enumerate(groups):
        start = max(starts[i], previous_end)
        end = max(min(group[-1].end_ms, start + CUE_MS), start + SHORTEST_CUE_MS)
        if i + 1 < len(groups):
            end = max(start + 1, min(end, starts[i + 1]))  # words may share a start
        previous_end = end
        yield start, end, _wrapped(group)


def _grouped(segment: Segment) -> Iterator[list[Word]]:
    """Words of each cue: split at pauses, and where a cue would last too long or not fit its lines."""
    cue: list[Word] = []
    for word in segment.words:
        text = " ".join(word.word.split())  # a line feed would end the line, two the cue
        if not text:
            continue
        if cue and (
            word.start_ms - cue[-1].end_ms >= PAUSE_MS
            or word.end_ms - cue[0].start_ms > CUE_MS
            or len(_wrapped([*cue, replace(word, word=text)])) > CUE_LINES
        ):
            yield cue
            cue = []
        cue.append(replace(word, word=text))
    if cue:
        yield cue


def _srt(transcript: Transcript) -> str:
    cues = (
        f"{n}\n{_timestamp(start, ',')} --> {_timestamp(end, ',')}\n" + "\n".join(lines) + "\n"
        for n, (start, end, lines) in enumerate(_cues(transcript), 1)
    )
    return "\n".join(cues) or "\n"


def _vtt(transcript: Transcript) -> str:
    cues = (
        f"{_timestamp(start, '.')} --> {_timestamp(end, '.')}\n" + "\n".join(_escaped(line) for line in lines) + "\n"
        for start, end, lines in _cues(transcript)
    )
    return "\n".join(["WEBVTT\n", *cues])


def _escaped(text: str) -> str:
    """Cue text as WebVTT wants it: & and < would start an entity or a tag, and > could end an arrow."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
