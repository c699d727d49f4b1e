"""A run's configuration: what no run can go by is refused before anything is read."""

from typing import Any

import pytest

from asr.config import from_dict
from asr.errors import ConfigError
from asr.training.config import TrainConfig


@pytest.mark.parametrize(
    ("table", "values", "message"),
    [
        ("data", {"bucket_frames": [0, 64]}, r"bucket_frames: expected multiples of 64 that grow, got \[0, 64\]"),
        ("data", {"bucket_frames": [128, 64]}, r"bucket_frames: expected multiples of 64 that grow, got \[128, 64\]"),
        ("data", {"bucket_frames": [100]}, r"bucket_frames: expected multiples of 64 that grow, got \[100\]"),
        ("augment", {"gain_db": -1.0}, "gain_db: expected 0 or more, got -1.0"),
        ("augment", {"frequency_width": 81}, "frequency_width: expected at most 80 bins, got 81"),
        ("augment", {"time_masks": -1}, "time_masks: expected 0 or more, got -1"),
        ("loss", {"pieces": -0.3}, "pieces: expected 0 or more, got -0.3"),
        ("loss", {"consistency": -0.1}, "consistency: expected 0 or more, got -0.1"),
        ("schedule", {"peak_rate": 0.0}, "peak_rate: expected a number above 0, got 0.0"),
        ("schedule", {"final_rate": -1e-6}, "final_rate: expected 0 or more, got -1e-06"),
        ("schedule", {"parts": 0}, "parts: expected a number above 0, got 0"),
        ("schedule", {"seed": -1}, "seed: expected 0 or more, got -1"),
        ("schedule", {"kept_checkpoints": 0}, "kept_checkpoints: expected a number above 0, got 0"),
        ("schedule", {"chunks": [4, 8], "chunk_weights": [1.0]}, "chunk_weights: expected 2 numbers, got 1"),
        ("schedule", {"chunks": [], "chunk_weights": []}, r"chunks: expected numbers of frames, 0 for all, got \[\]"),
        ("schedule", {"chunks": [-1], "chunk_weights": [1.0]}, r"chunks: expected numbers of frames, .* got \[-1\]"),
        (
            "schedule",
            {"chunks": [4], "chunk_weights": [0.0]},
            r"chunk_weights: expected numbers from 0, one above, got",
        ),
    ],
)
def test_values_out_of_range_are_refused(table: str, values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        from_dict(TrainConfig, {table: values})
