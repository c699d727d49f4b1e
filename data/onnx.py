"""Models in ONNX files, run by ONNX Runtime (the extra `voices`)."""

import importlib
from functools import lru_cache
from pathlib import Path
from typing import Any

from data.programs import SynthesisError


@lru_cache(maxsize=8)
def open_model(path: Path) -> Any:
    """ONNX Runtime's session of a model, loaded once in each process; on one thread, for jobs are processes.

    Raises:
        SynthesisError: without ONNX Runtime, saying how to get it.
    """
    runtime = library("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def library(name: str) -> Any:
    """A module of the extra `voices`.

    Raises:
        SynthesisError: if it is not installed, saying how to get it.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise SynthesisError(f'{name} is not installed: pip install "earshot[voices]"') from error
