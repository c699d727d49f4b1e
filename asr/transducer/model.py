"""The whole model: encoder, predictor, block joint and the two CTC heads, with its training losses."""

from typing import Any

import keras
from keras import ops

from asr.config import ModelConfig
from asr.encoder.encoder import FRAMES_PER_STEP, Encoder
from asr.encoder.subsampling import STRIDE
from asr.features import MEL_BINS
from asr.objectives.ctc import ctc_loss
from asr.objectives.lattice import block_lattice_loss
from asr.transducer.joint import MAX_BLOCK, BlockJoint
from asr.transducer.predictor import Predictor


class Transducer(keras.Model):
    """Block-wise online-attention neural transducer (Jaitly et al. 2016, 1511.04868), label-only predictor.

    Args:
        config: Sizes.
    """

    def __init__(self, config: ModelConfig, **kwargs: Any) -> None:
        """Makes and builds every layer, so that the weights exist from the start."""
        super().__init__(**kwargs)
        self.config = config
        self.encoder = Encoder(config, name="encoder")
        self.predictor = Predictor(config.vocabulary, config.predictor_dim, config.label_dropout, name="predictor")
        self.joint = BlockJoint(config, name="joint")
        self.characters = keras.layers.Dense(config.characters + 1, name="characters")
        self.pieces = keras.layers.Dense(config.vocabulary + 1, name="pieces")
        self.encoder.build((None, None, MEL_BINS))
        self.predictor.build((None, None))
        self.joint.build((None, None, config.dim))
        self.characters.build((None, None, config.dim))
        self.pieces.build((None, None, config.dim))
        self.built = True

    def call(self, frames: Any, lengths: Any, chunk: Any, training: bool = False) -> tuple[Any, Any]:
        """Encodes whole recordings; see `Encoder.call`."""
        return self.encoder(frames, lengths, chunk, training=training)

    def losses_of(
        self,
        batch: dict[str, Any],
        chunk: Any,
        block: int | None,
        *,
        delay_penalty: float = 0.0,
        training: bool = False,
    ) -> dict[str, Any]:
        """Losses of a batch, each in nats per label.

        Args:
            batch: frames [B, T, 80]; frame_lengths [B]; characters [B, Uc] and character_lengths [B]; pieces [B, Up] and
                piece_lengths [B]. T a multiple of 8 x `MAX_BLOCK`; lengths are log-mel frames before rounding.
            chunk: Encoder frames per chunk, of self-attention.
            block: W of the joint; None leaves the transducer's loss out.
            delay_penalty: λ of FastEmit.
            training: Whether dropout acts.

        Returns:
            Scalars by name: "characters" and "pieces" (CTC), "transducer" if `block` is given.
        """
        # A stream's last chunk is filled up with silence, which the model hears; so does training.
        unit = FRAMES_PER_STEP * ops.minimum(ops.convert_to_tensor(chunk, "int32"), MAX_BLOCK)
        lengths = ((batch["frame_lengths"] + unit - 1) // unit) * unit
        lower, upper = self(batch["frames"], lengths, chunk=chunk, training=training)
        characters, pieces = batch["character_lengths"], batch["piece_lengths"]
        results = {
            "characters": (ctc_loss(self.characters(lower), batch["characters"], lengths // STRIDE, characters), characters),
            "pieces": (ctc_loss(self.pieces(upper), batch["pieces"], lengths // FRAMES_PER_STEP, pieces), pieces),
        }
        if block is not None:
            states = self.predictor(batch["pieces"], training=training)
            label, end = self.joint(upper, states, batch["pieces"], block=block)
            blocks = lengths // (FRAMES_PER_STEP * block)
            results["transducer"] = (block_lattice_loss(label, end, blocks, pieces, delay_penalty), pieces)
        return {
            name: ops.sum(loss) / ops.cast(ops.maximum(ops.sum(count), 1), "float32")
            for name, (loss, count) in results.items()
        }
