"""What another model's encoder says of recordings, for a student's encoder to learn besides the transcripts.

A transcript tells a few labels a second; a large encoder's frames tell, at each moment, what it has learnt to hear from
far more speech than a student's corpus has (distillation of representations: Hinton et al. 2015, 1503.02531; of hidden
frames of speech encoders Chang et al. 2022, 2110.01900). The teacher hears each recording once, clean; the student must
say the same frames of the augmented recording.

Frames are reduced to their principal components and brought to the student's time: a pair of frames of 40 ms for each
of its encoder frames of 80 ms.
"""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.audio import load_audio
from data.cache import FeatureCache, featurised, open_cache, write_cache
from data.manifest import Utterance
from data.onnx import open_model
from data.programs import SynthesisError
from data.splice import Part

FRAME = 4  # log-mel frames of 10 ms in a frame of the teacher's as it is kept
PAIR = 2  # of those in one of the student's encoder frames
SAMPLES_PER_FRAME = 160 * FRAME
FIT_FRAMES = 200_000  # that principal components are found from

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Teacher:
    """A teacher's frames of many recordings.

    Attributes:
        frames: One every 40 ms, [t, D] of each utterance.
    """

    frames: FeatureCache

    @property
    def step(self) -> int:
        """Log-mel frames (10 ms) to a target."""
        return FRAME * PAIR

    @property
    def width(self) -> int:
        """Numbers in a target."""
        return PAIR * int(self.frames.frames.shape[1])

    def targets(self, parts: Sequence[Part], speed: float, count: int) -> tuple[Array, Array]:
        """What the teacher says of an utterance put together from parts of recordings and played at a speed.

        Args:
            parts: Where its log-mel frames are from.
            speed: How many times as fast they are played then.
            count: Log-mel frames after that.

        Returns:
            [s, width], one target for each 8 frames, and [s], 1 for those that the teacher says: not of recordings
            that it did not hear.
        """
        rows = np.concatenate([self._rows(part) for part in parts])
        middles = np.arange(FRAME // 2, count, FRAME)  # of each 40 ms, in frames as they are played
        middles = middles[: len(middles) // PAIR * PAIR]
        found = rows[np.minimum((middles * speed).astype(np.int64), len(rows) - 1)]
        said = np.all(found.reshape(-1, PAIR) >= 0, axis=1).astype(np.float32)
        frames = np.asarray(self.frames.frames[np.maximum(found, 0)], np.float32).reshape(len(said), -1)
        return frames * said[:, None], said

    def _rows(self, part: Part) -> NDArray[np.int64]:
        """Row of the teacher's frames for each log-mel frame of a part; -1: there is none."""
        places = np.arange(part.start, part.stop) // FRAME
        start, count = self.frames.spans.get(part.source, (0, 0))
        return np.where(places < count, start + places, -1)


def read_teacher(folder: Path) -> Teacher:
    """A teacher's frames as `teach` has written them.

    Raises:
        FileNotFoundError: if there are none.
    """
    frames = open_cache(folder, None)
    if frames is None:
        raise FileNotFoundError(f"{folder}: expected a teacher's frames, as asr-data teach writes them")
    return Teacher(frames)


@dataclass(frozen=True)
class OnnxEncoder:
    """An encoder in an ONNX (or ORT) file that takes samples and gives frames: Moonshine's, say.

    Attributes:
        path: Of the file.
        first_ms: Middle of its first frame.
        step_ms: From one frame's middle to the next one's.
    """

    path: Path
    first_ms: float
    step_ms: float

    def __post_init__(self) -> None:
        """Checks the times."""
        if not self.step_ms > 0 or not self.first_ms >= 0:
            got = f"first_ms {self.first_ms}, step_ms {self.step_ms}"
            raise ValueError(f"expected a step above 0 ms and a first middle of at least 0 ms, got {got}")

    def frames(self, path: Path) -> Array:
        """What it says of an audio file, at the student's times: [t, width].

        Raises:
            AudioError: if the file cannot be read.
            SynthesisError: without ONNX Runtime, saying how to get it.
            ValueError: if the encoder does not take [batch, samples] and give [batch, frames, width].
        """
        samples = load_audio(path)
        session = _open(self.path)
        if len(samples) < 16 * (self.first_ms + 3 * self.step_ms):  # too short for its convolutions
            own = np.zeros((0, session.get_outputs()[0].shape[2]), np.float32)
        else:
            try:
                own = session.run(None, {session.get_inputs()[0].name: samples[None]})[0][0]
            except Exception as error:  # ONNX Runtime's own classes have no other base
                raise ValueError(f"{path}: expected a recording that {self.path.name} can hear, got {error}") from error
        count = -(-len(samples) // SAMPLES_PER_FRAME)
        return at_student_times(own, self.first_ms, self.step_ms, count)


def _open(path: Path) -> Any:
    try:
        session = open_model(path)
    except SynthesisError:
        raise
    except Exception as error:  # ONNX Runtime's own classes have no other base
        raise ValueError(f"{path}: expected an encoder as ONNX or ORT, got {error}") from error
    inputs, outputs = session.get_inputs(), session.get_outputs()
    fits = len(inputs) == 1 and len(inputs[0].shape) == 2 and len(outputs[0].shape) == 3
    if not fits or not isinstance(outputs[0].shape[2], int):
        shapes = f"{[i.shape for i in inputs]} to {[o.shape for o in outputs]}"
        raise ValueError(f"{path}: expected an encoder of [batch, samples] to [batch, frames, width], got {shapes}")
    return session


def at_student_times(frames: Array, first_ms: float, step_ms: float, count: int) -> Array:
    """Frames [t, width] every `step_ms`, the first at `first_ms`, interpolated to [count, width]: one every 40 ms."""
    if not len(frames):
        return np.zeros((0, frames.shape[1]), np.float32)
    times = (np.arange(count) + 0.5) * FRAME * 10.0
    place = np.clip((times - first_ms) / step_ms, 0, len(frames) - 1)
    low = place.astype(np.int64)
    high = np.minimum(low + 1, len(frames) - 1)
    share = (place - low).astype(np.float32)[:, None]
    return frames[low] * (1 - share) + frames[high] * share


@dataclass(frozen=True)
class Components:
    """Principal components of a teacher's frames, each divided by the fourth root of its variance, all by one scale.

    By the root, silence and loudness would drown what tells sounds apart; by the whole deviation, noise would count as
    much as speech.

    Attributes:
        mean: [width].
        axes: [width, D].
    """

    mean: Array
    axes: Array

    def __call__(self, frames: Array) -> Array:
        """[t, width] -> [t, D], of mean square about 1."""
        return np.asarray((frames - self.mean) @ self.axes, np.float32)


def principal(frames: Array, count: int) -> tuple[Components, float]:
    """The first `count` components of frames [t, width], and the share of the variance that they keep.

    Raises:
        ValueError: for fewer frames or a smaller width than `count`.
    """
    if min(frames.shape) < count:
        raise ValueError(f"expected at least {count} frames and numbers in each, got {list(frames.shape)}")
    mean = frames.mean(axis=0, dtype=np.float64)
    centred = frames - mean
    values, vectors = np.linalg.eigh(centred.T @ centred / len(frames))
    variances, vectors = np.maximum(values[::-1][:count], 1e-12), vectors[:, ::-1][:, :count]
    axes = vectors * variances**-0.25
    scale = np.sqrt(np.mean(np.sqrt(variances)))  # variances are their roots now
    kept = float(variances.sum() / max(float(values.sum()), 1e-12))
    return Components(mean.astype(np.float32), (axes / scale).astype(np.float32)), kept


def teach(
    utterances: Sequence[Utterance],
    encoder: OnnxEncoder,
    folder: Path,
    width: int = 128,
    *,
    jobs: int = 1,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> float:
    """Lets an encoder hear recordings and writes what it says of them, in place of what the folder held.

    Args:
        utterances: Recordings.
        encoder: The teacher.
        folder: Made if missing.
        width: D, principal components that are kept.
        jobs: Processes.
        progress: Called with (done, total) as recordings are finished.

    Returns:
        Share of the variance of the teacher's frames that the components keep.

    Raises:
        ValueError: if the encoder's frames are narrower than `width`, or there are fewer; and as `OnnxEncoder.frames`.
    """
    whole = folder / "whole"  # all numbers of all frames: more than fits the memory
    bins = int(_open(encoder.path).get_outputs()[0].shape[2])
    settings = f"{encoder.path.name}, frames from {encoder.first_ms} ms every {encoder.step_ms} ms"
    if width > bins:
        raise ValueError(f"components: expected at most {bins}, the numbers in a frame of {encoder.path}, got {width}")
    try:
        # Not forked: a copy of ONNX Runtime's threads would hang.
        heard = featurised(utterances, encoder.frames, jobs, "spawn")
        said = write_cache(utterances, heard, whole, settings, bins=bins, progress=progress)
        sample = said.frames[:: -(-len(said.frames) // FIT_FRAMES) or 1]
        components, kept = principal(np.asarray(sample, np.float32), width)
        reduced = (components(said[u.id]).astype(np.float16) for u in utterances)
        write_cache(utterances, reduced, folder, f"{settings}, {width} components", bins=width)
        return kept
    finally:
        shutil.rmtree(whole, ignore_errors=True)
