"""Spliced utterances: the words of one speaker, with the frames they were recorded with, never too long."""

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from data.manifest import Utterance
from data.splice import Splicer

TEXTS = {"a1": "one two three four", "a2": "five six seven", "b1": "eight nine ten"}
WORDS = {word: 100 * i for i, word in enumerate(" ".join(TEXTS.values()).split())}
LENGTHS = {"a1": (30, 20, 50, 45), "a2": (60, 40, 35), "b1": (50, 50, 50)}
SPANS = {}
for _name, _lengths in LENGTHS.items():
    _ends = np.cumsum([0, *_lengths]).tolist()
    SPANS[_name] = list(itertools.pairwise(_ends))
UTTERANCES = [Utterance(name, f"{name}.wav", 1.0, name[0], text, "train") for name, text in TEXTS.items()]


def features(name: str) -> np.ndarray:
    """Frames that say which word they are of, and which of its frames they are."""
    return np.concatenate(
        [
            np.stack([np.full(end - start, WORDS[word]), np.arange(end - start)], axis=1)
            for word, (start, end) in zip(TEXTS[name].split(), SPANS[name], strict=True)
        ]
    ).astype(np.float32)


def splicer(words: float = 2.0) -> Splicer:
    return Splicer(UTTERANCES, SPANS, features, words)


@given(st.sampled_from(sorted(TEXTS)), st.integers(0, 10_000))
def test_frames_say_the_text_and_no_more_than_there_was_room_for(name: str, seed: int) -> None:
    made = splicer()(name, np.random.default_rng(seed))
    assert made is not None
    assert 0 < len(made.frames) <= SPANS[name][-1][1]
    own = {word for other, text in TEXTS.items() if other[0] == name[0] for word in text.split()}
    assert set(made.text.split()) <= own  # of the same speaker
    names = {value: word for word, value in WORDS.items()}
    starts = np.flatnonzero(made.frames[:, 1] == 0)
    assert [names[int(value)] for value in made.frames[starts, 0]] == made.text.split()
    lengths = {w: n for other in TEXTS for w, n in zip(TEXTS[other].split(), LENGTHS[other], strict=True)}
    assert len(made.frames) == sum(lengths[word] for word in made.text.split())  # whole words


def test_it_repeats_from_the_generator_and_changes_with_it() -> None:
    texts = [splicer()("a1", np.random.default_rng(seed)) for seed in (1, 1, 2, 3, 4)]
    assert all(texts)
    found = [t.text for t in texts if t]
    assert found[0] == found[1]
    assert len(set(found)) > 2


def test_runs_of_words_stay_together_the_longer_the_more() -> None:
    follows = {pair for text in TEXTS.values() for pair in itertools.pairwise(text.split())}

    def share(words: float) -> float:
        pairs = []
        for seed in range(200):
            made = splicer(words)("a1", np.random.default_rng(seed))
            assert made is not None
            pairs += itertools.pairwise(made.text.split())
        return sum(pair in follows for pair in pairs) / len(pairs)

    assert share(1.0) < share(3.0)


def test_what_was_not_aligned_is_not_spliced() -> None:
    assert splicer()("c1", np.random.default_rng(0)) is None
    only = Splicer(UTTERANCES, {"a1": SPANS["a1"]}, features, 2.0)
    made = only("a1", np.random.default_rng(0))  # its own words, in another order
    assert made is not None and set(made.text.split()) <= set(TEXTS["a1"].split())
    assert only("a2", np.random.default_rng(0)) is None
