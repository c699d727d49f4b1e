"""What `auto` stands for, on which machine and for which model."""

import dataclasses
import sys
from collections.abc import Callable

import pytest

from asr.config import ModelConfig
from asr.engine_kind import EngineKind
from asr.streaming import engines
from asr.streaming.engine import Engine
from asr.streaming.engines import chosen, make_engine
from asr.streaming.lite_engine import LiteEngine


@pytest.fixture
def on(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Says what the machine has."""

    def machine(device: str) -> None:
        monkeypatch.setattr(engines, "_on_cpu", lambda: device == "cpu")

    return machine


def test_it_is_int8_on_a_processor(tiny: ModelConfig, on: Callable[[str], None]) -> None:
    on("cpu")
    assert chosen(EngineKind.auto, tiny) is EngineKind.litert_int8


def test_it_is_xla_elsewhere_and_for_models_that_litert_does_not_serve(
    tiny: ModelConfig, on: Callable[[str], None]
) -> None:
    on("cpu")
    assert chosen(EngineKind.auto, dataclasses.replace(tiny, encoder_attention="area")) is EngineKind.xla
    assert chosen(EngineKind.auto, dataclasses.replace(tiny, lookahead_frames=2)) is EngineKind.xla
    on("gpu")
    assert chosen(EngineKind.auto, tiny) is EngineKind.xla


def test_it_is_xla_without_litert(
    tiny: ModelConfig, on: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    on("cpu")
    monkeypatch.setitem(sys.modules, "ai_edge_litert", None)
    assert chosen(EngineKind.auto, tiny) is EngineKind.xla


@pytest.mark.parametrize("kind", [kind for kind in EngineKind if kind is not EngineKind.auto])
def test_the_others_are_what_they_are(tiny: ModelConfig, on: Callable[[str], None], kind: EngineKind) -> None:
    on("gpu")
    assert chosen(kind, tiny) is kind


def test_an_engine_of_it_can_be_made(tiny: ModelConfig, make_model: Callable, on: Callable[[str], None]) -> None:
    on("cpu")
    assert isinstance(make_engine(EngineKind.auto, make_model(0), 320, 1), LiteEngine)
    on("gpu")
    assert isinstance(make_engine(EngineKind.auto, make_model(0), 320, 1), Engine)
