"""The phonetic search in streams: from a model folder to events, on every engine and in the server's worker."""

import dataclasses
import itertools
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from asr import transcript
from asr.decoding.phonetic_hypotheses import LONGEST_MS, PATIENCE_MS, PhoneticHypotheses
from asr.encoder.reach import reach_frames, whole_chunks
from asr.errors import AsrError, CheckpointError, ConfigError
from asr.language import next_word_files, phone_lexicon, word_files
from asr.language.config import NextWordConfig
from asr.language.fusion import make_search
from asr.language.lexicon_command import lexicon_command
from asr.language.next_word_files import save_next_words
from asr.language.next_word_model import NextWordModel
from asr.language.word_command import Sources, train_words_command
from asr.model_folder import load_model, save_model
from asr.streaming.events import Event, Final, Partial
from asr.streaming.phrase_lists import PhraseLists
from asr.streaming.recognizer import Recognizer
from asr.streaming.slots import SlotEngine
from asr.streaming.stream import LONGEST_REACH_MS, StreamState
from asr.training.checkpoint import weights_of
from asr.transducer.model import Transducer
from data.manifest import ManifestError
from server.session.limits import Limits
from server.worker.messages import Audio, Finish, Open, Recognised, Refused, Segment
from server.worker.worker import Worker

PHONEMES = ["æ", "k", "s", "t", "ʃ"]
SAID = {
    "cat": ["k", "æ", "t"],
    "cats": ["k", "æ", "t", "s"],
    "at": [["æ", "t"], ["t", "æ"]],
    "a": ["æ"],
    "tact": ["t", "æ", "k", "t"],
}
TEXT = ["a cat at a cat", "cats at cats", "tact at a cat", "a tact cat", "at cats a tact", "cat cats tact a at"] * 3


@pytest.fixture(scope="module")
def folder(model_folder: Path, randomised: Callable, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random model with a phoneme head that says phonemes often, words and a lexicon."""
    path = tmp_path_factory.mktemp("phonetic") / "model"
    source, tokenizer = load_model(model_folder)
    model = Transducer(dataclasses.replace(source.config, phonemes=len(PHONEMES)))
    randomised(model, 3)
    weights = {weight.path: weight for weight in model.weights}
    for weight in source.weights:
        weights[weight.path].assign(weight)
    model.phonemes.kernel.assign(4.0 * np.asarray(model.phonemes.kernel))
    decoding = {"beam": 0, "phonetic": {"lm_weight": 0.5, "word_bonus": 0.5, "beam": 20.0, "tokens": 500}}
    save_model(path, model.config, tokenizer, weights_of(model.variables), {"phonemes": PHONEMES, "decoding": decoding})
    (path / "text.txt").write_text("\n".join(TEXT), encoding="utf-8")
    train_words_command(Sources([path / "text.txt"]), path, 1, 0.0, 0.0)
    (path / "said.json").write_text(json.dumps(SAID), encoding="utf-8")
    assert "5 words, 6 pronunciations" in lexicon_command(path, path / "said.json", "en-us")
    return path


@pytest.fixture
def recording(make_audio: Callable) -> np.ndarray:
    """Five seconds."""
    return make_audio(5.0)


def test_words_are_those_of_the_search_on_the_steps_phonemes(folder: Path, recording: np.ndarray) -> None:
    """The folder's default is the phonetic search; whatever sizes the audio comes in, the words are the lexicon's."""
    recognizer = Recognizer(folder, 320, silence_ms=0, mode="graph")
    found = recognizer.transcribe(recording)
    engine = recognizer.engine
    state, frames = engine.initial_state(), []
    padded = np.zeros(-(-len(recording) // engine.samples) * engine.samples, np.float32)
    padded[: len(recording)] = recording
    for n in range(len(padded) // engine.samples):
        samples = padded[None, n * engine.samples : (n + 1) * engine.samples]
        state, out = engine.step(state, samples, np.full(1, engine.frames, np.int32), np.array([n == 0]))
        frames.append(out["phonemes"].reshape(-1, len(PHONEMES) + 1))
    words = recognizer.engine.search.words
    search = words.hypotheses(80)._begin()
    search.advance(np.concatenate(frames))
    expected = [words.texts[w.word] for w in search.finals(1)[0][1]]
    assert found.text == " ".join(expected)
    assert len(expected) > 3 and set(expected) <= set(SAID)
    placed = [w for segment in found.segments for w in segment.words]
    assert [w.start_ms for w in placed] == sorted(w.start_ms for w in placed)
    assert all(0 <= w.start_ms <= w.end_ms <= 5120 and 0.0 <= w.confidence <= 1.0 for w in placed)


@pytest.mark.parametrize("engine", ["litert", "litert-int8"])
def test_other_engines_say_words_of_the_lexicon(folder: Path, recording: np.ndarray, engine: str) -> None:
    """In float32 the same; with int8 weights of the same lexicon."""
    found = Recognizer(folder, 320, silence_ms=0, engine=engine).transcribe(recording).text
    if engine == "litert":
        assert found == Recognizer(folder, 320, silence_ms=0, mode="graph").transcribe(recording).text
    assert found and set(found.split()) <= set(SAID)


def test_events_keep_their_promises(folder: Path, recording: np.ndarray) -> None:
    """Stable characters stay, the final's text begins with them, and other readings are told with their shares."""
    recognizer = Recognizer(folder, 160, silence_ms=0, mode="graph")
    stream, kept = recognizer.stream(), ""
    events = [event for part in np.split(recording, 25) for event in stream.accept(part)]
    *partials, final = [*events, *stream.finish_events()]
    assert partials and all(isinstance(event, Partial) for event in partials)
    for event in partials:
        assert event.text.startswith(kept)
        kept = event.text[: event.stable]
    assert isinstance(final, Final) and final.result.text.startswith(kept) and kept
    assert final.alternatives and all(0.0 <= other.confidence < 1.0 for other in final.alternatives)
    assert final.result.text not in [other.text for other in final.alternatives]


def test_streams_do_not_meet(folder: Path, make_audio: Callable) -> None:
    """Two streams at a time say what each says alone, and a place that is used again starts anew."""
    sounds = [make_audio(3.0, seed=1), make_audio(2.0, seed=2)]
    alone = Recognizer(folder, 320, mode="graph")
    expected = [alone.transcribe(sound).text for sound in sounds]
    both = Recognizer(folder, 320, streams=2, mode="graph")
    first, second = both.stream(), both.stream()
    first.push(sounds[0])
    second.push(sounds[1])
    assert [second.finish().text, first.finish().text] == expected[::-1]


def test_phrases_are_favoured(folder: Path, recording: np.ndarray) -> None:
    """Words of the lexicon by their weight; one that it lacks is pronounced, or else refused with a reason."""
    plain = Recognizer(folder, 320, silence_ms=0, mode="graph").transcribe(recording).text.split()
    fond = Recognizer(folder, 320, silence_ms=0, mode="graph", phrase_weight=3.0)
    assert fond.transcribe(recording, ["tact"]).text.split().count("tact") > plain.count("tact")
    assert fond.transcribe(recording, []).text.split() == plain
    with pytest.raises(AsrError, match=r"expected words of the lexicon, or a way to say .* found none for 'mama'"):
        fond.stream(["cat", "mama"])
    with pytest.raises(AsrError, match="expected a word or more"):
        fond.stream(["…"])
    with pytest.raises(AsrError, match="expected at most"):
        fond.stream([" ".join(words) for words in itertools.product(SAID, repeat=5)])
    assert [fond.stream(["cat"]).finish().text] == [""]  # no place was lost
    assert "tats" in fond.transcribe(recording, ["tats"]).text.split()


def finals(events: list[Event]) -> list[tuple[int, transcript.Segment]]:
    return [(event.segment, event.result) for event in events if isinstance(event, Final)]


@pytest.fixture
def with_pauses(make_audio: Callable) -> np.ndarray:
    """Sixteen seconds, a fifth of them silence."""
    sound = make_audio(16.0)
    for start in (3.0, 7.5, 12.0):
        sound[int(16_000 * start) : int(16_000 * (start + 1.0))] = 0.0
    return sound


@pytest.mark.parametrize("engine", ["xla", "litert-int8"])
@pytest.mark.parametrize("chunk_ms", [160, 640])
def test_a_lost_stream_goes_on_word_for_word(folder: Path, with_pauses: np.ndarray, engine: str, chunk_ms: int) -> None:
    """The encoder goes on over pauses, and yet what came before `keep_from` is not needed: bit by bit."""
    mode = "graph" if engine == "xla" else "compiled"
    recognizer = Recognizer(folder, chunk_ms, silence_ms=160, mode=mode, engine=engine)
    stream, expected, lost = recognizer.stream(), [], []
    for start in range(0, len(with_pauses), 8_000):
        expected += finals(stream.accept(with_pauses[start : start + 8_000]))
        state = stream.state
        lost.append((len(expected), state.keep_from, state.segment_ms, state.begun_ms))
        assert state.keep_from <= 16 * state.segment_ms and state.segment_ms <= state.begun_ms <= state.audio_ms
    expected += finals(stream.finish_events())
    assert len(expected) > 2 and any(0 < keep_from < 16 * segment_ms for _, keep_from, segment_ms, _ in lost)
    for count, keep_from, *times in dict.fromkeys(lost):
        stream = recognizer.stream()
        stream.state = StreamState(recognizer.tokenizer, recognizer.engine, 160, keep_from, count, *times)
        found = finals(stream.accept(with_pauses[keep_from:])) + finals(stream.finish_events())
        assert found == expected[count:]


def test_an_encoder_that_depends_on_too_much_starts_anew(
    folder: Path, with_pauses: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With each segment, which then needs no audio from before it."""
    recognizer = Recognizer(folder, 160, silence_ms=160, mode="graph")
    monkeypatch.setattr("asr.streaming.stream.LONGEST_REACH_MS", 0)
    with recognizer.stream() as stream:
        found = []
        for start in range(0, len(with_pauses), 8_000):
            found += finals(stream.accept(with_pauses[start : start + 8_000]))
            assert stream.state.keep_from == 16 * stream.state.segment_ms
    assert len(found) > 2


def test_little_audio_is_kept(folder: Path, make_audio: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long the stream: a segment's longest, what a restart may hear again, and what the encoder depends on."""
    monkeypatch.setattr(PhoneticHypotheses, "patience_ms", 8_000)
    monkeypatch.setattr(PhoneticHypotheses, "longest_ms", 16_000)
    recogniser, longest = Recognizer(folder, 640, mode="graph"), 0
    config, frames = recogniser.transducer.config, recogniser.engine.frames
    reach_s = 0.08 * (reach_frames(config, frames) + whole_chunks(config.left_frames, frames))
    with recogniser.stream() as stream:
        for second in range(40):
            stream.accept(make_audio(1.0, second))
            longest = max(longest, stream.state.buffer.received - stream.state.keep_from)
    assert 8 * 16_000 < longest <= (16 + 5 + reach_s) * 16_000
    assert PATIENCE_MS < LONGEST_MS <= (125 - 5) * 1000
    assert LONGEST_MS + LONGEST_REACH_MS <= 190_000 - 5_000
    assert Limits.held_s > 190


def test_the_worker_serves_it(folder: Path, recording: np.ndarray) -> None:
    """A session of the server says what the recogniser says; phrases that cannot be said are refused."""
    model, tokenizer = load_model(folder)
    search = make_search(folder, model, tokenizer, 0)
    slots = SlotEngine(model, [320], 2, (1,), search, PhraseLists(tokenizer, 2))
    worker = Worker(slots, tokenizer, time.monotonic)
    assert worker.handle(Open(stream=1, chunk_ms=320, silence_ms=0)) == []
    (refused,) = worker.handle(Open(stream=2, chunk_ms=320, silence_ms=0, phrases=("mama",)))
    assert isinstance(refused, Refused) and refused.unsupported and "'mama'" in refused.message
    worker.handle(Audio(stream=1, samples=recording.tobytes()))
    worker.handle(Finish(stream=1))
    answers = []
    while worker.busy:
        answers += worker.work()
    finals = [e for a in answers if isinstance(a, Recognised) for e in a.events if isinstance(e, Segment)]
    assert finals[-1].text == Recognizer(folder, 320, silence_ms=0).transcribe(recording).text


def test_a_worker_takes_over_where_a_lost_one_says(folder: Path, with_pauses: np.ndarray) -> None:
    """What `Recognised` tells of the open segment is all that `Open` needs, besides the audio since `keep_from`."""
    model, tokenizer = load_model(folder)
    search = make_search(folder, model, tokenizer, 0)

    def heard(opening: Open, samples: np.ndarray, *last: Finish) -> tuple[list[Recognised], list[Segment]]:
        slots = SlotEngine(model, [160], 1, (1,), search, PhraseLists(tokenizer, 2))
        worker, answers = Worker(slots, tokenizer, time.monotonic), []
        for message in (opening, Audio(stream=1, samples=samples.tobytes()), *last):
            worker.handle(message)
        while worker.busy:
            answers += [answer for answer in worker.work() if isinstance(answer, Recognised)]
        return answers, [event for answer in answers for event in answer.events if isinstance(event, Segment)]

    _, expected = heard(Open(stream=1, chunk_ms=160, silence_ms=160), with_pauses, Finish(stream=1))
    answers, before = heard(Open(stream=1, chunk_ms=160, silence_ms=160), with_pauses[: 14 * 16_000])
    lost = answers[-1]
    assert 0 < lost.keep_from < 16 * lost.segment_ms
    opening = Open(
        stream=1,
        chunk_ms=160,
        silence_ms=160,
        position=lost.keep_from,
        segment=len(before),
        segment_ms=lost.segment_ms,
        begun_ms=lost.begun_ms,
    )
    _, after = heard(opening, with_pauses[lost.keep_from :], Finish(stream=1))
    assert after and before + after == expected


def test_a_dictionary_adds_what_it_says_otherwise(folder: Path, tmp_path: Path) -> None:
    """Not what sounds like what is there, nor what the model's phonemes cannot say."""
    for name in ("config.json", "tokenizer.model", word_files.NAME):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    dictionary = tmp_path / "cmudict.dict"
    dictionary.write_text("cat  T K\ncat(2)  K K\nat  AE1 T\nelsewhere  T T\n")
    assert "5 words, 7 pronunciations" in lexicon_command(tmp_path, folder / "said.json", "", dictionary)
    dictionary.write_text("cat  T K\ncats\n")
    with pytest.raises(ManifestError, match="line 2: expected a word and its phonemes"):
        lexicon_command(tmp_path, folder / "said.json", "", dictionary)


def test_what_is_missing_is_named(folder: Path, model_folder: Path, tmp_path: Path) -> None:
    """No phoneme head, no lexicon, a lexicon of another head, weights that cannot be."""
    model, tokenizer = load_model(model_folder)
    with pytest.raises(AsrError, match="expected a model with phonemes"):
        make_search(model_folder, model, tokenizer, 0)
    with pytest.raises(CheckpointError, match="expected a model with a phoneme head"):
        lexicon_command(model_folder, None, "")
    model, tokenizer = load_model(folder)
    with pytest.raises(AsrError, match="ilm_weight: expected none"):
        make_search(folder, model, tokenizer, 0, ilm_weight=0.1)
    other = tmp_path / "model"
    other.mkdir()
    for name in ("config.json", "tokenizer.model", "weights.npz", word_files.NAME):
        (other / name).write_bytes((folder / name).read_bytes())
    with pytest.raises(AsrError, match=r"lexicon\.npz"):
        make_search(other, model, tokenizer, 0)
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps({**config, "phonemes": PHONEMES[:4]}))
    lexicon_command(other, folder / "said.json", "")
    with pytest.raises(CheckpointError, match=r"expected the phonemes of the model's config\.json, got 4 others"):
        make_search(other, model, tokenizer, 0)
    (other / "config.json").write_text(json.dumps({**config, "phonemes": ["x"]}))
    with pytest.raises(AsrError, match="expected words that these phonemes can say"):
        lexicon_command(other, folder / "said.json", "")
    (other / "said.json").write_text('{"cat": "k a t"}')
    with pytest.raises(ConfigError, match=r"said\.json"):
        lexicon_command(other, other / "said.json", "")
    for wrong in (
        {"tokens": 0},
        {"beam": 0.0},
        {"lm_weight": -1.0},
        {"word_bonus": float("nan")},
        {"network_share": 1.0},
    ):
        (other / "config.json").write_text(json.dumps({**config, "decoding": {"beam": 0, "phonetic": wrong}}))
        with pytest.raises(CheckpointError, match=rf"decoding: (phonetic\.)?{next(iter(wrong))}: expected"):
            make_search(other, model, tokenizer, 0)


def test_a_network_over_words_joins_in(folder: Path, recording: np.ndarray, tmp_path: Path) -> None:
    """One in the folder has its share of each word's probability; none, with a share of 0; a damaged one is refused."""
    for name in ("config.json", "tokenizer.model", "weights.npz", word_files.NAME, phone_lexicon.NAME):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    plain = Recognizer(folder, 320, silence_ms=0, mode="graph").transcribe(recording).text.split()
    liked = "tact" if plain.count("tact") < plain.count("cats") else "cats"
    words = ["<unk>", "cat", "cats", "at", "a", "tact"]
    network = NextWordModel(NextWordConfig(len(words), 4, 6), dtype="float32")
    network.output_bias.assign([0.0 if word == liked else -30.0 for word in words])
    save_next_words(tmp_path / next_word_files.NAME, words, weights_of(network.variables))
    config = json.loads((tmp_path / "config.json").read_text())

    def said(share: float) -> list[str]:
        weights = {**config["decoding"]["phonetic"], "lm_weight": 1.5, "network_share": share}
        (tmp_path / "config.json").write_text(json.dumps({**config, "decoding": {"beam": 0, "phonetic": weights}}))
        return Recognizer(tmp_path, 320, silence_ms=0, mode="graph").transcribe(recording).text.split()

    assert said(0.95).count(liked) > said(0.0).count(liked)
    (tmp_path / next_word_files.NAME).write_bytes(b"no archive")
    assert said(0.0)
    with pytest.raises(CheckpointError, match=next_word_files.NAME):
        said(0.5)


def test_the_lexicon_is_this_folders(folder: Path) -> None:
    """Its file is small, and holds the phonemes in the head's order."""
    ngrams, _, _ = word_files.read_words(folder / word_files.NAME, load_model(folder)[1])
    found = phone_lexicon.load_phone_lexicon(folder / phone_lexicon.NAME, ngrams.words, ngrams.log_probs)
    assert list(found.symbols) == PHONEMES
    assert sorted({ngrams.words[w] for w in found.tree.words}) == sorted(SAID)
