"""Global attention (Luong et al. 2015, 1508.04025, section 3.1; Bahdanau et al. 2015)."""

from typing import Any

import keras
from keras import ops

from asr.attention.alignment import AlignmentAttention
from asr.attention.interface import with_state
from asr.attention.masking import masked_softmax


@keras.saving.register_keras_serializable(package="earshot")
class Global(AlignmentAttention):
    """α = softmax of the energies over every encoder state: all of the recording, for each label.

    Luong et al. 2015 (1508.04025), section 3.1; with additive energies, Bahdanau et al. 2015. Costs U·S and needs
    the recording's end before the first label: for offline recognition.

    Args:
        score: The similarity.
    """

    def call(
        self, query: Any, value: Any, key: Any = None, mask: Any = None, state: Any = None, training: bool = False
    ) -> tuple[Any, ...]:
        """Arguments and results as `Attention.call`; there is no state."""
        weights = masked_softmax(*self.scored(query, value, key, mask))
        return with_state(ops.matmul(weights, value), weights, state, state)
