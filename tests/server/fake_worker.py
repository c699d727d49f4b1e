"""A worker that needs no model: every chunk becomes one word, which names the chunk and what came before it.

A word is a checksum over the samples of its segment so far, so that a replay from the wrong place, with samples lost,
doubled or changed, gives other words. A segment ends after `--segment` chunks or with a flush; like in the real worker
everything before its end is then forgotten.
"""

import argparse
import os
import sys
import time
import zlib
from dataclasses import dataclass, field

import zmq

from server.worker import messages
from server.worker.messages import (
    Audio,
    Drop,
    Finish,
    Finished,
    Flush,
    Flushed,
    FromWorker,
    Hypothesis,
    Open,
    Recognised,
    Refused,
    Segment,
    Shutdown,
    SpokenWord,
    Started,
)

RATE = 16_000
SAMPLE_BYTES = 4


@dataclass
class Stream:
    """What the worker knows of one stream."""

    chunk: int
    position: int
    keep_from: int
    segment: int
    chunks_per_segment: int
    phrases: tuple[str, ...]
    audio: bytearray = field(default_factory=bytearray)
    words: list[SpokenWord] = field(default_factory=list)
    checksum: int = 0

    def take(self, samples: int) -> list[Hypothesis | Segment]:
        """Recognise that many samples."""
        data = bytes(self.audio[: samples * SAMPLE_BYTES])
        del self.audio[: samples * SAMPLE_BYTES]
        self.checksum = zlib.crc32(data, self.checksum)
        start, self.position = self.position, self.position + samples
        self.words.append(
            SpokenWord(
                word=f"w{self.checksum:08x}",
                start_ms=start * 1000 // RATE,
                end_ms=self.position * 1000 // RATE,
                confidence=0.5,
            )
        )
        if len(self.words) == self.chunks_per_segment:
            return [self.end()]
        text = self.text()
        return [Hypothesis(segment=self.segment, text=text, stable=max(0, text.rfind(" ")))]

    def end(self) -> Segment:
        """End the segment."""
        ended = Segment(segment=self.segment, text=self.text(), words=tuple(self.words))
        self.segment += 1
        self.words, self.checksum, self.keep_from = [], 0, self.position
        return ended

    def text(self) -> str:
        """The open segment."""
        return " ".join(word.word for word in self.words)


class FakeWorker:
    """Answers every message at once."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.streams: dict[int, Stream] = {}
        self.answers: list[FromWorker] = []
        self.recognised = 0

    def handle(self, message: messages.ToWorker) -> list[FromWorker]:
        """The answers to one message."""
        self.answers = []
        if isinstance(message, Open):
            self.open(message)
        elif not isinstance(message, Shutdown) and message.stream in self.streams:
            stream = self.streams[message.stream]
            if isinstance(message, Audio):
                stream.audio += message.samples
                self.chunks(message.stream, stream)
            elif isinstance(message, Flush | Finish):
                self.flush(message, stream)
            elif isinstance(message, Drop):
                del self.streams[message.stream]
        return self.answers

    def open(self, message: Open) -> None:
        """Take a stream, or refuse it."""
        lists = {stream.phrases for stream in self.streams.values()} | {message.phrases}
        if "unsupported" in message.phrases:
            self.answers.append(Refused(stream=message.stream, message="no phrases here", unsupported=True))
        elif len(self.streams) >= self.options.slots:
            self.answers.append(Refused(stream=message.stream, message="no slot is free"))
        elif len(lists - {()}) > self.options.phrase_lists:
            self.answers.append(Refused(stream=message.stream, message="no place for phrases is free"))
        else:
            self.streams[message.stream] = Stream(
                chunk=message.chunk_ms * RATE // 1000,
                position=message.position,
                keep_from=message.position,
                segment=message.segment,
                chunks_per_segment=self.options.segment,
                phrases=message.phrases,
            )

    def chunks(self, number: int, stream: Stream) -> None:
        """Recognise every whole chunk, unless told to swallow audio."""
        while not self.options.mute and len(stream.audio) >= stream.chunk * SAMPLE_BYTES:
            self.recognise(number, stream, stream.take(stream.chunk))

    def flush(self, message: Flush | Finish, stream: Stream) -> None:
        """Recognise what is left and end the segment."""
        if self.options.mute:
            return
        events = stream.take(len(stream.audio) // SAMPLE_BYTES) if stream.audio else []
        events = [event for event in events if isinstance(event, Segment)]
        if stream.words:
            events.append(stream.end())
        self.recognise(message.stream, stream, events)
        if isinstance(message, Flush):
            self.answers.append(Flushed(stream=message.stream, keep_from=stream.keep_from))
        else:
            self.answers.append(Finished(stream=message.stream))
            del self.streams[message.stream]

    def recognise(self, number: int, stream: Stream, events: list[Hypothesis | Segment]) -> None:
        """Report events; perhaps die of it."""
        self.answers.append(
            Recognised(
                stream=number,
                events=tuple(events),
                position=stream.position,
                keep_from=stream.keep_from,
                queue_ms=1.5,
                compute_ms=2.5,
                batch=len(self.streams),
            )
        )
        self.recognised += 1
        if self.recognised == self.options.die_after:
            os._exit(3)


def parse() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--connect", required=True)
    parser.add_argument("--slots", type=int, default=8)
    parser.add_argument("--phrase-lists", type=int, default=16, help="different ones at a time")
    parser.add_argument("--segment", type=int, default=4, help="chunks per segment")
    parser.add_argument("--die-after", type=int, default=0, help="recognised chunks after which the process ends")
    parser.add_argument("--mute", action="store_true", help="answer nothing")
    parser.add_argument("--deaf", action="store_true", help="read nothing after Started")
    parser.add_argument("--first", choices=["started", "nothing", "garbage", "finished"], default="started")
    parser.add_argument("--exit", type=int, default=-1, help="exit at once with this status")
    return parser.parse_args()


def first_message(options: argparse.Namespace) -> bytes:
    """What the worker begins with."""
    if options.first == "garbage":
        return b"\xc1"
    if options.first == "finished":
        return messages.encode(Finished(stream=0))
    started = Started(
        model="fake",
        chunks_ms=(320, 640),
        slots=options.slots,
        lookahead_ms=0,
        device="cpu",
        phrase_lists=options.phrase_lists,
    )
    return messages.encode(started)


def main() -> None:
    """Serve until told to end, or until the server is gone."""
    options = parse()
    if options.exit >= 0:
        sys.exit(f"ERROR it is told to exit with {options.exit}" if options.exit == 1 else options.exit)
    socket = zmq.Context.instance().socket(zmq.DEALER)
    socket.linger = 0
    socket.connect(options.connect)
    if options.first != "nothing":
        socket.send(first_message(options))
    worker, parent = FakeWorker(options), os.getppid()
    while os.getppid() == parent:
        if options.deaf:
            time.sleep(0.2)
        elif socket.poll(1000):
            message = messages.decode_to_worker(socket.recv())
            for answer in worker.handle(message):
                socket.send(messages.encode(answer))
            if isinstance(message, Shutdown):
                socket.close(linger=1000)
                return


if __name__ == "__main__":
    main()
