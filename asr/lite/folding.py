"""Weights as the exported step wants them: what is linear around a product is folded into it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asr.encoder.conformer import ConformerLayer

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Product:
    """x · kernel + bias."""

    kernel: Array
    bias: Array


@dataclass(frozen=True)
class FoldedLayer:
    """A conformer layer's weights, with every norm before a product, and every weight of a branch, inside the products.

    Letters: D width, F hidden width, k taps.

    Attributes:
        in1: [D, F], the first half feed-forward, its norm inside.
        out1: [F, D], half of it.
        qkv: [D, 3D], norm and the scores' scale inside.
        attend: [D, D].
        gate: [D, 2D], norm inside.
        taps: [k, D].
        middle_scale: [D], of the norm after the convolution.
        middle_offset: [D].
        point: [D, D].
        in2: As `in1`.
        out2: As `out1`.
        last_scale: [D], of the layer's last norm, which the next layer adds to.
        last_offset: [D].
    """

    in1: Product
    out1: Product
    qkv: Product
    attend: Product
    gate: Product
    taps: Array
    middle_scale: Array
    middle_offset: Array
    point: Product
    in2: Product
    out2: Product
    last_scale: Array
    last_offset: Array


def folded(layer: ConformerLayer) -> FoldedLayer:
    """The weights of a layer, folded.

    For a norm n with scale s and offset o before a product: (s · n + o) W + b = n (diag(s) W) + (o W + b).
    """
    w = {name: _array(value) for name, value in layer.w.items()}
    attention = layer.attention
    qkv = _array(attention.qkv).copy()
    qkv[:, : attention.dim] *= attention.head_dim**-0.5

    def after(norm: str, kernel: Array, bias: Array | float = 0.0) -> Product:
        return Product(w[f"{norm}_scale"][:, None] * kernel, w[f"{norm}_offset"] @ kernel + bias)

    def half(name: str) -> Product:
        return Product(0.5 * w[name], 0.5 * w[f"{name}_bias"])

    return FoldedLayer(
        in1=after("ff1", w["in1"], w["in1_bias"]),
        out1=half("out1"),
        qkv=after("attend", qkv),
        attend=Product(_array(attention.output_kernel), w["attend_bias"]),
        gate=after("conv", w["gate"]),
        taps=w["taps"],
        middle_scale=w["mid_scale"],
        middle_offset=w["mid_offset"],
        point=Product(w["point"], w["point_bias"]),
        in2=after("ff2", w["in2"], w["in2_bias"]),
        out2=half("out2"),
        last_scale=w["last_scale"],
        last_offset=w["last_offset"],
    )


def _array(value: Any) -> Array:
    return np.asarray(value, np.float32)
