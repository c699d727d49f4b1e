"""Beam search inside the step against the sum over every alignment of every text, and against greedy decoding."""

import dataclasses
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from keras import ops

from asr.config import BLOCK_ATTENTIONS, ModelConfig
from asr.decoding.beam import BeamConfig, BeamSearch
from asr.decoding.ctc import NEVER
from asr.decoding.greedy import GreedySearch, block_window, labels_limit
from asr.decoding.hypotheses import Hypotheses
from asr.streaming.engine import Search, compiled
from asr.transducer.model import Transducer

SMALL = ModelConfig(
    dim=32,
    heads=2,
    lower_layers=1,
    upper_layers=1,
    channels=4,
    lookback_frames=4,
    predictor_dim=24,
    joint_dim=32,
    vocabulary=3,
)
BLOCK, BLOCKS = 1, 3
LIMIT = labels_limit(BLOCK)


@pytest.fixture(scope="module")
def small(randomised: Callable[[Any, int], None]) -> Transducer:
    """Three labels: few enough to try every text."""
    model = Transducer(SMALL)
    randomised(model, 4)
    return model


def encoded(batch: int, frames: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 1.5, (batch, frames, 32)).astype(np.float32)


def search_all(search: Search, model: Transducer, frames: np.ndarray, block: int, mode: str = "eager") -> list:
    """Per stream, the hypotheses (labels as a tuple, score) and the outputs of each block."""
    keys, state = search.frames(None, ops.convert_to_tensor(frames)), search.initial_state(len(frames))
    step = compiled(lambda frames, state, active: search.block(frames, state, active, 0.0), mode)
    outputs = []
    for start in range(0, frames.shape[1], block):
        state, out = step(keys[:, start : start + block], state, ops.ones((len(frames),), "bool"))
        outputs.append({name: np.asarray(value) for name, value in out.items()})
    rows = [{name: np.stack([out[name][row] for out in outputs]) for name in outputs[0]} for row in range(len(frames))]
    found = []
    for row in rows:
        hypotheses = Hypotheses(80)
        hypotheses.accept(row, 0, 0)
        texts = [tuple(label.piece for label in labels) for labels in (hypotheses.best, *hypotheses.others)]
        found.append((texts, hypotheses.scores))
    return found


def every_text(model: Transducer, frames: np.ndarray) -> dict[tuple[int, ...], float]:
    """Log-probability of every text, over all alignments with at most `LIMIT` labels a block: frames [S, D]."""
    totals: dict[tuple[int, ...], float] = {}
    for length in range(LIMIT * BLOCKS + 1):
        texts = list(itertools.product(range(SMALL.vocabulary), repeat=length))
        labels = np.array(texts, np.int32).reshape(len(texts), length)
        padded = np.concatenate([labels, np.zeros((len(texts), 1), np.int32)], axis=1)  # U is never 0
        states = model.predictor(ops.convert_to_tensor(padded))
        encoded = ops.convert_to_tensor(np.repeat(frames[None], len(texts), axis=0))
        label, end = (np.asarray(x) for x in model.joint(encoded, states, ops.convert_to_tensor(padded), block=BLOCK))
        for i, text in enumerate(texts):
            paths = []
            for counts in itertools.product(range(LIMIT + 1), repeat=BLOCKS):
                if sum(counts) == length:
                    ends = np.cumsum(counts)
                    said = [label[i, n, u] for n in range(BLOCKS) for u in range(ends[n] - counts[n], ends[n])]
                    paths.append(sum(said) + sum(end[i, n, ends[n]] for n in range(BLOCKS)))
            totals[text] = float(np.logaddexp.reduce(paths))
    return totals


def test_a_wide_beam_finds_what_trying_every_text_finds(small: Transducer) -> None:
    frames = encoded(2, BLOCK * BLOCKS)
    for row, (texts, scores) in enumerate(search_all(BeamSearch(small, BeamConfig(beam=48)), small, frames, BLOCK)):
        totals = every_text(small, frames[row])
        assert len(totals) == sum(3**n for n in range(LIMIT * BLOCKS + 1))
        expected = sorted(totals, key=totals.__getitem__, reverse=True)
        assert texts == expected[: len(texts)]
        np.testing.assert_allclose(scores, [totals[t] - totals[expected[0]] for t in texts], atol=1e-4)
        assert len(texts) == len(totals)


@pytest.mark.parametrize("mode", ["eager", "compiled"])
def test_hypotheses_differ_and_come_best_first(make_model: Callable[..., Transducer], mode: str) -> None:
    model = make_model(1)
    for texts, scores in search_all(BeamSearch(model, BeamConfig(beam=4)), model, encoded(3, 16, 1), 8, mode):
        assert len(set(texts)) == len(texts) == 4
        assert scores[0] == 0.0
        assert sorted(scores, reverse=True) == scores
        assert any(texts)


def test_a_wider_beam_is_no_less_likely(small: Transducer) -> None:
    frames = encoded(4, BLOCK * BLOCKS, 2)
    totals = [every_text(small, row) for row in frames]
    best = []
    for beam in (1, 2, 8):
        found = search_all(BeamSearch(small, BeamConfig(beam=beam)), small, frames, BLOCK)
        best.append(sum(totals[row][texts[0]] for row, (texts, _) in enumerate(found)))
    assert best[0] <= best[1] + 1e-5 <= best[2] + 2e-5


class Fixed:
    """A language model that wants one label after another, whatever was said."""

    def __init__(self, wanted: int, vocabulary: int) -> None:
        self.row = np.full(vocabulary, -20.0, np.float32)
        self.row[wanted] = 0.0

    def initial_state(self, batch: int) -> Any:
        return ops.zeros((batch,), "int32")

    def log_probs(self, state: Any) -> Any:
        return ops.tile(ops.convert_to_tensor(self.row)[None], (state.shape[0], 1))

    def step(self, label: Any, state: Any) -> Any:
        return state + 1


def test_a_language_model_has_its_say(small: Transducer) -> None:
    frames = encoded(2, BLOCK * BLOCKS, 3)
    config = BeamConfig(beam=8, lm_weight=1.0, label_bonus=8.0)
    for wanted in range(3):
        found = search_all(BeamSearch(small, config, Fixed(wanted, 3)), small, frames, BLOCK)
        assert all(texts[0] and set(texts[0]) == {wanted} for texts, _ in found)


def test_subtracting_its_own_expectation_changes_the_scores(small: Transducer) -> None:
    frames = encoded(2, BLOCK * BLOCKS, 3)
    plain, less = (
        search_all(BeamSearch(small, BeamConfig(beam=8, ilm_weight=weight)), small, frames, BLOCK)
        for weight in (0.0, 0.5)
    )
    assert plain[0][1] != less[0][1]


def test_a_stream_without_a_block_keeps_its_hypotheses(small: Transducer) -> None:
    search, frames = BeamSearch(small, BeamConfig(beam=4)), encoded(2, 2)
    keys = small.joint.frames(ops.convert_to_tensor(frames))
    state, _ = search.block(keys[:, :1], search.initial_state(2), ops.ones((2,), "bool"), 0.0)
    after, out = search.block(keys[:, 1:], state, ops.convert_to_tensor(np.array([True, False])), 0.0)
    for name in ("score", "hash", "predictor"):
        before, now = np.asarray(state["hypotheses"][name]), np.asarray(after["hypotheses"][name])
        np.testing.assert_array_equal(before[1], now[1])
    assert (np.asarray(state["hypotheses"]["score"])[0] != np.asarray(after["hypotheses"]["score"])[0]).any()
    assert np.all(np.asarray(out["parents"])[1] == -1)
    assert np.any(np.asarray(state["hypotheses"]["score"]) > NEVER / 2)


def test_batch_and_compilation_change_nothing(make_model: Callable[..., Transducer]) -> None:
    model, frames = make_model(1), encoded(3, 16, 5)
    search = BeamSearch(model, BeamConfig(beam=4))
    together = search_all(search, model, frames, 8, "compiled")
    for row in range(3):
        ((texts, scores),) = search_all(search, model, frames[row : row + 1], 8)
        assert together[row][0] == texts
        np.testing.assert_allclose(together[row][1], scores, atol=1e-4)


def test_a_beam_of_one_is_as_good_as_greedy(make_model: Callable[..., Transducer]) -> None:
    """The two differ only where labels together are likelier than end-of-block and no single one is."""
    model, frames = make_model(0), encoded(4, 32, 6)
    one = search_all(BeamSearch(model, BeamConfig(beam=1)), model, frames, 8)
    greedy = search_all(GreedySearch(model), model, frames, 8)
    assert all(len(texts) == 1 for texts, _ in one + greedy)
    assert all(len(a[0][0]) <= len(b[0][0]) for a, b in zip(one, greedy, strict=True))


@pytest.mark.parametrize("attention", BLOCK_ATTENTIONS)
def test_each_label_s_attention_is_that_of_the_state_it_was_said_from(
    attention: str, tiny: ModelConfig, randomised: Callable[[Any, int], None]
) -> None:
    model = Transducer(dataclasses.replace(tiny, attention=attention, predictor_dim=tiny.joint_dim))
    randomised(model, 1)
    joint, search, block, rows, bias = model.joint, BeamSearch(model, BeamConfig(beam=3, label_bonus=3.0)), 4, 2, -1.0
    keys, state = joint.frames(ops.convert_to_tensor(encoded(rows, 12, 7))), search.initial_state(rows)
    texts: list[list[list[int]]] = [[[]] for _ in range(rows)]  # of each hypothesis
    heard = 0
    for n in range(3):
        here = keys[:, n * block : (n + 1) * block]
        window, mask = block_window(joint, here, state)
        state, out = search.block(here, state, ops.ones((rows,), "bool"), bias)
        out = {name: np.asarray(value) for name, value in out.items()}
        assert out["weights"].shape == (rows, 3, labels_limit(block), joint.weight_heads, joint.lookback + block)
        for row, before in enumerate(texts):
            texts[row] = []
            for k, parent in enumerate(out["parents"][row]):
                said = list(before[parent])
                for m, label in enumerate(out["labels"][row, k]):
                    weights = out["weights"][row, k, m]
                    if label < 0:
                        assert not weights.any() and out["frames"][row, k, m] == 0
                        continue
                    _, expected = joint.listen(predicted(model, said), window[row : row + 1], mask[row : row + 1])
                    np.testing.assert_allclose(weights, np.asarray(expected)[0], atol=1e-5)
                    assert out["frames"][row, k, m] == np.argmax(weights.mean(axis=0)) - joint.lookback
                    said.append(int(label))
                    heard += 1
                context, _ = joint.listen(predicted(model, said), window[row : row + 1], mask[row : row + 1])
                end = np.asarray(ops.sigmoid(joint.score(predicted(model, said), context) + bias))[0, 0]
                np.testing.assert_allclose(out["done"][row, k], end, atol=1e-5)
                texts[row].append(said)
    assert heard > 20


def predicted(model: Transducer, labels: list[int]) -> Any:
    """The predictor's state [1, P] after labels."""
    state = model.predictor.initial_state(1)
    for label in labels:
        state = model.predictor.step(ops.convert_to_tensor([label], "int32"), state)
    return state


def test_context_feedback_is_refused() -> None:
    model = Transducer(ModelConfig(**{**SMALL.__dict__, "context_feedback": True}))
    with pytest.raises(ValueError, match="expected a model without context_feedback for a beam"):
        BeamSearch(model)


def test_ctc_weighs_hypotheses_by_what_it_gives_them(small: Transducer) -> None:
    """With a beam that keeps everything, a text's score is the transducer's, and CTC's of the same text."""
    frames, weight = encoded(2, BLOCKS, 5), 0.7
    without = search_all(BeamSearch(small, BeamConfig(beam=48)), small, frames, BLOCK)
    search = BeamSearch(small, BeamConfig(beam=48, ctc_weight=weight))
    found = search_all(search, small, frames, BLOCK)
    log_probs = np.asarray(search.frames(None, ops.convert_to_tensor(frames)))[..., 2 * SMALL.joint_dim :]
    for row in range(2):
        transducer = dict(zip(*without[row], strict=True))
        texts, scores = found[row]
        expected = {text: transducer[text] + weight * ctc_of(log_probs[row], text) for text in texts}
        possible = {text: score for text, score in expected.items() if score > NEVER}  # by so few frames
        best = max(expected.values())
        assert len(possible) > 20
        for text, score in zip(texts, scores, strict=True):
            if text in possible:
                assert score == pytest.approx(possible[text] - best, abs=2e-3)
            else:
                assert score < -10.0
    assert any(a[0][0] != b[0][0] for a, b in zip(without, found, strict=True)), "CTC changed nothing"


def ctc_of(log_probs: np.ndarray, text: tuple[int, ...]) -> float:
    """Log P(text | frames) by trying every path."""
    blank = log_probs.shape[1] - 1
    total = -np.inf
    for path in itertools.product(range(blank + 1), repeat=len(log_probs)):
        said = [symbol for symbol, before in zip(path, (blank, *path[:-1]), strict=True) if symbol != before]
        if tuple(symbol for symbol in said if symbol != blank) == text:
            total = np.logaddexp(total, sum(log_probs[t, symbol] for t, symbol in enumerate(path)))
    return float(total)
