"""Which phonemes a segment's search is given, with a search that only counts them."""

import numpy as np
import pytest

from asr.decoding.phonetic import SaidWord
from asr.decoding.phonetic_hypotheses import PhoneticHypotheses
from asr.tokenizer import Tokenizer, train_tokenizer

FRAME_MS = 80  # of two frames of phonemes
CHUNK = 16  # frames of phonemes: 640 ms


class Counting:
    """Says one word from the first frame to the last."""

    def __init__(self) -> None:
        self.heard: list[int] = []
        self.settled = 0

    def advance(self, log_probs: np.ndarray) -> None:
        self.heard += log_probs[:, 0].astype(int).tolist()

    @property
    def said(self) -> int:
        return len(self.heard)

    def best(self) -> list[SaidWord]:
        return [SaidWord(0, 0, len(self.heard) - 1, -1.0)]

    def finals(self, count: int) -> list[tuple[float, list[SaidWord]]]:
        return [(0.0, self.best())]


class Segments:
    """Hypotheses that hear frames with numbers: the nth frame of the stream says n."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.searches: list[Counting] = []
        self.hypotheses = PhoneticHypotheses(self.begin, ["the"], tokenizer, FRAME_MS)

    def begin(self) -> Counting:
        self.searches.append(Counting())
        return self.searches[-1]

    def row(self, chunk: int) -> tuple[dict[str, np.ndarray], int]:
        """Outputs of a chunk of two blocks, and the time at which it begins."""
        numbers = np.arange(CHUNK * chunk, CHUNK * (chunk + 1), dtype=np.float32)
        phonemes = np.repeat(numbers[:, None], 3, axis=1).reshape(2, CHUNK // 2, 3)
        return {"phonemes": phonemes, "heard": np.array([True, True])}, 40 * CHUNK * chunk


@pytest.fixture
def segments() -> Segments:
    return Segments(train_tokenizer(["the cat sat on the mat", "a rat ate the hat then"] * 3, 30))


def test_a_segment_begins_in_what_was_heard(segments: Segments) -> None:
    hypotheses = segments.hypotheses
    for chunk in range(3):
        hypotheses.accept(*segments.row(chunk), 0)
    hypotheses.close(0, 1_300)
    hypotheses.clear()
    for chunk in (3, 4):
        hypotheses.accept(*segments.row(chunk), 1_300)
    assert [search.heard for search in segments.searches] == [list(range(48)), list(range(33, 80))]
    first, last = hypotheses.best[0], hypotheses.best[-1]
    assert (first.start_ms, last.until_ms(FRAME_MS)) == (1_320, 3_200)
    assert hypotheses.said_until_ms == 3_200


def test_what_is_forgotten_is_heard_no_more(segments: Segments) -> None:
    """Whole chunks of it: no segment begins before."""
    hypotheses = segments.hypotheses
    for chunk in range(3):
        hypotheses.listen(*segments.row(chunk))
    hypotheses.forget(1_279)
    hypotheses.accept(*segments.row(3), 0)
    hypotheses.clear()
    hypotheses.forget(1_280)
    hypotheses.accept(*segments.row(4), 0)
    assert [search.heard for search in segments.searches] == [list(range(16, 64)), list(range(32, 80))]


def test_a_segment_may_end_with_the_chunk_with_which_it_was_known_to_begin(segments: Segments) -> None:
    """At the stream's end its words are said, of audio that comes once only."""
    hypotheses = segments.hypotheses
    hypotheses.accept(*segments.row(0), 0)
    hypotheses.close(0, 320)
    hypotheses.clear()
    hypotheses.close(320, None)
    assert segments.searches[1].heard == list(range(8, 16))
    assert hypotheses.best[0].start_ms == 320


def test_nothing_is_said_of_audio_that_will_come_again(segments: Segments) -> None:
    """After a restart that hears it anew, and of a word that was taken out of its segment."""
    hypotheses = segments.hypotheses
    hypotheses.accept(*segments.row(0), 0)
    hypotheses.cut(1)
    hypotheses.close(0, 320)
    assert len(hypotheses.best) == 1
    hypotheses.clear()
    hypotheses.forget(float("inf"))
    hypotheses.close(320, None)
    assert hypotheses.best == [] and len(segments.searches) == 1
