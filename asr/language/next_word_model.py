"""A recurrent network over words, whose logits are log-probabilities as they are.

Mikolov et al. 2010, "Recurrent neural network based language model"; Press and Wolf 2017, 1608.05859 (a word has one
vector, as input and before the softmax); Bengio and Senécal 2008, "Adaptive importance sampling to accelerate training
of a neural probabilistic language model" (a softmax over some words instead of all); Devlin et al. 2014, "Fast and
robust neural network joint models for statistical machine translation" (its logarithm is held near zero, so that
nothing has to be summed when one word is asked for).

Letters: B rows, U words, K words of the network, E width of a word, D of the state, N words drawn.
"""

from typing import Any

import keras
from keras import ops

from asr.language.config import NextWordConfig
from asr.transducer.gru import gru_sequence

IMPOSSIBLE = -1e9  # a logit


class NextWordModel(keras.layers.Layer):
    """Words' vectors, one GRU and a narrower layer. Word K is the start of a segment, word 0 any unknown one.

    Args:
        config: Sizes.
        seed: Of dropout.
    """

    def __init__(self, config: NextWordConfig, seed: int = 1, **kwargs: Any) -> None:
        """Makes the weights."""
        super().__init__(name="next_words", **kwargs)
        self.config = config
        k, e, d = config.words, config.width, config.dim
        self.embedding = self.add_weight(
            shape=(k + 1, e), initializer=keras.initializers.RandomNormal(stddev=0.1), name="embedding"
        )
        self.kernel = self.add_weight(shape=(e, 3 * d), initializer="glorot_uniform", name="kernel")
        self.recurrent = self.add_weight(shape=(d, 3 * d), initializer="orthogonal", name="recurrent")
        self.input_bias = self.add_weight(shape=(3 * d,), initializer="zeros", name="input_bias")
        self.bias = self.add_weight(shape=(3 * d,), initializer="zeros", name="bias")
        self.hidden = self.add_weight(shape=(d, e), initializer="glorot_uniform", name="hidden")
        self.hidden_bias = self.add_weight(shape=(e,), initializer="zeros", name="hidden_bias")
        self.output_bias = self.add_weight(shape=(k,), initializer="zeros", name="output_bias")
        self._dropout = keras.layers.Dropout(config.dropout, seed=seed, dtype=self.dtype_policy)
        self.built = True

    def call(self, inputs: Any, training: bool = False) -> Any:
        """What the logits of the word after each input are made of, from a zero state: [B, U] -> [U, B, E] float32."""
        x = self._dropout(ops.take(self.embedding, ops.transpose(inputs), axis=0), training=training)  # [U, B, E]
        x = ops.cast(ops.matmul(x, self.kernel), "float32") + ops.cast(self.input_bias, "float32")
        states = gru_sequence(x, ops.cast(self.recurrent, "float32"), ops.cast(self.bias, "float32"))
        states = self._dropout(ops.cast(states, self.compute_dtype), training=training)
        return ops.cast(ops.matmul(states, self.hidden), "float32") + ops.cast(self.hidden_bias, "float32")

    def logits(self, hidden: Any) -> Any:
        """Of all words: [..., E] -> [..., K]."""
        words = ops.cast(self.embedding[: self.config.words], "float32")
        return ops.matmul(hidden, ops.transpose(words)) + ops.cast(self.output_bias, "float32")

    def sampled_loss(self, hidden: Any, targets: Any, drawn: Any, expected: Any) -> tuple[Any, Any]:
        """Nats of each word against some that were drawn, and the logarithm of the softmax's sum.

        The sum over all words is that over the right one and, each over how often it is expected to be drawn, the drawn
        ones (Bengio and Senécal).

        Args:
            hidden: [M, E], as `call` gives it.
            targets: [M] int32, words below K.
            drawn: [N] int32.
            expected: [N] logarithm of how often each is expected among N.

        Returns:
            [M] and [M] float32.
        """
        flat = ops.cast(self.output_bias, "float32")
        right = ops.sum(hidden * ops.cast(ops.take(self.embedding, targets, axis=0), "float32"), axis=-1)
        right = right + ops.take(flat, targets)
        narrow = ops.cast(hidden, self.compute_dtype)
        others = ops.matmul(narrow, ops.transpose(ops.take(self.embedding, drawn, axis=0)))
        others = ops.cast(others, "float32") + (ops.take(flat, drawn) - expected)[None]
        others = ops.where(targets[:, None] == drawn[None], IMPOSSIBLE, others)
        total = ops.logsumexp(ops.concatenate([others, right[:, None]], axis=1), axis=1)
        return total - right, total
