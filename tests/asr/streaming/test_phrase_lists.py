"""Phrases in streams: shared lists, streams with and without them side by side, greedily and in a beam."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from asr.decoding.phrases import NODES
from asr.errors import AsrError
from asr.model_folder import load_model
from asr.streaming.phrase_lists import PhraseLists, PhraseListsFull
from asr.streaming.recognizer import Recognizer
from asr.tokenizer import Tokenizer


@pytest.fixture(scope="module")
def tokenizer(model_folder: Path) -> Tokenizer:
    return load_model(model_folder)[1]


def test_streams_share_a_list_and_its_place_is_used_again(tokenizer: Tokenizer) -> None:
    lists = PhraseLists(tokenizer, 2)
    assert lists.take([]) == 0
    first = lists.take(["the cat", "a rat"])
    before = lists.tables
    assert lists.take(["the cat", "a rat", "the cat"]) == first
    assert lists.tables is before
    second = lists.take(["tea"])
    assert {first, second} == {1, 2}
    assert lists.tables.following.shape == (3, NODES, len(tokenizer))
    assert np.asarray(lists.tables.earned)[[first, second]].any(axis=1).all()
    assert not np.asarray(lists.tables.earned)[0].any()
    with pytest.raises(PhraseListsFull, match="at most 2 different lists"):
        lists.take(["noon"])
    lists.release(first)
    with pytest.raises(PhraseListsFull):
        lists.take(["noon"])  # one stream still follows it
    lists.release(first)
    assert lists.take(["noon"]) == first
    lists.release(second)
    assert lists.take(["tea"]) == second  # still there


def test_the_empty_list_is_never_given_away(model_folder: Path) -> None:
    """Streams that were open before the first phrases came follow it without being counted."""
    recognizer = Recognizer(model_folder, 640, 4)
    first, second = recognizer.stream(), recognizer.stream()
    recognizer.stream(["the cat"])
    first.finish()
    assert second.phrases == 0
    assert recognizer.stream(["tea"]).phrases > 0


def test_a_text_is_no_list_of_phrases(model_folder: Path) -> None:
    with pytest.raises(AsrError, match="phrases: expected a list of phrases, got the text 'tea'"):
        Recognizer(model_folder, 640).stream("tea")


def test_what_cannot_be_made_is_refused(tokenizer: Tokenizer) -> None:
    with pytest.raises(AsrError, match="phrases: expected none"):
        PhraseLists(tokenizer, 0).take(["tea"])
    with pytest.raises(AsrError, match="phrase_weight: expected a number of 0 or more, got -1"):
        PhraseLists(tokenizer, 1, -1.0)


@pytest.mark.parametrize("beam", [1, 3])
def test_a_stream_favours_its_phrases_and_leaves_others_alone(
    beam: int, model_folder: Path, make_audio: Callable
) -> None:
    """With a bonus above all else, what begins like a phrase becomes that phrase."""
    samples = make_audio(4.0, 3)
    phrases = ["Omega!", "onto", "tomato"]
    recognizer = Recognizer(model_folder, 640, 2, beam=beam, phrase_weight=1000.0)
    plain = recognizer.transcribe(samples)
    with recognizer.stream() as one, recognizer.stream(phrases) as other:
        one.push(samples)
        other.push(samples)
        beside, favoured = one.finish(), other.finish()
    assert beside.text == plain.text
    assert [w.confidence for w in beside.words] == pytest.approx([w.confidence for w in plain.words], abs=1e-4)
    named = {"omega", "onto", "tomato"}
    assert named & set(favoured.text.split())
    assert not named & set(plain.text.split())
    with pytest.raises(AsrError, match="phrase '中'"):
        recognizer.stream(["中"])
    again = recognizer.transcribe(samples, phrases)
    assert again.text == favoured.text


def test_no_bonus_changes_nothing(model_folder: Path, make_audio: Callable) -> None:
    samples = make_audio(4.0, 5)
    recognizer = Recognizer(model_folder, 640, phrase_weight=0.0)
    assert recognizer.transcribe(samples, ["the cat"]) == recognizer.transcribe(samples)
