"""Streaming log-mel features: samples in, 80-bin frames every 10 ms out."""

from asr.features.logmel import (
    FFT_SIZE,
    FRAMES_PER_SECOND,
    HOP_SAMPLES,
    LEFT_SAMPLES,
    LOG_FLOOR,
    MEL_BINS,
    SAMPLE_RATE,
    WINDOW_SAMPLES,
    LogMel,
    log_mel,
)

__all__ = [
    "FFT_SIZE",
    "FRAMES_PER_SECOND",
    "HOP_SAMPLES",
    "LEFT_SAMPLES",
    "LOG_FLOOR",
    "MEL_BINS",
    "SAMPLE_RATE",
    "WINDOW_SAMPLES",
    "LogMel",
    "log_mel",
]
