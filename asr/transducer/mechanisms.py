"""The mechanisms that the block joint can attend by, as layers over a block's window.

In a block every label starts afresh: what was emitted before it in the same block is not known to the lattice, which
scores every number of labels in every block. So local-m looks around the block's middle, and the walks of monotonic
attention and MoChA start at the window's first frame. Their weights are the expected alignment in use, too: selecting
saves nothing in a window of some 16 frames, and training and use agree.
"""

from typing import Any

from keras import ops

from asr.attention.additive import Additive
from asr.attention.dot import Dot
from asr.attention.general import General
from asr.attention.interface import Attention
from asr.attention.local_m import near
from asr.attention.local_p import LocalPredictive
from asr.attention.mocha import MoChA
from asr.attention.monotonic import Monotonic
from asr.attention.scaled_dot import ScaledDot
from asr.config import ModelConfig

BY_HEAD = ("multi_head", "area")  # computed by the joint itself, H heads at a time
PROJECTED = (*BY_HEAD, "scaled_dot", "local_m")  # compare a projection of the predictor's state; the others, the state
NAME = "mechanism"  # of the layer, in the paths of its weights


def block_mechanism(config: ModelConfig) -> Attention | None:
    """The layer of `config.attention`, with one head, over projected keys; None for those `BY_HEAD`."""
    walk: dict[str, Any] = {"noise": 0.0, "hard": False, "restart": True, "name": NAME}
    match config.attention:
        case "additive":
            return Additive(config.joint_dim, project_key=False, name=NAME)
        case "dot":
            return Dot(name=NAME)
        case "general":
            return General(name=NAME)
        case "scaled_dot" | "local_m":
            return ScaledDot(name=NAME)
        case "local_p":
            return LocalPredictive(config.attention_radius, config.joint_dim, _scaled(), name=NAME)
        case "monotonic":
            return Monotonic(_scaled(), **walk)
        case "mocha":
            return MoChA(config.attention_chunk, _scaled("chunk_score"), _scaled(), **walk)
    return None


def _scaled(name: str = "score") -> General:
    """A bilinear form whose energies do not grow with the width: sigmoids and Gaussians would saturate."""
    return General(scaled=True, name=name)


def block_middle(mask: Any, lookback: int, radius: float) -> Any:
    """Restricts [..., K] bool to the frames within `radius` of the block's middle (local-m by block)."""
    span = mask.shape[-1]
    middle = lookback + (span - lookback) // 2
    places = ops.full((1,), middle, "float32")
    return ops.logical_and(mask, near(places, ops.arange(span, dtype="float32"), radius)[0])
