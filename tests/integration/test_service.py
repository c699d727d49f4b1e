"""The whole service with the real worker and a tiny model of random weights: websocket in, words out.

Greedily in one program of XLA, and with a beam and words behind an encoder in eight bits, as people get it on a
processor: everything holds for both.
"""

import asyncio
import importlib.util
import os
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from shutil import copytree
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import pytest_asyncio

from asr.engine_kind import EngineKind
from asr.language.word_command import Sources, train_words_command
from asr.streaming import events as streaming
from asr.streaming.recognizer import Recognizer
from server.settings import Settings
from server.wire import Attention, Encoding, Error, Final, Flush, Flushed, Partial
from tests.server.app.running import Running, start_running, stop_running, until

pytestmark = pytest.mark.asyncio(loop_scope="module")

ROOT = Path(__file__).parents[2]
LOAD_S = 300.0  # for loading and compiling on a busy machine
CHUNK_MS, SILENCE_MS = 320, 800
FRAME = 6400  # bytes of f32le, 100 ms


def _model_fixtures() -> ModuleType:
    """The model's own fixtures: these tests recognise with the same tiny model."""
    spec = importlib.util.spec_from_file_location("asr_fixtures", ROOT / "tests" / "asr" / "conftest.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_asr = _model_fixtures()
make_audio, random_folder = _asr.make_audio, _asr.model_folder


@pytest.fixture(scope="module", params=[1, 4], ids=["greedy", "beam"])
def beam(request: pytest.FixtureRequest) -> int:
    """Hypotheses of the search."""
    return request.param


@pytest.fixture(scope="module")
def engine(beam: int) -> EngineKind:
    """What computes."""
    return EngineKind.xla if beam == 1 else EngineKind.litert_int8


@pytest.fixture(scope="module")
def model_folder(random_folder: Path, beam: int, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model; for the beam, with words."""
    if beam == 1:
        return random_folder
    folder = tmp_path_factory.mktemp("models") / "words"
    copytree(random_folder, folder)
    rng, words = np.random.default_rng(0), ["a", "cat", "hat", "he", "heat", "on", "sat", "sea", "she", "ten", "the"]
    chance = rng.dirichlet(np.full(len(words), 0.3))  # so that some n-grams are frequent and many are not
    sentences = (" ".join(rng.choice(words, rng.integers(1, 9), p=chance)) for _ in range(400))
    text = folder / "text.txt"
    text.write_text("\n".join([*sentences, "once", "rare twice"]), encoding="utf-8")
    train_words_command(Sources([text]), folder, 2, 1.0, 2.0)
    return folder


@pytest.fixture(scope="module")
def alone(model_folder: Path, beam: int, engine: EngineKind) -> Recognizer:
    """What the service is held to."""
    return Recognizer(model_folder, CHUNK_MS, silence_ms=SILENCE_MS, beam=beam, engine=engine)


@pytest.fixture(scope="module")
def sounds(make_audio: Callable[..., np.ndarray]) -> list[np.ndarray]:
    """Recordings of different lengths."""
    return [make_audio(5.0 + 1.7 * seed, seed) for seed in range(4)]


@pytest.fixture(scope="module")
def expected(alone: Recognizer, sounds: list[np.ndarray]) -> list[list[str]]:
    """What the recogniser makes of each recording by itself: its segments' texts."""
    return [[segment.text for segment in alone.transcribe(sound).segments] for sound in sounds]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def run(model_folder: Path, beam: int, engine: EngineKind) -> AsyncIterator[Running]:
    """The service, warm."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))
        settings = Settings(
            port=0,
            model=model_folder,
            chunks_ms=(CHUNK_MS,),
            max_streams=8,
            batch=4,
            beam=beam,
            engine=engine,
            resume_s=LOAD_S,
            ping_s=LOAD_S,
        )
        running = await start_running(settings, None, wait_s=LOAD_S)
        yield running
        await stop_running(running)


def as_bytes(sound: np.ndarray) -> bytes:
    return sound.astype("<f4").tobytes()


async def open_session(client: Any) -> Any:
    """Start a session that loses nothing on the way."""
    return await client.start(encoding=Encoding.F32LE)


async def transcribe(run: Running, sound: np.ndarray) -> list[str]:
    async with run.connect() as client:
        await open_session(client)
        await client.audio(as_bytes(sound), FRAME)
        await client.stop()
        return texts(client.finals)


def texts(finals: list[Final]) -> list[str]:
    return [final.text for final in finals]


async def test_the_words_are_those_of_the_recogniser(
    run: Running, sounds: list[np.ndarray], expected: list[list[str]]
) -> None:
    assert sum(len(text.split()) for segments in expected for text in segments) > 20
    assert [await transcribe(run, sound) for sound in sounds] == expected


async def test_times_confidences_and_alternatives_are_those_of_the_recogniser(
    run: Running, sounds: list[np.ndarray], alone: Recognizer, engine: EngineKind, beam: int
) -> None:
    async with run.connect() as client:
        await client.start(encoding=Encoding.F32LE, words=True, attention=True)
        await client.audio(as_bytes(sounds[3]), FRAME)
        await client.stop()
    with alone.stream() as stream:
        events = stream.accept(sounds[3]) + stream.finish_events()
    wanted = [event for event in events if isinstance(event, streaming.Final)]
    for final, event in zip(client.finals, wanted, strict=True):
        spoken = [(w.word, w.start_ms, w.end_ms) for w in event.result.words]
        assert [(w.word, w.start_ms, w.end_ms) for w in final.words] == spoken
        confidences = [w.confidence for w in event.result.words]
        assert [w.confidence for w in final.words] == pytest.approx(confidences, abs=1e-3)
        assert [a.text for a in final.alternatives] == [a.text for a in event.alternatives]
    assert any(final.alternatives for final in client.finals) == (beam > 1)
    assert any(isinstance(event, Attention) for event in client.events)
    about = (await run.get("/readyz")).json()
    assert (about["engine"], about["beam"]) == (engine, beam)


async def test_streams_at_a_time_change_nothing(
    run: Running, sounds: list[np.ndarray], expected: list[list[str]]
) -> None:
    assert await asyncio.gather(*(transcribe(run, sound) for sound in [*sounds, *sounds])) == [*expected, *expected]
    assert await run.metric("earshot_batch_size_sum") > await run.metric("earshot_batch_size_count")


async def test_what_was_declared_stable_stays(run: Running, sounds: list[np.ndarray]) -> None:
    async with run.connect() as client:
        await open_session(client)
        await client.audio(as_bytes(sounds[3]), FRAME)
        await client.stop()
    stable: dict[int, str] = {}
    for event in client.events:
        if isinstance(event, Partial | Final):
            before = stable.get(event.segment, "")
            assert event.text.startswith(before)
            if isinstance(event, Partial):
                stable[event.segment] = event.text[: event.stable]
    assert any(stable.values())


def second_readings(recognizer: Recognizer, sounds: list[np.ndarray]) -> list[str]:
    """Of every recording's first segment, which a beam so nearly chose that a phrase's bonus decides; greedily none."""
    found = []
    for sound in sounds:
        with recognizer.stream() as stream:
            events = stream.accept(sound) + stream.finish_events()
        first = next(event for event in events if isinstance(event, streaming.Final))
        found += [alternative.text for alternative in first.alternatives[:1]]
    return found


async def test_phrases_are_followed_or_refused_by_name(
    run: Running, sounds: list[np.ndarray], expected: list[list[str]], alone: Recognizer
) -> None:
    """Those of one session as the recogniser follows them; what cannot be said closes it before any audio is lost."""
    phrases = ("ccccc", "at the hat", "aaaaa", "ttttt", "hot sea", "heeee", *second_readings(alone, sounds))
    favoured = [[segment.text for segment in alone.transcribe(sound, phrases).segments] for sound in sounds]
    for sound, wanted in zip(sounds, favoured, strict=True):
        async with run.connect() as client:
            await client.start(encoding=Encoding.F32LE, phrases=phrases)
            await client.audio(as_bytes(sound), FRAME)
            await client.stop()
        assert texts(client.finals) == wanted
    assert favoured != expected
    async with run.connect() as client:
        await client.start(encoding=Encoding.F32LE, phrases=("sea", "中"))
        assert await client.refused() == ("unsupported", 1003)
    error = next(event for event in client.events if isinstance(event, Error))
    assert "phrase '中': expected words that can be said" in error.message


async def test_a_killed_worker_changes_no_word(
    run: Running, sounds: list[np.ndarray], expected: list[list[str]]
) -> None:
    restarts = run.pool.restarts
    half = [len(sound) * 3 // 5 for sound in sounds]
    async with run.connect() as a, run.connect() as b, run.connect() as c, run.connect() as d:
        everybody = list(zip([a, b, c, d], sounds, half, strict=True))
        for client, sound, middle in everybody:
            await open_session(client)
            await client.audio(as_bytes(sound[:middle]), FRAME)
        await asyncio.gather(*(client.until(Partial) for client, _, _ in everybody))
        os.kill(run.pool.workers[0].pid, signal.SIGKILL)
        await until(lambda: run.pool.restarts > restarts)
        for client, sound, middle in everybody:
            await client.audio(as_bytes(sound[middle:]), FRAME)
        await until(lambda: run.pool.ready, LOAD_S)
        assert await run.metric("earshot_replays_total") >= len(sounds)
        await asyncio.gather(*(client.stop() for client, _, _ in everybody))
        finals = [texts(client.finals) for client, _, _ in everybody]
    assert finals == expected


@pytest.mark.parametrize("part", [0.15, 0.5, 0.9])
async def test_a_dropped_connection_changes_no_word(
    run: Running, sounds: list[np.ndarray], expected: list[list[str]], part: float
) -> None:
    data = as_bytes(sounds[3])
    async with run.connect() as client:
        ready = await open_session(client)
        await client.audio(data[: int(len(data) * part)], FRAME)
        await client.until(Partial)
        before = client.finals
        client.drop()
    async with run.connect() as again:
        resumed = await again.resume(ready, len(before))
        await again.audio(data[4 * resumed.received_samples :], FRAME)
        await again.stop()
    assert texts(before + again.finals) == expected[3]


async def test_flushing_ends_segments(run: Running, sounds: list[np.ndarray]) -> None:
    async with run.connect() as client:
        await open_session(client)
        for begin in range(0, 64_000, 32_000):
            await client.audio(as_bytes(sounds[0][begin : begin + 32_000]), FRAME)
            await client.send(Flush())
            assert (await client.until(Flushed)).samples == begin + 32_000
        before = texts(client.finals)
        await client.stop()
    assert before == texts(client.finals)
    assert any(before)
