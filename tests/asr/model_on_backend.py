"""What a tiny transducer gives on the Keras backend that runs this: python model_on_backend.py IN.npz OUT.npz.

IN.npz holds the weights, in the model's order, and the inputs; see `test_backends.py`.
"""

import dataclasses
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from keras import ops
from numpy.typing import NDArray

from asr.config import ModelConfig
from asr.decoding.greedy import decode_block
from asr.decoding.greedy import initial_state as initial_decoder_state
from asr.features.frontend import LogMelFrontend
from asr.streaming.engine import compiled
from asr.transducer.model import Transducer

CHUNK = 8
END_BIAS = -3.0  # so that there are labels


def packed(model: Transducer) -> dict[str, NDArray[Any]]:
    """The model's sizes and weights, as arrays."""
    weights = {f"weight {i:03}": np.asarray(weight) for i, weight in enumerate(weights_of(model))}
    return weights | {"config": np.array(json.dumps(dataclasses.asdict(model.config)))}


def weights_of(model: Transducer) -> list[Any]:
    """All but the states of random generators, which differ between backends."""
    return [weight for weight in model.weights if "seed_generator" not in weight.path]


def results(model: Transducer, inputs: Mapping[str, NDArray[Any]], mode: str) -> dict[str, NDArray[Any]]:
    """Log-mel, encoder frames whole and streamed, joint and CTC logits, decoded labels and losses."""
    batch = {name: ops.convert_to_tensor(value) for name, value in inputs.items() if value.dtype.kind in "if"}
    samples = batch.pop("samples")
    out = compiled(lambda batch: _whole(model, batch), mode)(batch)
    out["upper ahead"] = compiled(_with_lookahead(model), mode)(batch["frames"], batch["frame_lengths"])
    step, rows, unit = compiled(lambda *inputs: _step(model, *inputs), mode), samples.shape[0], CHUNK * 8 * 160
    state = LogMelFrontend().initial_state(rows), model.encoder.initial_state(rows), initial_decoder_state(model, rows)
    for n in range(2):
        found, state = step(samples[:, n * unit : (n + 1) * unit], state)
        out |= {f"{name} {n}": value for name, value in found.items()}
    return {name: np.asarray(value) for name, value in out.items()}


def _step(model: Transducer, samples: Any, state: Any) -> tuple[dict[str, Any], Any]:
    """From samples to labels."""
    frames, frontend = LogMelFrontend().step(samples, state[0])
    _, encoded, encoder = model.encoder.step(frames, state[1])
    active = ops.ones((samples.shape[0],), "bool")
    decoder, found = decode_block(model, model.joint.frames(encoded), state[2], active, END_BIAS)
    out = {"log-mel": frames, "encoded": encoded} | {f"decoded {name}": value for name, value in found.items()}
    return out, (frontend, encoder, decoder)


def _with_lookahead(model: Transducer) -> Callable[[Any, Any], Any]:
    """The encoder of the same weights with a look-ahead of two frames, over whole recordings."""
    other = Transducer(dataclasses.replace(model.config, lookahead_frames=2))
    for weight, value in zip(weights_of(other), weights_of(model), strict=True):
        weight.assign(value)
    return lambda frames, lengths: other(frames, lengths, chunk=CHUNK)[1]


def _whole(model: Transducer, batch: dict[str, Any]) -> dict[str, Any]:
    lower, upper = model(batch["frames"], batch["frame_lengths"], chunk=CHUNK)
    states = model.predictor(batch["pieces"])
    label, end = model.joint(upper, states, batch["pieces"], block=CHUNK)
    heads = {"character logits": model.characters(lower), "piece logits": model.pieces(upper)}
    losses = {f"loss {name}": value for name, value in model.losses_of(batch, CHUNK, CHUNK).items()}
    return {"lower": lower, "upper": upper, "predictor": states, "label": label, "end": end} | heads | losses


def main(source: Path, target: Path) -> None:
    """Reads weights and inputs, writes the results."""
    with np.load(source) as arrays:
        inputs = dict(arrays)
    model = Transducer(ModelConfig(**json.loads(str(inputs.pop("config")))))
    for weight, name in zip(weights_of(model), sorted(n for n in inputs if n.startswith("weight ")), strict=True):
        weight.assign(inputs.pop(name))
    np.savez(target, **results(model, inputs, "compiled"))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
