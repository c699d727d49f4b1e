"""A model folder of random weights that emits labels, and sounds to recognise."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

_ASR = Path(__file__).parents[2] / "asr" / "conftest.py"


def _fixtures() -> ModuleType:
    """The model's own fixtures: tests of the worker recognise with the same tiny model."""
    spec = importlib.util.spec_from_file_location("asr_fixtures", _ASR)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_asr = _fixtures()
model_folder, make_audio, recogniser = _asr.model_folder, _asr.make_audio, _asr.recogniser


@pytest.fixture(scope="session")
def sounds(make_audio):  # type: ignore[no-untyped-def]
    """Recordings of different lengths."""
    return [make_audio(3.0 + 2.1 * seed, seed) for seed in range(5)]
