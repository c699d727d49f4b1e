"""Augmentation of log-mel frames, for training on cached features: no audio is decoded twice.

Frames are [T, 80] float32, the natural logarithm of mel power plus `LOG_FLOOR`, of a bank of Slaney mel
filters from 0 to 8 kHz. Sounds mix as powers, without the floor, which is put back afterwards. Every function
returns new frames and leaves its arguments as they are; each takes well under a millisecond per 1000 frames.
"""

import numpy as np
from numpy.typing import NDArray

LOG_FLOOR = np.float32(1e-6)  # what the features add to mel powers before the logarithm
TOP_HZ = 8000.0
WARP_EDGE = 0.8  # share of the band below which everything warps fully; above it the map bends to the top
FRAME_MS = 10
COLOURS = 10  # cosines of a random colouring

Frames = NDArray[np.float32]


def spec_augment(
    frames: Frames,
    rng: np.random.Generator,
    freq_masks: int,
    freq_width: int,
    time_masks: int,
    time_fraction: float,
    fill: float | Frames,
) -> Frames:
    """Masks bands and stretches of time.

    SpecAugment without time warping: Park et al., Interspeech 2019 (arXiv:1904.08779), section 2. Masks of
    time grow with the utterance, as in Park et al. 2020 (arXiv:1912.05533).

    Args:
        frames: [T, bins].
        rng: Source of the masks' widths and places, both uniform.
        freq_masks: Masks over bins.
        freq_width: Most bins of each.
        time_masks: Masks over time.
        time_fraction: Most of T that each covers.
        fill: Value of what is masked, or one for each bin, [bins], such as the mean of the training features.

    Returns:
        [T, bins].

    Raises:
        ValueError: if a width or fraction is out of range.
    """
    length, bins = _shape(frames)
    if not 0 <= freq_width <= bins:
        raise ValueError(f"freq_width: expected 0 to {bins} bins, got {freq_width}")
    if not 0.0 <= time_fraction <= 1.0:
        raise ValueError(f"time_fraction: expected a number in [0, 1], got {time_fraction}")
    masked, fills = frames.copy(), np.broadcast_to(np.asarray(fill, np.float32), bins)
    for _ in range(freq_masks):
        width = int(rng.integers(0, freq_width + 1))
        start = int(rng.integers(0, bins - width + 1))
        masked[:, start : start + width] = fills[start : start + width]
    longest = int(length * time_fraction)
    for _ in range(time_masks):
        width = int(rng.integers(0, longest + 1))
        start = int(rng.integers(0, length - width + 1))
        masked[start : start + width] = fills
    return masked


def speed(frames: Frames, factor: float) -> Frames:
    """Plays frames `factor` times as fast: [T, bins] -> [round(T / factor), bins].

    Linear interpolation in time: tempo changes and pitch does not (`warp` moves the spectrum).

    Raises:
        ValueError: if `factor` is not above 0.
    """
    length, _ = _shape(frames)
    if not factor > 0:
        raise ValueError(f"factor: expected a number above 0, got {factor}")
    if not length or factor == 1.0:
        return frames.copy()
    count = max(1, round(length / factor))
    position = np.minimum(np.arange(count) * factor, length - 1)
    low = position.astype(np.intp)
    weight = (position - low).astype(np.float32)[:, None]
    high = np.minimum(low + 1, length - 1)
    first = frames[low]
    return first + weight * (frames[high] - first)  # [round(T / factor), bins]


def warp(frames: Frames, factor: float) -> Frames:
    """Stretches the frequency axis, as a shorter (factor > 1) or longer (factor < 1) vocal tract would.

    What was at f Hz moves to `factor` x f; near the top the map bends so that 8 kHz stays where it is: the
    piecewise linear warp of vocal tract length perturbation (Jaitly and Hinton, ICML workshop 2013, sec. 2).

    Args:
        frames: [T, bins].
        factor: 0.5 to 2; 0.9 to 1.1 are natural.

    Returns:
        [T, bins].

    Raises:
        ValueError: if `factor` is out of range.
    """
    _, bins = _shape(frames)
    if not 0.5 <= factor <= 2.0:
        raise ValueError(f"factor: expected a number in [0.5, 2], got {factor}")
    if factor == 1.0:
        return frames.copy()
    mel = np.arange(1, bins + 1) * (_mel_of_hz(TOP_HZ) / (bins + 1))  # centres of the filters
    source_mel = _mel_of_hz(_unwarped(_hz_of_mel(mel), factor))
    position = np.clip(source_mel / (_mel_of_hz(TOP_HZ) / (bins + 1)) - 1, 0, bins - 1)
    low = np.minimum(position.astype(np.intp), bins - 2)
    weight = (position - low).astype(np.float32)
    first = np.take(frames, low, axis=1)
    return first + weight * (np.take(frames, low + 1, axis=1) - first)


def _unwarped(hz: NDArray[np.float64], factor: float) -> NDArray[np.float64]:
    """Where the sound that is heard at these frequencies was before the warp."""
    edge = WARP_EDGE * TOP_HZ * min(1.0, 1.0 / factor)  # before the warp; factor x edge lies within the band
    top_slope = (TOP_HZ - factor * edge) / (TOP_HZ - edge)
    return np.where(hz <= factor * edge, hz / factor, TOP_HZ - (TOP_HZ - hz) / top_slope)


# Slaney's mel scale (Auditory Toolbox, 1998): linear below 1 kHz, logarithmic above.
_HZ_PER_MEL = 200.0 / 3
_BREAK_HZ = 1000.0
_LOG_STEP = np.log(6.4) / 27


def _mel_of_hz(hz: NDArray[np.float64] | float) -> NDArray[np.float64]:
    hz = np.asarray(hz)
    above = _BREAK_HZ / _HZ_PER_MEL + np.log(np.maximum(hz, _BREAK_HZ) / _BREAK_HZ) / _LOG_STEP
    return np.where(hz < _BREAK_HZ, hz / _HZ_PER_MEL, above)


def _hz_of_mel(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    break_mel = _BREAK_HZ / _HZ_PER_MEL
    return np.where(mel < break_mel, mel * _HZ_PER_MEL, _BREAK_HZ * np.exp(_LOG_STEP * (mel - break_mel)))


def gain(frames: Frames, db: float) -> Frames:
    """Frames of the same sound `db` decibels louder, [T, bins]: the floor stays where it is."""
    _shape(frames)
    power = _power(frames)
    power *= np.float32(10 ** (db / 10))
    return _log(power)


def equalise(frames: Frames, rng: np.random.Generator, db: float) -> Frames:
    """Colours the sound as another microphone, and the way to it, would.

    A random smooth curve over the mel axis is added: `COLOURS` cosines (none of them a constant), whose size falls with
    their number k as k^-0.7. So do those by which recordings of Common Voice differ, whose means of loud frames deviate
    by 5.4 dB; one reader's in one room by 2.

    Args:
        frames: [T, bins].
        rng: Source of the curve.
        db: Its root mean square, over many curves.

    Returns:
        [T, bins]; the floor stays where it is.
    """
    _, bins = _shape(frames)
    order = np.arange(1, COLOURS + 1)
    cosines = np.cos(np.pi / bins * np.outer(order, np.arange(bins) + 0.5))
    sizes = order**-0.7
    curve = (rng.normal(size=COLOURS) * sizes) @ cosines * (db / np.sqrt((sizes**2).sum() / 2))  # [bins]
    power = _power(frames)
    power *= (10 ** (curve / 10)).astype(np.float32)
    return _log(power)


def add_noise(frames: Frames, noise_frames: Frames, snr_db: float) -> Frames:
    """Mixes noise into speech at a signal-to-noise ratio, by mel power over the whole utterance.

    Args:
        frames: [T, bins], speech.
        noise_frames: [t, bins], noise; repeated from its start if shorter than T, cut if longer.
        snr_db: Mean power of the speech over that of the noise, in dB.

    Returns:
        [T, bins]; the speech unchanged if either is digital silence.

    Raises:
        ValueError: if there are no noise frames or they have another width.
    """
    length, bins = _shape(frames)
    if noise_frames.ndim != 2 or not len(noise_frames) or noise_frames.shape[1] != bins:
        raise ValueError(f"expected noise frames of shape [t, {bins}], got {list(noise_frames.shape)}")
    noise = _power(noise_frames[:length])
    if len(noise) < length:
        noise = np.take(noise, np.arange(length), axis=0, mode="wrap")  # [T, bins]
    power = _power(frames)
    signal_mean, noise_mean = float(power.mean()) if length else 0.0, float(noise.mean()) if length else 0.0
    if signal_mean <= 0.0 or noise_mean <= 0.0:
        return frames.copy()
    noise *= np.float32(signal_mean / noise_mean * 10 ** (-snr_db / 10))
    power += noise
    return _log(power)


def reverberate(frames: Frames, rt60_ms: float, level_db: float) -> Frames:
    """Adds a diffuse tail: each frame's power goes on, decaying exponentially, in the frames after it.

    The power envelope of Polack's statistical model of late reverberation (noise that decays exponentially),
    without its fine structure.

    Args:
        frames: [T, bins].
        rt60_ms: Time in which the tail falls by 60 dB.
        level_db: Power of the whole tail relative to the direct sound; about -10 in a living room.

    Returns:
        [T, bins].

    Raises:
        ValueError: if `rt60_ms` is not above 0.
    """
    length, _ = _shape(frames)
    if not rt60_ms > 0:
        raise ValueError(f"rt60_ms: expected a number above 0, got {rt60_ms}")
    decay = 10 ** (-6.0 * FRAME_MS / rt60_ms)  # of power, per frame
    power = _power(frames)
    tail = power.copy()
    # Sum of decay^k x power[t - k] over k < 2 x step, doubled until what is left out is below -60 dB.
    step = 1
    while step < length and decay**step > 1e-6:
        tail[step:] += np.float32(decay**step) * tail[:-step]
        step *= 2
    tail_power = decay / (1.0 - decay)  # of a tail that starts one frame after its sound, per unit of sound
    power[1:] += np.float32(10 ** (level_db / 10) / tail_power * decay) * tail[:-1]
    return _log(power)


def _power(frames: Frames) -> Frames:
    """Mel powers without the floor, a new array."""
    power = np.exp(frames)
    power -= LOG_FLOOR
    return np.maximum(power, 0, out=power)


def _log(power: Frames) -> Frames:
    """Log-mel of powers, in their place."""
    power += LOG_FLOOR
    return np.log(power, out=power)


def _shape(frames: Frames) -> tuple[int, int]:
    if frames.ndim != 2 or frames.dtype != np.float32:
        got = f"{frames.dtype} {list(frames.shape)}"
        raise ValueError(f"expected float32 frames of shape [T, bins], got {got}")
    return frames.shape[0], frames.shape[1]
