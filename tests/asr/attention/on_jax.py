"""What the files of every attention layer give on the Keras backend that runs this: python on_jax.py FOLDER OUT.npz.

See `test_harness.py`.
"""

import sys
from pathlib import Path
from runpy import run_path
from typing import Any

import jax
import keras
import numpy as np
from keras import ops

SHARED = run_path(str(Path(__file__).with_name("cases.py")))


def results(name: str, folder: Path) -> dict[str, Any]:
    """Outputs as loaded, whether saving and loading again changes nothing, half precision, losses of training."""
    case = SHARED["CASES"][name]
    arrays = SHARED["inputs"](case)
    model = keras.saving.load_model(folder / f"{name}.keras")
    model.save(folder / f"{name}-jax.keras")
    again = keras.saving.load_model(folder / f"{name}-jax.keras")
    outputs = jax.jit(lambda arrays: model(arrays))(arrays)
    found: dict[str, Any] = {f"{name} {part}": np.asarray(value) for part, value in outputs.items()}
    pairs = zip(model.get_weights(), again.get_weights(), strict=True)
    found[f"{name} again"] = model.get_config() == again.get_config() and all(np.array_equal(*pair) for pair in pairs)
    found[f"{name} bfloat16"] = all(str(x.dtype) == "bfloat16" for x in half(case, arrays))
    if model.trainable_weights:
        found[f"{name} losses"] = SHARED["trained"](model, arrays)
    return found


def half(case: Any, arrays: dict[str, Any]) -> Any:
    """Outputs under mixed_bfloat16: their shapes and dtypes, traced."""
    keras.config.set_dtype_policy("mixed_bfloat16")
    layer = case.make()
    keras.config.set_dtype_policy("float32")
    layer.build(arrays["query"].shape, arrays["value"].shape)
    mask = ops.convert_to_tensor(arrays["mask"])
    return jax.eval_shape(lambda q, v: layer(q, v, mask=mask), arrays["query"], arrays["value"])


def main(folder: Path, target: Path) -> None:
    """Writes the results of every case."""
    found: dict[str, Any] = {"backend": keras.backend.backend()}
    for name in SHARED["CASES"]:
        found |= results(name, folder)
    np.savez(target, **found)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
