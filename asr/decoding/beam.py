"""Block-synchronous beam search as part of the compiled step.

Within a block every hypothesis may emit labels; those that choose end-of-block wait for the others, and the best go on
to the next block. Hypotheses with the same labels are one: their probabilities add, since alignments of the same words
differ only in the blocks that the labels fall into. A language model may join in (shallow fusion).

Letters: B streams, K hypotheses of each, W encoder frames per block, L = lookback + W, M labels at most per block,
H heads, P predictor width, V vocabulary.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import keras
from keras import ops

from asr.decoding import ctc
from asr.decoding.ctc import NEVER
from asr.decoding.greedy import OF_LABELS, block_window, labels_limit
from asr.decoding.heads import Head, frames_of
from asr.decoding.hypotheses import Hypotheses
from asr.decoding.phrases import PhraseTables, PhraseWords, after, biased
from asr.decoding.words import WordRule
from asr.transducer.model import Transducer

CANDIDATES = 2  # times as many continuations as hypotheses are shown to CTC
HASHES = ((31_337, 1_000_003), (69_069, 2_147_483_029))  # multiplier and increment, modulo 2^32


class LanguageModel(Protocol):
    """What the search asks of a language model over the same labels."""

    @property
    def identity(self) -> str:
        """What of it is part of a program besides its variables."""

    @property
    def variables(self) -> list[keras.Variable]:
        """All that it may read."""

    def phrase_words(self, weight: float) -> PhraseWords | None:
        """What words of phrases get back of its price, with its weight in the search; None: nothing."""

    def initial_state(self, batch: int) -> Any:
        """State before the first label: a tree of arrays [batch, …]."""

    def log_probs(self, state: Any) -> Any:
        """Of every next label: state [N, …] -> [N, V]."""

    def step(self, label: Any, state: Any) -> Any:
        """State after a label: [N] int32, state [N, …]."""


@dataclass(frozen=True)
class BeamConfig:
    """How the search weighs.

    Attributes:
        beam: K, hypotheses kept.
        lm_weight: Of the language model's log-probability of each label.
        label_bonus: Added for each label, against the language model's dislike of long texts.
        ilm_weight: Of the model's own expectation without audio, which is subtracted.
        ctc_weight: Of the log-probability that the wordpiece CTC head gives all labels so far.
    """

    beam: int = 8
    lm_weight: float = 0.0
    label_bonus: float = 0.0
    ilm_weight: float = 0.0
    ctc_weight: float = 0.0


class BeamSearch:
    """Decodes blocks with a beam.

    Args:
        model: The transducer.
        config: Beam and weights.
        language_model: None: none.
    """

    def __init__(
        self, model: Transducer, config: BeamConfig | None = None, language_model: LanguageModel | None = None
    ) -> None:
        """Keeps the parts.

        Raises:
            ValueError: if the model has context feedback, with which equal labels are not equal states.
        """
        if model.config.context_feedback:
            raise ValueError("expected a model without context_feedback for a beam; decode it greedily")
        self.model, self.config = model, config or BeamConfig()
        self.language_model = language_model
        self._width = 2 * model.joint.joint_dim  # of keys and values
        self.constants = [model.predictor.projected()]
        self._advance = partial(model.predictor.step, projected=self.constants[0])

    def frames(self, lower: Any, upper: Any) -> Any:
        """What `block` takes of encoder frames: [B, 2C, D] and [B, C, D] -> [B, C, F].

        F is 2J, the joint's keys and values; with `ctc_weight` the CTC head's V + 1 log-probabilities follow.
        """
        return frames_of(self.model, self.head, lower, upper)

    @property
    def identity(self) -> str:
        """What of the search is part of a program besides its variables and `constants`."""
        words = None if self.language_model is None else self.language_model.identity
        return f"beam search {self.config} {self.model.config} {words}"

    @property
    def variables(self) -> list[keras.Variable]:
        """All that it may read."""
        return [*self.model.variables, *(self.language_model.variables if self.language_model else ())]

    @property
    def head(self) -> Head | None:
        """The head whose log-probabilities `frames` has, too."""
        return Head.pieces if self.config.ctc_weight > 0.0 else None

    @property
    def word_rule(self) -> WordRule:
        """How its labels become word times and confidences."""
        return self.model.word_rule

    def hypotheses(self, frame_ms: int, phrases: Sequence[str] = (), weight: float = 0.0) -> Hypotheses:
        """What takes the outputs of a stream, whose phrases the step follows."""
        return Hypotheses(frame_ms)

    @property
    def phrase_words(self) -> PhraseWords | None:
        """What words of phrases get back of the language model's price."""
        weight = self.config.lm_weight
        return self.language_model.phrase_words(weight) if self.language_model is not None and weight else None

    def initial_state(self, batch: int) -> dict[str, Any]:
        """State of `batch` new streams: one hypothesis each, without labels."""
        joint, beam, vocabulary = self.model.joint, self.config.beam, self.model.config.vocabulary
        first = ops.arange(beam) == 0
        hypotheses = {
            "score": ops.tile(ops.where(first, 0.0, NEVER)[None], (batch, 1)),
            "hash": ops.zeros((batch, beam, len(HASHES)), "int32"),
            "predictor": _spread(self.model.predictor.initial_state(batch), beam),
            "phrase": ops.zeros((batch, beam), "int32"),
        }
        if self.language_model is not None:
            state = self.language_model.initial_state(batch)
            hypotheses["language"] = keras.tree.map_structure(lambda x: _spread(x, beam), state)
        found = {
            "hypotheses": hypotheses,
            "window": ops.zeros((batch, joint.lookback, self._width)),
            "seen": ops.zeros((batch,), "int32"),
        }
        if self.head:
            hypotheses["ctc"] = ctc.initial_state(batch, beam, joint.lookback)
            found["ctc_window"] = ctc.before_the_first(batch, joint.lookback, vocabulary)
        return found

    def nothing(self, batch: int, size: int) -> dict[str, Any]:
        """What `block` gives, all zero, for `batch` streams and blocks of `size` frames."""
        joint, shape, limit = self.model.joint, (batch, self.config.beam), labels_limit(size)
        found = {name: ops.zeros((*shape, limit), kind) for name, kind in OF_LABELS.items()}
        looks = ops.zeros((*shape, limit, joint.weight_heads, joint.lookback + size))
        found |= {"weights": looks, "parents": ops.zeros(shape, "int32"), "scores": ops.zeros(shape)}
        return found | {"end": ops.zeros((batch,)), "done": ops.zeros(shape)}

    def block(
        self,
        frames: Any,
        state: dict[str, Any],
        active: Any,
        end_bias: Any,
        phrases: PhraseTables | None = None,
        lists: Any = None,
    ) -> tuple[dict[str, Any], Any]:
        """Searches one block of every stream.

        Args:
            frames: [B, W, F] of the block's encoder frames, from `frames`.
            state: From `initial_state` or the block before.
            active: [B] bool, streams that have a block now; the others keep their state.
            end_bias: Scalar added to the end-of-block logit.
            phrases: Lists of phrases to favour; None: none.
            lists: [B] int32, each stream's list.

        Returns:
            The next state, and by name, hypotheses from the best on: "parents" [B, K] int32 (which hypothesis of the
            block before each goes on from; -1: none), "scores" [B, K] (total log-probability less the best's),
            "labels" [B, K, M] int32 (-1 past the last), "log_probs" [B, K, M], "frames" [B, K, M] int32, "weights"
            [B, K, M, H, L] and "done" [B, K], as in greedy decoding, and "end" [B], the probability of end-of-block
            before the best hypothesis' first label.
        """
        joint, beam, batch, size = self.model.joint, self.config.beam, frames.shape[0], frames.shape[1]
        window, mask = block_window(joint, frames[..., : self._width], state)
        limit = labels_limit(size)
        hypotheses, ctc_window = state["hypotheses"], None
        if self.head:
            ctc_window = ops.concatenate([state["ctc_window"], frames[..., self._width :]], axis=1)
            hypotheses = self._agreed(hypotheses, ctc.heard(hypotheses["ctc"], ctc_window, size))
        alive = hypotheses | {
            "parents": ops.tile(ops.arange(beam, dtype="int32")[None], (batch, 1)),
            "labels": ops.full((batch, beam, limit), -1, "int32"),
            "log_probs": ops.zeros((batch, beam, limit)),
            "sources": ops.zeros((batch, beam, limit), "int32"),  # whose attention each label came from
            "end": ops.zeros((batch, beam)),
        }
        ended = alive | {"score": ops.full((batch, beam), NEVER), "done": ops.zeros((batch, beam))}
        # Hypotheses are copied with every label; what they attended to is kept once, and looked up at the end.
        looks = ops.zeros((limit + 1, batch, beam, joint.weight_heads, window.shape[1]))

        def more(k: Any, alive: Any, ended: Any, looks: Any) -> Any:
            # A hypothesis only loses by going on, save for the bonus, for what the model expects of itself and for CTC.
            slack = 4.0 * (abs(self.config.label_bonus) + self.config.ilm_weight) + 8.0 * self.config.ctc_weight
            hope = ops.max(alive["score"], axis=1) + slack > ops.min(ended["score"], axis=1)
            return ops.logical_and(k <= limit, ops.any(ops.logical_and(hope, active)))

        def emit(k: Any, alive: Any, ended: Any, looks: Any) -> Any:
            end, label, weights = self._scores(alive, window, mask, end_bias)
            looks = ops.slice_update(looks, (k, 0, 0, 0, 0), weights[None])
            done = ops.exp(end)
            alive = alive | {"end": ops.where(k == 0, done, alive["end"])}
            ended = self._best(_joined(ended, alive | {"score": alive["score"] + end, "done": done}), merge=True)
            alive = self._extended(alive, label, k, phrases, lists, ctc_window)
            return k + 1, alive, ended, looks

        begin = ops.convert_to_tensor(0, "int32"), alive, ended, looks
        _, _, ended, looks = ops.while_loop(more, emit, begin)
        best = ended["score"][:, :1]
        scores = ops.where(ended["score"] > NEVER / 2, ended["score"] - best, NEVER)
        kept = {name: ended[name] for name in state["hypotheses"]} | {"score": scores}
        if self.head:
            kept["ctc"] = ctc.kept(kept["ctc"], size)
        following = {
            "hypotheses": _where(active, kept, state["hypotheses"]),
            "window": ops.where(active[:, None, None], window[:, size:], state["window"]),
            "seen": ops.where(active, ops.minimum(state["seen"] + size, joint.lookback), state["seen"]),
        }
        if ctc_window is not None:
            following["ctc_window"] = ops.where(active[:, None, None], ctc_window[:, size:], state["ctc_window"])
        weights = _looked_up(looks, ended["sources"], ended["labels"])
        places = ops.cast(ops.argmax(ops.mean(weights, axis=3), axis=-1), "int32") - joint.lookback
        out = {name: ended[name] for name in ("labels", "log_probs", "done")}
        out |= {"frames": ops.where(ended["labels"] >= 0, places, 0), "weights": weights}
        out["parents"] = ops.where(ops.logical_and(scores > NEVER / 2, active[:, None]), ended["parents"], -1)
        return following, out | {"scores": scores, "end": ended["end"][:, 0]}

    def _scores(self, alive: dict[str, Any], window: Any, mask: Any, end_bias: Any) -> tuple[Any, Any, Any]:
        """Log-probabilities of end-of-block [B, K] and of labels [B, K, V], and the attention [B, K, H, L]."""
        joint, states = self.model.joint, alive["predictor"]
        contexts, weights = joint.attend(states, window[:, None], mask[:, None])  # [B, 1, K, J], [B, 1, H, K, L]
        logits = joint.logits(states, contexts)[:, 0] + joint.output_bias  # [B, K, 1 + V]
        end_logit = logits[..., 0] + end_bias
        label = ops.log_softmax(logits[..., 1:], axis=-1) + ops.log_sigmoid(-end_logit)[..., None]
        weights = ops.cast(ops.swapaxes(weights[:, 0], 1, 2), "float32")
        return ops.log_sigmoid(end_logit), label, weights

    def _agreed(self, hypotheses: dict[str, Any], state: ctc.State) -> dict[str, Any]:
        """Hypotheses with what CTC has come to think of them since."""
        gained = self.config.ctc_weight * (state["total"] - hypotheses["ctc"]["total"])
        return hypotheses | {"score": ops.maximum(hypotheses["score"] + gained, NEVER), "ctc": state}

    def _extended(
        self,
        alive: dict[str, Any],
        log_probs: Any,
        k: Any,
        phrases: PhraseTables | None,
        lists: Any,
        ctc_window: Any = None,
    ) -> dict[str, Any]:
        """The best continuations by one label, of all hypotheses of a stream together."""
        beam, vocabulary = self.config.beam, log_probs.shape[-1]
        scores = alive["score"][..., None] + log_probs + self._expected(alive)
        if phrases is not None:
            bonus, following = biased(phrases, ops.broadcast_to(lists[:, None], alive["phrase"].shape), alive["phrase"])
            scores, alive = scores + bonus, alive | {"following": following}
        candidates = beam if ctc_window is None else CANDIDATES * beam
        top, index = ops.top_k(ops.reshape(scores, (-1, beam * vocabulary)), candidates)  # [B, K]
        source = ops.cast(index // vocabulary, "int32")
        label = ops.cast(index % vocabulary, "int32")
        agreed = None
        if ctc_window is not None:
            before = _taken(alive["ctc"], source)
            found = ctc.extended(before, label, ctc_window)
            top, best = ops.top_k(top + self.config.ctc_weight * (found["total"] - before["total"]), beam)
            best = ops.cast(best, "int32")
            (index, source, label), agreed = _taken(([index, source, label], found), best)
        here = ops.arange(alive["labels"].shape[-1], dtype="int32") == k
        chosen = ops.take_along_axis(ops.reshape(log_probs, (-1, beam * vocabulary)), index, axis=1)
        alive = _taken(alive, source)
        following = alive.pop("following", None)
        updates = {
            "score": ops.maximum(top, NEVER),
            "labels": ops.where(here, label[..., None], alive["labels"]),
            "log_probs": ops.where(here, chosen[..., None], alive["log_probs"]),
            "sources": ops.where(here, source[..., None], alive["sources"]),
            "hash": ops.stack(
                [alive["hash"][..., i] * a + (label + 1) * b for i, (a, b) in enumerate(HASHES)], axis=-1
            ),
            "predictor": _per_hypothesis(self._advance, label, alive["predictor"]),
        }
        if agreed is not None:
            updates["ctc"] = agreed
        if following is not None:
            updates["phrase"] = after(following, label)
        if self.language_model is not None:
            updates["language"] = _per_hypothesis(self.language_model.step, label, alive["language"])
        return alive | updates

    def _expected(self, alive: dict[str, Any]) -> Any:
        """What is added to the labels' log-probabilities: [B, K, V] or a scalar."""
        config, joint = self.config, self.model.joint
        extra: Any = config.label_bonus
        if self.language_model is not None and config.lm_weight:
            flat = keras.tree.map_structure(_flat, alive["language"])
            log_probs = self.language_model.log_probs(flat)
            extra = extra + config.lm_weight * ops.reshape(log_probs, (-1, config.beam, log_probs.shape[-1]))
        if config.ilm_weight:
            extra = extra - config.ilm_weight * joint.expected(alive["predictor"])
        return extra

    def _best(self, hypotheses: dict[str, Any], merge: bool) -> dict[str, Any]:
        """The K best of each stream; with `merge`, those with the same labels are one."""
        scores = hypotheses["score"]
        if merge:
            key = hypotheses["hash"]
            same = ops.all(key[:, :, None] == key[:, None], axis=-1)  # [B, n, n]
            total = ops.logsumexp(ops.where(same, scores[:, None], 2 * NEVER), axis=-1)
            order = ops.arange(scores.shape[1])
            better = ops.logical_or(
                scores[:, None] > scores[:, :, None],
                ops.logical_and(scores[:, None] == scores[:, :, None], order[None, :] < order[:, None]),
            )
            first = ops.logical_not(ops.any(ops.logical_and(same, better), axis=-1))
            scores = ops.where(ops.logical_and(first, scores > NEVER / 2), total, NEVER)
        top, index = ops.top_k(scores, self.config.beam)
        return _taken(hypotheses, ops.cast(index, "int32")) | {"score": top}


def _spread(x: Any, beam: int) -> Any:
    """[B, …] -> [B, K, …]."""
    return ops.repeat(x[:, None], beam, axis=1)


def _flat(x: Any) -> Any:
    """[B, K, …] -> [B K, …]."""
    return ops.reshape(x, (-1, *x.shape[2:]))


def _per_hypothesis(function: Any, label: Any, state: Any) -> Any:
    """A function of [N] labels and states [N, …], over [B, K]."""
    beam = label.shape[1]
    result = function(_flat(label), keras.tree.map_structure(_flat, state))
    return keras.tree.map_structure(lambda x: ops.reshape(x, (-1, beam, *x.shape[1:])), result)


def _taken(hypotheses: Any, index: Any) -> Any:
    """Those at `index` [B, k]: whole rows of [B n, …], which is fewer operations than `take_along_axis`."""
    batch, count = keras.tree.flatten(hypotheses)[0].shape[:2]
    rows = ops.reshape(ops.arange(batch, dtype="int32")[:, None] * count + index, (-1,))
    return keras.tree.map_structure(
        lambda x: ops.reshape(ops.take(_flat(x), rows, axis=0), (*index.shape, *x.shape[2:])), hypotheses
    )


def _looked_up(looks: Any, sources: Any, labels: Any) -> Any:
    """The attention of each label, zero where there is none: [k, B, K, H, L], and [B, K, M] whose it was at k = M."""
    batch, beam, limit = sources.shape
    places = ops.arange(limit, dtype="int32") * batch + ops.arange(batch, dtype="int32")[:, None]  # [B, M]
    index = ops.reshape(places[:, None] * beam + sources, (-1,))
    found = ops.take(ops.reshape(looks, (-1, *looks.shape[3:])), index, axis=0)
    found = ops.reshape(found, (batch, beam, limit, *looks.shape[3:]))
    return ops.where(labels[..., None, None] >= 0, found, 0.0)


def _joined(a: dict[str, Any], b: dict[str, Any]) -> dict[str, Any]:
    """Hypotheses of both, along the beam."""
    return keras.tree.map_structure(lambda x, y: ops.concatenate([x, y], axis=1), a, b)


def _where(rows: Any, chosen: Any, other: Any) -> Any:
    """Row by row, `chosen` where `rows` [B] is true."""

    def pick(a: Any, b: Any) -> Any:
        return ops.where(ops.reshape(rows, (-1,) + (1,) * (len(a.shape) - 1)), a, b)

    return keras.tree.map_structure(pick, chosen, other)
