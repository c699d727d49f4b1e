"""The whole model: encoder, predictor, block joint and the CTC heads, with its training losses."""

from collections.abc import Collection
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from asr.config import ModelConfig
from asr.decoding.words import WordRule
from asr.encoder.encoder import FRAMES_PER_STEP, Encoder
from asr.encoder.subsampling import STRIDE
from asr.features import MEL_BINS
from asr.objectives.consistency import pair_divergence
from asr.objectives.crf import crf_losses
from asr.objectives.ctc import ctc_alignment, ctc_loss
from asr.objectives.lattice import block_lattice_loss
from asr.objectives.prior import (
    ALIGNED_SPREAD_LABELS,
    SPREAD_LABELS,
    SPREAD_SHARE,
    even_places,
    prior_over,
    speech_progress,
)
from asr.objectives.viterbi import align, path_loss, viterbi_loss
from asr.transducer.feedback import aligned_log_probs
from asr.transducer.joint import MAX_BLOCK, BlockJoint
from asr.transducer.predictor import Predictor

CTC_HEADS = ("characters", "pieces")
TEACHER_HEAD = "teacher"  # a layer for training alone: no exported model has it


class Transducer(keras.Model):
    """Block-wise online-attention neural transducer (Jaitly et al. 2016, 1511.04868).

    Its predictor sees labels only, unless `config.context_feedback`.

    Args:
        config: Sizes.
        encoder: Its class; another takes something else than log-mel frames.
        teacher_width: Width of a teacher's frames that the encoder's are to tell; 0: there is no teacher.
        bigram: [P, P] probability of each phoneme after each, for the loss "crf" alone; no weight, for a run counts it
            anew from its transcripts.

    Attributes:
        word_rule: How its labels become word times and confidences.
        phonetic_rule: How those of the phonetic search do.
    """

    def __init__(
        self,
        config: ModelConfig,
        encoder: type[Encoder] = Encoder,
        teacher_width: int = 0,
        bigram: NDArray[np.float32] | None = None,
        **kwargs: Any,
    ) -> None:
        """Makes and builds every layer, so that the weights exist from the start."""
        super().__init__(**kwargs)
        self.config = config
        self.bigram = bigram
        self.word_rule = self.phonetic_rule = WordRule()
        self.encoder = encoder(config, name="encoder")
        fed_back = config.joint_dim if config.context_feedback else 0
        self.predictor = Predictor(
            config.vocabulary,
            config.predictor_dim,
            dropout=config.label_dropout,
            noise=config.label_noise,
            context_dim=fed_back,
            name="predictor",
        )
        self.joint = BlockJoint(config, name="joint")
        self.characters = keras.layers.Dense(config.characters + 1, name="characters")
        self.pieces = keras.layers.Dense(config.vocabulary + 1, name="pieces")
        self.encoder.build((None, None, MEL_BINS))
        self.predictor.build((None, None))
        self.joint.build((None, None, config.dim))
        self.characters.build((None, None, config.dim))
        self.pieces.build((None, None, config.dim))
        if config.phonemes:
            self.phoneme_lower = keras.layers.Dense(config.dim, use_bias=False, name="phoneme_lower")
            self.phoneme_upper = keras.layers.Dense(2 * config.dim, name="phoneme_upper")
            self.phonemes = keras.layers.Dense(config.phonemes + 1, name="phonemes")
            for layer in (self.phoneme_lower, self.phoneme_upper, self.phonemes):
                layer.build((None, None, config.dim))
        if teacher_width:
            self.teacher = keras.layers.Dense(teacher_width, name=TEACHER_HEAD)
            self.teacher.build((None, None, config.dim))
        self.built = True

    def call(self, frames: Any, lengths: Any, chunk: Any, training: bool = False) -> tuple[Any, Any]:
        """Encodes whole recordings; see `Encoder.call`."""
        return self.encoder(frames, lengths, chunk=chunk, training=training and self.encoder.trainable)

    def phoneme_logits(self, lower: Any, upper: Any) -> Any:
        """Phonemes at 40 ms by both levels of the encoder: each upper frame says something of two lower ones.

        Args:
            lower: [B, 2S, D] frames at 40 ms.
            upper: [B, S, D] frames at 80 ms.

        Returns:
            [B, 2S, P + 1] logits, blank last.
        """
        above = ops.reshape(self.phoneme_upper(upper), (-1, 2 * upper.shape[1], self.config.dim))
        return self.phonemes(ops.silu(self.phoneme_lower(lower) + above))

    def losses_of(
        self,
        batch: dict[str, Any],
        chunk: Any,
        block: int | None,
        *,
        objective: str = "full_sum",
        delay_penalty: float = 0.0,
        prior_weight: Any = None,
        guide_weight: Any = None,
        heads: Collection[str] = CTC_HEADS,
        paired: bool = False,
        training: bool = False,
    ) -> dict[str, Any]:
        """Losses of a batch, each in nats per label.

        Args:
            batch: frames [B, T, 80]; frame_lengths [B]; characters [B, Uc] and character_lengths [B]; pieces [B, Up],
                piece_lengths [B] and piece_places [B, Up], the share of the text at each one's middle. T is a multiple
                of 8 x `MAX_BLOCK`; lengths are log-mel frames before rounding. Optionally wordpieces of text that
                nobody spoke, text [B', Ut] and text_lengths [B'], with the recordings or alone, for a phoneme head
                phonemes [B, Uc] and phoneme_lengths [B], and, for a model with a teacher, teacher
                [B, T / 8, `teacher_width`] and teacher_counts [B, T / 8], 0 where it says nothing.
            chunk: Encoder frames per chunk, of self-attention.
            block: W of the joint; None leaves the transducer's loss out.
            objective: Of the transducer: "full_sum" (every alignment) or "viterbi" (cross-entropy on the best one).
            delay_penalty: λ of FastEmit.
            prior_weight: Scalar, weight of the prior that the speech's energy puts on characters; None: no prior.
            guide_weight: Scalar, weight of the prior that the characters' alignment puts on wordpieces; None: no prior.
            heads: CTC losses that are wanted: "characters", "pieces", "phonemes", "crf". The characters' is computed
                for `guide_weight`, too, the phonemes' for "crf".
            paired: Whether rows 2 k and 2 k + 1 are augmented copies of one recording.
            training: Whether dropout acts, in the parts that are trainable.

        Returns:
            Scalars by name: "characters", "pieces", "phonemes" (CTC) and "crf" (CTC-CRF of the phonemes) if in `heads`,
            "consistency" of the wordpieces' head if rows are paired, too, "transducer" if `block` is given, "text"
            (cross-entropy of the internal language model) if the batch has text, "teacher" (mean squared error per
            frame) if it has a teacher's frames.

        Raises:
            ValueError: for an unknown objective, "full_sum" with context feedback, or a block longer than the chunk or
                than `MAX_BLOCK`: its last one would lie past the recording's end; for "crf" without a bigram.
        """
        allowed = ("viterbi",) if self.config.context_feedback else ("full_sum", "viterbi")
        if block is not None and objective not in allowed:
            raise ValueError(f"objective: expected {' or '.join(allowed)}, got {objective!r}")
        largest = min(chunk, MAX_BLOCK) if isinstance(chunk, int) else MAX_BLOCK  # a tensor's value may not be known
        if block is not None and not 1 <= block <= largest:
            raise ValueError(f"block: expected 1 to {largest} frames with chunks of {chunk}, got {block}")
        if "crf" in heads and self.bigram is None:
            raise ValueError("crf: expected a bigram of the phonemes, got none")
        results = {}
        if "frames" in batch:
            results = self._spoken(
                batch,
                chunk,
                block,
                objective,
                delay_penalty,
                prior_weight,
                guide_weight,
                heads,
                paired=paired,
                training=training,
            )
        if "text" in batch:
            results["text"] = (self.text_loss(batch["text"], batch["text_lengths"], training), batch["text_lengths"])
        return {
            name: ops.sum(loss) / ops.maximum(ops.cast(ops.sum(count), "float32"), 1.0)
            for name, (loss, count) in results.items()
        }

    def _spoken(
        self,
        batch: dict[str, Any],
        chunk: Any,
        block: int | None,
        objective: str,
        delay_penalty: float,
        prior_weight: Any,
        guide_weight: Any,
        heads: Collection[str],
        *,
        paired: bool,
        training: bool,
    ) -> dict[str, tuple[Any, Any]]:
        """Losses [B] of recordings, and their counts of labels [B], by name; arguments as `losses_of`."""
        # A stream's last chunk is filled up with silence, which the model hears; so does training.
        unit = FRAMES_PER_STEP * ops.minimum(ops.convert_to_tensor(chunk, "int32"), MAX_BLOCK)
        lengths = ((batch["frame_lengths"] + unit - 1) // unit) * unit
        lower, upper = self(batch["frames"], lengths, chunk=chunk, training=training)
        pieces = batch["piece_lengths"]
        results, progress = {}, None
        if "characters" in heads or guide_weight is not None:
            characters, progress = self._character_loss(lower, batch, lengths // STRIDE, prior_weight)
            results["characters"] = (characters, batch["character_lengths"])
        if "pieces" in heads:
            prior = _guide(progress, FRAMES_PER_STEP // STRIDE, batch, guide_weight)
            steps, logits = lengths // FRAMES_PER_STEP, self.pieces(upper)
            results["pieces"] = ctc_loss(logits, batch["pieces"], steps, pieces, prior), pieces
            if paired:
                results["consistency"] = pair_divergence(logits, steps), pieces
        if "phonemes" in heads or "crf" in heads:
            results |= self._phoneme_losses(lower, upper, batch, lengths // STRIDE, crf="crf" in heads)
        if "teacher" in batch:
            counts = batch["teacher_counts"]
            errors = ops.mean(ops.square(ops.cast(self.teacher(upper), "float32") - batch["teacher"]), axis=-1)
            results["teacher"] = ops.sum(errors * counts, axis=1), ops.sum(counts, axis=1)
        if block is not None:
            blocks = lengths // (FRAMES_PER_STEP * block)
            shape = _guide(progress, block * FRAMES_PER_STEP // STRIDE, batch, guide_weight)
            if shape is not None:  # the lattice has a state more than labels
                shape = ops.concatenate([shape, ops.zeros_like(shape[..., :1])], axis=-1)
            loss = self._transducer_loss(upper, batch, block, blocks, shape, objective, delay_penalty, training)
            results["transducer"] = (loss, pieces)
        return results

    def text_loss(self, labels: Any, counts: Any, training: bool = False) -> Any:
        """Cross-entropy of the next label without audio.

        Internal language model training (Meng et al. 2021, 2102.01380, section 3), here on text that nobody spoke:
        from it the predictor learns words that no recording has.

        Args:
            labels: [B, U] wordpieces of sentences.
            counts: [B] of them; 0 leaves a row out.
            training: Whether the predictor's dropout and noise act.

        Returns:
            [B] nats.
        """
        states = self.predictor(labels, training=training)[:, :-1]
        log_probs = self.joint.expected(states)
        chosen = ops.take_along_axis(log_probs, ops.cast(labels, "int32")[..., None], axis=-1)[..., 0]
        counted = ops.arange(labels.shape[1]) < ops.cast(counts, "int32")[:, None]
        return -ops.sum(ops.where(counted, chosen, 0.0), axis=1)

    def _character_loss(self, lower: Any, batch: dict[str, Any], frames: Any, weight: Any) -> tuple[Any, Any]:
        """CTC loss of the characters, [B], and how far the alignment has got at each lower frame, [B, T / 4]."""
        targets, counts, prior = batch["characters"], batch["character_lengths"], None
        if weight is not None:
            progress = speech_progress(batch["frames"], batch["frame_lengths"])
            places = even_places(counts, targets.shape[1])
            prior = weight * prior_over(progress, STRIDE, counts, places, SPREAD_SHARE, SPREAD_LABELS)
        return ctc_alignment(self.characters(lower), targets, frames, counts, prior)

    def _phoneme_losses(
        self, lower: Any, upper: Any, batch: dict[str, Any], frames: Any, *, crf: bool
    ) -> dict[str, tuple[Any, Any]]:
        """Losses [B] of the phonemes and their counts [B]: "phonemes" by CTC and, if wanted, "crf"."""
        targets, counts = batch["phonemes"], batch["phoneme_lengths"]
        logits = self.phoneme_logits(lower, upper)
        if not crf:
            return {"phonemes": (ctc_loss(logits, targets, frames, counts), counts)}
        ctc, of_sequence = crf_losses(logits, targets, frames, counts, self.bigram)
        return {"phonemes": (ctc, counts), "crf": (of_sequence, counts)}

    def _transducer_loss(
        self,
        encoded: Any,
        batch: dict[str, Any],
        block: int,
        blocks: Any,
        prior: Any,
        objective: str,
        delay_penalty: float,
        training: bool,
    ) -> Any:
        """Loss [B] of the transducer; `blocks` [B] counts each recording's blocks."""
        labels, counts = batch["pieces"], batch["piece_lengths"]
        feedback = self.config.context_feedback
        states = self.predictor(labels, training=training and not feedback)
        label, end = self.joint(encoded, states, labels, block=block)
        if objective == "full_sum":
            return block_lattice_loss(label, end, blocks, counts, delay_penalty, prior)
        if not feedback:
            return viterbi_loss(label, end, blocks, counts, delay_penalty, prior)
        # The alignment is the one that is best without contexts and without dropout.
        chosen = align(label, end, blocks, counts, prior)
        label, end = aligned_log_probs(
            self.joint, self.predictor, encoded, labels, counts, chosen, block, training=training
        )
        return path_loss(label, end, blocks, counts, delay_penalty)


def _guide(progress: Any, stride: int, batch: dict[str, Any], weight: Any) -> Any:
    """Prior on the wordpieces of each stretch of `stride` lower frames, from the characters' progress; or None."""
    if weight is None:
        return None
    counts, places = batch["piece_lengths"], batch["piece_places"]
    return weight * prior_over(progress, stride, counts, places, 0.0, ALIGNED_SPREAD_LABELS)
