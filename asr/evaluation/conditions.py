"""Audio as it is outside the studio: the conditions under which robustness is measured.

Each condition is a function of an utterance's samples, the same at every call: what is drawn, is drawn from the
utterance's id.
"""

import zlib
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from data.audio import load_audio
from data.augment import add_noise, speed, telephone
from data.codec import mp3
from data.manifest import Utterance

Samples = NDArray[np.float32]
Condition = Callable[[str, Samples], Samples]
"""From an utterance's id and samples [n] at 16 kHz to the samples that are recognised."""

SNRS_DB = (20, 10, 5)
MP3_BIT_RATE = 32_000
LONG_SECONDS = 600  # of a recording that utterances are joined to


def spoilt(noises: Sequence[Samples] = ()) -> dict[str, Condition]:
    """Conditions by name.

    Args:
        noises: Recordings of noise; without any there are no conditions with noise.
    """
    conditions: dict[str, Condition] = {}
    if noises:
        conditions |= {f"noise {snr} dB": _noisy(noises, snr) for snr in SNRS_DB}
    return conditions | {
        "8 kHz µ-law": lambda key, samples: telephone(samples),
        "MP3 32 kbit/s": lambda key, samples: mp3(samples, MP3_BIT_RATE),
        "speed 0.9": lambda key, samples: speed(samples, 0.9),
        "speed 1.1": lambda key, samples: speed(samples, 1.1),
    }


def _noisy(noises: Sequence[Samples], snr_db: float) -> Condition:
    def condition(key: str, samples: Samples) -> Samples:
        rng = np.random.default_rng(zlib.crc32(key.encode()))  # the same noise at every ratio
        noise = noises[int(rng.integers(len(noises)))]
        return np.clip(add_noise(samples, rng, noise, snr_db), -1.0, 1.0)

    return condition


def joined(utterances: Sequence[Utterance], seconds: float = LONG_SECONDS) -> list[list[Utterance]]:
    """Utterances in groups, in their order, each as many as make a recording of so many seconds or the last less."""
    groups: list[list[Utterance]] = []
    length = seconds
    for utterance in utterances:
        if length >= seconds:
            groups.append([])
            length = 0.0
        groups[-1].append(utterance)
        length += utterance.seconds
    return groups


def joined_samples(group: Sequence[Utterance]) -> Samples:
    """The audio of a group, one utterance directly after the other."""
    return np.concatenate([load_audio(u.audio) for u in group])


def joined_utterance(group: Sequence[Utterance]) -> Utterance:
    """A group as one utterance, named after its first; its audio is `joined_samples`."""
    first, text = group[0], " ".join(u.transcript for u in group)
    seconds = sum(u.seconds for u in group)
    return Utterance(f"joined/{first.id}", first.audio, seconds, first.speaker, text, first.split)
