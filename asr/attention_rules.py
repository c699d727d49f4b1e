"""`make attention-rules`: what each rule of attention makes of the same energies, on real speech.

The energies are those of a trained transducer: every label's query against every frame of a recording, by content
alone, without the learnt places that the block joint adds. What a rule needs beyond them is set by hand here: a
mechanism that is trained learns it, and energies of its own.

Letters: U labels, S encoder frames (80 ms).
"""

import argparse
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from keras import ops
from numpy.typing import NDArray

from asr.attention.area import mixture
from asr.attention.global_attention import Global
from asr.attention.hard import Hard
from asr.attention.local_m import LocalMonotonic
from asr.attention.mocha import MoChA
from asr.attention.monotonic import Monotonic
from asr.attention.similarity import SimilarityAttention
from asr.attention_picture import FRAME_S, heat, rows_of
from asr.audio.files import read_blocks
from asr.encoder.encoder import FRAMES_PER_STEP
from asr.errors import AsrError
from asr.features import LOG_FLOOR, SAMPLE_RATE
from asr.streaming.attended import Attended
from asr.streaming.recognizer import Recognizer
from asr.transducer.joint import MAX_BLOCK
from asr.transducer.mechanisms import PROJECTED
from asr.transducer.model import Transducer

SPAN, CHUNK, RADIUS = 4, 4, 10  # frames: largest area, MoChA's chunk, local-m's window to each side
STOP_SHARE = 0.3  # a monotonic walk stops where a frame has this share of a label's softmax
DARKEST = 0.6  # weight that is drawn in full colour
FAINTEST = 8.0  # nats below a label's whole softmax at which an energy is drawn white


class Given(SimilarityAttention):
    """Energies that are there already: a query is its row of them, [..., U, S]."""

    def build(self, query_shape: Any, value_shape: Any, key_shape: Any = None) -> None:
        """There are no weights."""

    def energies(self, query: Any, key: Any) -> Any:
        """The queries."""
        return query


def content_energies(model: Transducer, frames: NDArray[np.float32], labels: Sequence[int]) -> NDArray[np.float32]:
    """Energies of labels over a whole recording, as logarithms of their softmax.

    Args:
        model: The transducer.
        frames: [T, 80] log-mel.
        labels: U wordpieces that were said in it.

    Returns:
        [U, S], the mean of the heads.
    """
    unit = FRAMES_PER_STEP * MAX_BLOCK
    silence = np.full((-len(frames) % unit, frames.shape[1]), np.log(LOG_FLOOR), np.float32)
    heard = np.concatenate([frames, silence])[None]
    encoded = model.encoder(heard, ops.convert_to_tensor([heard.shape[1]], "int32"), chunk=MAX_BLOCK)[1]
    joint = model.joint
    keys = joint.frames(encoded)[..., : joint.joint_dim]
    states = model.predictor(ops.convert_to_tensor([list(labels)], "int32"))[:, :-1]  # before each label
    if joint.attention in PROJECTED:
        states = ops.matmul(states, joint.query)
    if joint.mechanism is None:
        energies = ops.matmul(states, ops.swapaxes(keys, -1, -2)) / (joint.heads * joint.head_dim**0.5)
    else:
        score: Any = getattr(joint.mechanism, "score", joint.mechanism)
        energies = score.energies(states, keys)
    return np.asarray(ops.log_softmax(energies, axis=-1))[0]


def weights_by_rule(energies: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    """Weights [U, S] of every rule in use by its name, from energies [U, S], logarithms of a softmax."""
    labels, items = energies.shape
    layers = {
        "global": Global(Given()),
        "hard": Hard(Given()),
        "local-m": LocalMonotonic(RADIUS, items / labels, Given()),
        "monotonic": Monotonic(Given()),
        "MoChA": MoChA(CHUNK, Given(), Given()),
    }
    memory = np.zeros((1, items, 1), np.float32)
    found = {}
    for name, layer in layers.items():
        layer.build((1, labels, items), memory.shape)
        if isinstance(layer, Monotonic):
            layer.offset.assign(-np.log(STOP_SHARE))
        found[name] = np.asarray(layer(energies[None], memory)[1])[0]
    found["area"] = np.asarray(mixture(SPAN)(ops.convert_to_tensor(energies), ops.ones((1, items), "bool"))[1])
    return found


def draw_rules(attended: Attended, energies: NDArray[np.float32], output: Path) -> None:
    """Draws a panel for each rule, and one for what the model itself did in its blocks.

    Args:
        attended: The recording.
        energies: [U, S], of `content_energies`.
        output: .png, .svg or .pdf.
    """
    from matplotlib.figure import Figure  # without pyplot: no display, no global state

    rows = rows_of(attended.looks, words=False)
    blocks = np.stack([heat(parts, None, energies.shape[1]) for _, parts in rows])
    shown = DARKEST * np.clip(1.0 + energies / FAINTEST, 0.0, 1.0)
    panels = {"energies": shown} | weights_by_rule(energies) | {"block-wise, as the model does": blocks}
    figure = Figure(figsize=(15, 0.22 * len(rows) + 1), layout="constrained")
    axes = figure.subplots(2, len(panels) // 2, sharex=True, sharey=True)
    extent = (0, energies.shape[1] * FRAME_S, len(rows) - 0.5, -0.5)
    for ax, (name, weights) in zip(axes.flat, panels.items(), strict=True):
        ax.imshow(weights, aspect="auto", extent=extent, cmap="Blues", vmin=0, vmax=DARKEST, interpolation="nearest")
        ax.set_title(name, fontsize="medium")
        ax.set_yticks(range(len(rows)), [label for label, _ in rows], fontsize=5)
    for ax in axes[-1]:
        ax.set_xlabel("seconds")
    figure.savefig(output, dpi=110)


def main(arguments: Sequence[str] | None = None) -> None:
    """Recognises a recording and draws the rules.

    Raises:
        AsrError: if it has no words, or a pause at which the model starts afresh.
    """
    parser = argparse.ArgumentParser(description="Draw what each rule of attention makes of the same energies.")
    parser.add_argument("file", type=Path)
    parser.add_argument("--output", type=Path, default=Path("attention-rules.png"))
    parser.add_argument("--model", type=Path, help="model folder; default: the bundled model")
    options = parser.parse_args(arguments)
    recognizer = Recognizer(options.model, FRAMES_PER_STEP * MAX_BLOCK * 10, beam=1)
    attended = recognizer.attend(np.concatenate(list(read_blocks(options.file, SAMPLE_RATE))))
    if len(attended.transcript.segments) != 1:
        found = len(attended.transcript.segments)
        raise AsrError(f"{options.file}: expected words without a long pause between them, got {found} segments")
    labels = [recognizer.tokenizer.texts.index(label) for label in chain(*(look.labels for look in attended.looks))]
    draw_rules(attended, content_energies(recognizer.transducer, attended.frames, labels), options.output)


if __name__ == "__main__":
    main()
