"""Encoder and decoder with the loss that trains them: the baseline that the transducer is measured against."""

from collections.abc import Collection
from typing import Any

import keras
from keras import ops

from asr.config import ModelConfig
from asr.encoder.encoder import FRAMES_PER_STEP, Encoder
from asr.encoder_decoder.decoder import Decoder
from asr.features import MEL_BINS


class EncoderDecoder(keras.Model):
    """Offline recognition by global attention (Bahdanau et al. 2015, 1409.0473; for speech Chan et al. 2016).

    Args:
        config: Sizes; those of the encoder as for the transducer.
        encoder: Its class; another takes something else than log-mel frames.
    """

    def __init__(self, config: ModelConfig, encoder: type[Encoder] = Encoder, **kwargs: Any) -> None:
        """Makes and builds every layer, so that the weights exist from the start."""
        super().__init__(**kwargs)
        self.config = config
        self.encoder = encoder(config, name="encoder")
        self.decoder = Decoder(config, name="decoder")
        self.encoder.build((None, None, MEL_BINS))
        self.decoder.build((None, None, config.dim))
        self.built = True

    def call(self, frames: Any, lengths: Any, chunk: Any, training: bool = False) -> Any:
        """Encodes whole recordings: [B, T, 80], [B] -> [B, T / 8, D]; see `Encoder.call`."""
        return self.encoder(frames, lengths, chunk=chunk, training=training and self.encoder.trainable)[1]

    def losses_of(
        self,
        batch: dict[str, Any],
        chunk: Any,
        block: int | None,
        *,
        heads: Collection[str] = (),
        training: bool = False,
        **_: Any,
    ) -> dict[str, Any]:
        """Loss of a batch as `Transducer.losses_of` takes it.

        Args:
            batch: frames [B, T, 80], frame_lengths [B], pieces [B, U] and piece_lengths [B].
            chunk: Encoder frames per chunk, of self-attention.
            block: Of no use: there are no blocks.
            heads: None of the CTC heads is here; ignored, as are the transducer's other options.
            training: Whether dropout acts, in the parts that are trainable.

        Returns:
            "decoder": cross-entropy of the labels and of the end, in nats per label.
        """
        lengths = _whole_frames(batch["frame_lengths"])
        memory = self.decoder.memory(
            self(batch["frames"], lengths, chunk=chunk, training=training), lengths // FRAMES_PER_STEP
        )
        labels, counts = ops.cast(batch["pieces"], "int32"), ops.cast(batch["piece_lengths"], "int32")
        logits = self.decoder(labels, memory, training=training)
        places = ops.arange(logits.shape[1])[None]
        ended = ops.pad(labels, ((0, 0), (0, 1)))
        targets = ops.where(places < counts[:, None], ended, self.config.vocabulary)
        log_probs = ops.log_softmax(logits, axis=-1)
        chosen = ops.take_along_axis(log_probs, targets[..., None], axis=-1)[..., 0]
        # A row without labels is filling, of a batch that was too small.
        counted = ops.logical_and(places <= counts[:, None], counts[:, None] > 0)
        total = -ops.sum(ops.where(counted, chosen, 0.0))
        return {"decoder": total / ops.cast(ops.maximum(ops.sum(counts), 1), "float32")}


def _whole_frames(lengths: Any) -> Any:
    """Log-mel frames [B], rounded up to whole encoder frames."""
    return -(-ops.cast(lengths, "int32") // FRAMES_PER_STEP) * FRAMES_PER_STEP
