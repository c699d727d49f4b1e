"""What a run reads: splits, tokenizer, features once, normalisation, noise."""

import dataclasses
import json
import lzma
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from asr.errors import AsrError, CheckpointError, ConfigError
from asr.features import log_mel
from asr.tokenizer import characters
from asr.training import corpus
from asr.training.corpus import Corpus, heard_speakers, load_corpus, phoneme_bigram
from data.audio import load_audio
from data.batches import Example, make_buckets
from data.cache import write_cache
from data.manifest import Utterance, read_manifest, write_manifest
from data.splice import Part

RATE = 16_000
TEXTS = ("ab ba", "cad dab", "bad cd ab", None)


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """Three training utterances with a text and one without, and one of dev."""
    rng = np.random.default_rng(0)
    utterances = []
    for i, text in enumerate([*TEXTS, "ab"]):
        samples = 0.1 * rng.normal(size=RATE // 2 + 800 * i)
        soundfile.write(tmp_path / f"{i}.wav", samples, RATE)
        split = "dev" if i == 4 else "train"
        utterances.append(Utterance(f"u{i}", str(tmp_path / f"{i}.wav"), len(samples) / RATE, "ann", text, split))
    write_manifest(tmp_path / "manifest.jsonl", utterances)
    return tmp_path


@pytest.fixture
def load(base: Path, make_config: Callable) -> Callable[..., Corpus]:
    def run(**data: Any) -> Corpus:
        model = {"vocabulary": data.pop("vocabulary", 8), "phonemes": data.pop("phonemes", 0)}
        loss = {"text": 0.2 if data.setdefault("texts", []) else 0.0, "text_first_steps": 0}
        loss |= {"phonemes": 0.3 * ("pronunciations" in data), "teacher": 1.0 * ("teacher" in data)}
        augment = data.pop("augment", {})
        config = make_config(model=model, data=data, loss=loss, augment=augment)
        return load_corpus(config, base, base / "run")

    return run


def test_examples_have_labels_and_their_places(load: Callable[..., Corpus]) -> None:
    found = load()
    assert [e.utterance.id for e in found.train] == ["u0", "u1", "u2"]  # the fourth has no text
    assert [u.id for u in found.dev["dev"]] == ["u4"]
    for example in found.train:
        assert found.tokenizer.decode(example.pieces) == example.utterance.text
        assert len(example.characters) == len(example.utterance.transcript)
        assert len(example.places) == len(example.pieces)
        assert list(example.places) == sorted(example.places) and 0 < example.places[0] < example.places[-1] < 1
        assert example.frames == len(found.features[example.utterance.id])


def test_features_are_those_of_the_audio(load: Callable[..., Corpus], base: Path) -> None:
    found = load()
    for i in range(5):
        expected = log_mel(load_audio(base / f"{i}.wav"))
        np.testing.assert_allclose(found.features[f"u{i}"], expected, rtol=1e-3, atol=1e-2)  # half precision
    frames = np.concatenate([found.features[f"u{i}"] for i in range(3)])
    np.testing.assert_allclose(found.mean, frames.mean(0), rtol=1e-4)
    np.testing.assert_allclose(found.deviation, frames.std(0), rtol=1e-4)


def test_audio_is_decoded_once(load: Callable[..., Corpus], monkeypatch: pytest.MonkeyPatch) -> None:
    first = load()

    def fails(path: Path) -> None:
        raise AssertionError("decoded again")

    monkeypatch.setattr(corpus, "featurise", fails)
    second = load()
    np.testing.assert_array_equal(second.features.frames, first.features.frames)
    assert second.tokenizer.texts == first.tokenizer.texts
    np.testing.assert_array_equal(second.mean, first.mean)


@pytest.mark.parametrize("name", ["more.txt", "more.txt.xz"])
def test_a_tokenizer_sees_other_texts_too(load: Callable[..., Corpus], base: Path, name: str) -> None:
    content = b"zoo zoo\nzoo z\n" * 20
    (base / name).write_bytes(lzma.compress(content) if name.endswith("xz") else content)
    assert any("z" in text for text in load(texts=[name], vocabulary=12).tokenizer.texts)
    assert not any("z" in text for text in load().tokenizer.texts)


def test_a_tokenizer_may_be_given(load: Callable[..., Corpus], base: Path) -> None:
    model = load(vocabulary=9).tokenizer.model
    (base / "given.model").write_bytes(model)
    assert load(vocabulary=9, tokenizer="given.model").tokenizer.model == model
    with pytest.raises(ConfigError, match="vocabulary: the tokenizer has 9 pieces, got 8"):
        load(tokenizer="given.model")
    with pytest.raises(CheckpointError, match=r"none\.model: No such file"):
        load(tokenizer="none.model")


def test_noise_is_kept_apart(load: Callable[..., Corpus], base: Path) -> None:
    (base / "noise").mkdir()
    soundfile.write(base / "noise" / "wind.wav", 0.5 * np.random.default_rng(1).normal(size=RATE), RATE)
    found = load(noise="noise")
    (noise,) = found.noises
    assert noise.shape == (len(log_mel(load_audio(base / "noise" / "wind.wav"))), 80)
    assert all(e.utterance.speaker == "ann" for e in found.train)


def test_noises_whose_names_differ_in_their_kind_are_two(load: Callable[..., Corpus], base: Path) -> None:
    (base / "noise").mkdir()
    (base / "noise" / ".hidden").write_bytes(b"no audio")
    for name, seconds in (("hum.wav", 1), ("hum.flac", 2)):
        soundfile.write(base / "noise" / name, np.random.default_rng(seconds).normal(size=seconds * RATE) / 9, RATE)
    assert sorted(len(noise) for noise in load(noise="noise").noises) == [
        len(log_mel(np.zeros(seconds * RATE, np.float32))) for seconds in (1, 2)
    ]


def test_noise_too_short_for_a_frame_is_named(load: Callable[..., Corpus], base: Path) -> None:
    """When the corpus is read, and not when a batch first draws it."""
    (base / "noise").mkdir()
    for name, samples in (("click.wav", 20), ("wind.wav", RATE)):
        soundfile.write(base / "noise" / name, np.full(samples, 0.1), RATE)
    with pytest.raises(ConfigError, match=r"noise: .*click\.wav: expected a recording of at least one frame"):
        load(noise="noise")
    (base / "noise" / "click.wav").unlink()
    assert len(load(noise="noise").noises) == 1


def test_a_teacher_says_nothing_of_recordings_that_have_changed(load: Callable[..., Corpus], base: Path) -> None:
    heard = read_manifest(base / "manifest.jsonl")[:3]
    write_cache(heard, [np.ones((12, 4), np.float16)] * 3, base / "said", "a teacher", bins=4)
    soundfile.write(base / "1.wav", np.full(RATE // 2, 0.1), RATE)
    teacher = load(teacher="said").teacher
    assert teacher is not None and teacher.width == 8
    told = {u.id: teacher.targets([Part(u.id, 0, 48)], 1.0, 48)[1].tolist() for u in heard}
    assert told == {"u0": [1.0] * 6, "u1": [0.0] * 6, "u2": [1.0] * 6}


def test_what_has_no_text_is_not_evaluated(load: Callable[..., Corpus], base: Path) -> None:
    utterances = read_manifest(base / "manifest.jsonl")
    more = [dataclasses.replace(utterances[0], id=f"v{i}", text=text, split="dev") for i, text in enumerate((None, ""))]
    write_manifest(base / "manifest.jsonl", [*utterances, *more])
    assert [u.id for u in load().dev["dev"]] == ["u4"]
    write_manifest(base / "manifest.jsonl", [*utterances[:4], *more])
    with pytest.raises(ConfigError, match="expected utterances of split 'dev' with a text, found none"):
        load()


@pytest.mark.parametrize("splits", [{"train": ["train", "more"]}, {"dev": ["more"]}])
def test_a_split_that_is_not_there_is_an_error(load: Callable[..., Corpus], splits: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"manifest\.jsonl: .* of split 'more' with a text, found none"):
        load(**splits)


def test_a_broken_recording_is_named_and_nothing_is_cached(load: Callable[..., Corpus], base: Path) -> None:
    (base / "2.wav").write_bytes(b"no audio")
    with pytest.raises(ValueError, match=r"2\.wav: expected audio"):
        load()
    assert not (base / "run" / "cache" / "index.json").exists()


def test_text_for_the_text_loss_is_the_files_and_the_transcripts(load: Callable[..., Corpus], base: Path) -> None:
    assert load().text is None
    (base / "more.txt").write_text("dab cad\nab ab ab\n")
    found = load(texts=["more.txt"], vocabulary=8, text_labels=30)
    assert found.text is not None
    batch = found.text.at(0, 5)
    rows = [row[:n] for row, n in zip(batch["text"].tolist(), batch["text_lengths"], strict=True)]
    assert sorted(map(found.tokenizer.decode, rows)) == sorted([*TEXTS[:3], "dab cad", "ab ab ab"])


def test_a_text_loss_without_text_files_is_an_error(make_config: Callable) -> None:
    with pytest.raises(ConfigError, match="expected text files for the text loss, got none"):
        make_config(data={"texts": []}, loss={"text_first_steps": 0})


def test_joined_examples_say_what_their_utterances_say(load: Callable[..., Corpus], base: Path) -> None:
    """Labels of the texts behind each other, as many frames as are heard then; each utterance once an epoch."""
    (base / "said.json").write_text(json.dumps(SAID))
    augment = {"join_probability": 1.0 - 1e-9, "join_pause_ms": 50.0, "speeds": [1.0]}
    found = load(augment=augment, pronunciations="said.json", phonemes=4, bucket_frames=[256])
    texts = {e.utterance.id: e.utterance.transcript for e in found.train}
    sizes = set()
    for seed in range(8):
        examples = found.join(found.train, np.random.default_rng(seed))
        assert sorted(name for e in examples for name in (e.joined.sources if e.joined else (e.utterance.id,))) == [
            "u0",
            "u1",
            "u2",
        ]
        for example in filter(lambda e: e.joined, examples):
            text = " ".join(texts[name] for name in example.joined.sources)
            assert list(example.characters) == list(characters(text))
            assert found.tokenizer.decode(example.pieces) == text
            assert len(example.phonemes) == len(text.replace(" ", ""))
            heard = sum(len(found.features[name]) for name in example.joined.sources) + sum(example.joined.pauses)
            assert example.frames == heard <= 256
            sizes.add(len(example.joined.sources))
    assert max(sizes) > 1
    assert load().join(found.train, np.random.default_rng(0)) is found.train


def test_nobody_is_lost_beside_one_with_too_many_labels(load: Callable[..., Corpus]) -> None:
    """One that fits no bucket joins no row, and a row that would fit none falls apart."""
    found = load(augment={"join_probability": 1.0 - 1e-9, "speeds": [1.0]}, bucket_frames=[256])
    most = make_buckets([256], 256)[0].characters
    texts = {0: "a" * (most + 1), 1: "a" * most, 2: "b" * most}
    train = []
    for i, example in enumerate(found.train):
        made = dataclasses.replace(example.utterance, text=texts[i])
        train.append(dataclasses.replace(example, utterance=made, characters=(1,) * len(texts[i])))
    for seed in range(8):
        rows = found.join(train, np.random.default_rng(seed))
        assert sorted(e.utterance.id for e in rows) == ["u0", "u1", "u2"]
        assert next(e for e in rows if e.utterance.id == "u0") is train[0]


def test_some_examples_give_way_to_spliced_ones(load: Callable[..., Corpus], monkeypatch: pytest.MonkeyPatch) -> None:
    def spans(path: Path, folder: Path, utterances: list[Utterance], *rest: Any) -> dict[str, list[tuple[int, int]]]:
        assert folder.name == "aligner"
        return {u.id: [(12 * i, 12 * i + 12) for i in range(len(u.transcript.split()))] for u in utterances}

    monkeypatch.setattr(corpus, "kept_spans", spans)
    found = load(augment={"splice_probability": 0.5, "splice_model": "aligner", "splice_words": 1.0})
    rng = np.random.default_rng(0)
    made = [found.splice(found.train[2], rng) for _ in range(60)]
    assert 15 < sum(m is not None for m in made) < 45
    words = {word for text in TEXTS if text for word in text.split()}
    for example, frames, parts in filter(None, made):
        assert sum(part.stop - part.start for part in parts) == len(frames)
        assert set(example.utterance.transcript.split()) <= words
        assert found.tokenizer.decode(example.pieces) == example.utterance.transcript
        assert example.frames == len(frames) == 12 * len(example.utterance.transcript.split())
    assert load().splice(found.train[2], rng) is None


WORDS = {word for text in TEXTS if text for word in text.split()}
SAID = {word: [f"{c}~" for c in reversed(word)] for word in WORDS}


def test_examples_have_phonemes_if_there_are_pronunciations(load: Callable[..., Corpus], base: Path) -> None:
    """Beside their characters; spliced ones, too."""
    (base / "said.json").write_text(json.dumps(SAID))
    with pytest.raises(ConfigError, match=r"phonemes: expected 4, as said\.json has, got 3"):
        load(pronunciations="said.json", phonemes=3)
    found = load(pronunciations="said.json", phonemes=4)
    assert found.pronunciations is not None
    for example in found.train:
        transcript = example.utterance.transcript
        assert list(example.characters) == characters(transcript)
        said = found.pronunciations.written(example.phonemes or ()).replace("~", "").replace(" ", "")
        assert said == "".join(word[::-1] for word in transcript.split())
    assert all(example.phonemes is None for example in load().train)


def test_spliced_examples_have_the_phonemes_of_their_text(
    load: Callable[..., Corpus], base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (base / "said.json").write_text(json.dumps(SAID))
    words = 12  # frames of each
    monkeypatch.setattr(
        corpus,
        "kept_spans",
        lambda path, folder, utterances, *rest: {
            u.id: [(words * i, words * i + words) for i in range(len(u.transcript.split()))] for u in utterances
        },
    )
    augment = {"splice_probability": 0.9, "splice_model": "aligner", "splice_words": 1.0}
    found = load(pronunciations="said.json", phonemes=4, augment=augment)
    assert found.pronunciations is not None
    rng = np.random.default_rng(0)
    for example, *_ in filter(None, (found.splice(found.train[2], rng) for _ in range(10))):
        assert list(example.phonemes or ()) == found.pronunciations.encode(example.utterance.transcript)


@pytest.mark.parametrize("missing", ["cad", "ab"])
def test_a_word_without_a_pronunciation_is_named_before_training(
    load: Callable[..., Corpus], base: Path, missing: str
) -> None:
    """In dev, too, which says no other word than "ab"."""
    rest = {word: said for word, said in SAID.items() if word != missing} | {"else": ["a~", "b~", "c~", "d~"]}
    (base / "said.json").write_text(json.dumps(rest))
    with pytest.raises(AsrError, match=f"expected a pronunciation of every word, found none of '{missing}'"):
        load(pronunciations="said.json", phonemes=4)


def test_the_bigram_counts_pairs_within_transcripts() -> None:
    utterance = Utterance("u", "u.wav", 1.0, "ann", "a", "train")
    examples = [Example(utterance, 100, (), (), (), phonemes) for phonemes in ((0, 1, 0, 1), (2,), (1, 1), ())]
    found = phoneme_bigram(examples, 3)
    np.testing.assert_allclose(found, np.array([[0.5, 2.5, 0.5], [1.5, 1.5, 0.5], [0.5] * 3]) / [[3.5], [3.5], [1.5]])


def test_a_share_of_the_speakers_is_part_of_a_larger_one() -> None:
    utterances = [Utterance(f"u{i}", "u.wav", 1.0, f"speaker-{i % 60}", "the cat", "train") for i in range(180)]
    heard = {share: heard_speakers(utterances, share) for share in (0.25, 0.5, 1.0)}
    assert heard[1.0] == utterances
    for share in (0.25, 0.5):
        speakers = {u.speaker for u in heard[share]}
        assert len(speakers) == pytest.approx(60 * share, abs=9)
        assert [u for u in utterances if u.speaker in speakers] == heard[share]  # each with all that is theirs
    assert set(heard[0.25]) < set(heard[0.5])
    with pytest.raises(ConfigError, match="speaker_share: expected a share that leaves one of 60 speakers"):
        heard_speakers(utterances, 1e-9)
