"""Traced programs kept on disk, so that a process need not trace what one before it has traced.

To trace a beam search keeps Python busy for two seconds; its graph is read from a file in a tenth of one. What a graph
holds of our code and of its settings is in the file's name; weights are not in it: it names the variables it reads.
The graph calls one function that XLA compiles, under a name that stays, by which `asr.program_cache` finds its code.
"""

import hashlib
import json
import logging
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import keras
import numpy as np

from asr import program_cache

KEPT = "*.graph"
LARGEST_BYTES = 64 * 2**20  # of all graphs; the oldest go first

logger = logging.getLogger(__name__)


class KeptTrace:
    """A function that XLA compiles as TensorFlow runs it, traced once for each signature and then kept.

    Args:
        function: Pure function of trees of tensors (arrays, None) to a tree of dictionaries, lists and tuples.
        identity: What of its settings is part of the program.
        variables: Keras's variables that it reads; each has a path of its own.
        constants: Tensors that it reads besides, always in the same order.
        environment: Where the cache's settings are.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        identity: str,
        variables: Sequence[keras.Variable],
        constants: Sequence[Any] = (),
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        """Traces nothing yet."""
        self._function, self._identity, self._environment = function, identity, environment
        self._sources = {f"variable {v.path}": v.value.handle for v in variables}
        self._sources |= {f"constant {i}": value for i, value in enumerate(constants)}
        self._shapes = {f"variable {v.path}": list(v.shape) for v in variables}
        self._programs: dict[Any, Callable[..., Any]] = {}

    def __call__(self, *arguments: Any) -> Any:
        """The function's result, its arrays NumPy's, which may be written to."""
        leaves = keras.tree.flatten(arguments)
        key = tuple(None if x is None else (tuple(x.shape), x.dtype) for x in leaves)
        if key not in self._programs:
            self._programs[key] = self._program(arguments)
        return self._programs[key](*(x for x in leaves if x is not None))

    def _program(self, arguments: tuple[Any, ...]) -> Callable[..., Any]:
        """The program for arguments of this signature: of the flat arguments without None."""
        folder = self._folder()
        if folder is None:
            return self._plain(arguments)
        name = f"{self._digest(arguments)}.graph"
        content = folder.read(name)
        if content is None:
            content = self._traced(arguments, name[:16])
            if content is None:
                return self._plain(arguments)
            try:
                folder.keep(name, content)
            except OSError as error:
                logger.warning("a traced program is not kept: %s", error)
        return self._loaded(content, arguments)

    def _folder(self) -> program_cache.SealedFolder | None:
        folder = program_cache.cache_folder(self._environment)
        if folder is None:
            return None
        try:
            return program_cache.SealedFolder(folder.parent / "graphs", KEPT, LARGEST_BYTES)
        except OSError as error:
            logger.warning("traced programs are not kept: %s", error)
            return None

    def _digest(self, arguments: tuple[Any, ...]) -> str:
        """A name for all that the graph depends on."""
        described = [None if x is None else f"{x.dtype} {list(x.shape)}" for x in keras.tree.flatten(arguments)]
        facts = [program_cache.code_digest(), self._identity, _described(arguments), described, self._shapes]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()

    def _plain(self, arguments: tuple[Any, ...]) -> Callable[..., Any]:
        """The function traced here, for nobody else."""
        program, result = self._packed(arguments)
        concrete = program.get_concrete_function(*_specs(arguments))
        return _caller(concrete, _layout(arguments), *result)

    def _packed(self, arguments: tuple[Any, ...]) -> tuple[Any, list[Any]]:
        """The function of packed leaves, to packed leaves; tracing it puts their structure and layout in the list."""
        import tensorflow as tf

        given, result = _layout(arguments), list[Any]()

        def packed(*inputs: Any) -> list[Any]:
            found = self._function(*_filled(arguments, given.unpacked(inputs, tf.reshape)))
            leaves = keras.tree.flatten(found)
            layout = Layout(tuple((x.dtype.name, tuple(x.shape)) for x in leaves))
            result[:] = [_described(found), layout]
            return layout.packed(leaves, tf.reshape, tf.concat)

        return tf.function(packed, jit_compile=True, autograph=False), result

    def _traced(self, arguments: tuple[Any, ...], prefix: str) -> bytes | None:
        """The function's graph, and how to call it; None if it reads what is neither a variable nor a constant."""
        import tensorflow as tf

        function, result = self._packed(arguments)
        traced = tf.function(lambda *inputs: function(*inputs), autograph=False).get_concrete_function(
            *_specs(arguments)
        )
        names = {id(value): name for name, value in self._sources.items()}
        captured = [names.get(id(value)) for value in traced.captured_inputs]
        if None in captured:
            return None
        graph = traced.graph.as_graph_def()
        _rename(graph, prefix)
        about = {
            "inputs": [x.name for x in traced.graph.inputs],
            "captured": captured,
            "outputs": [x.name for x in traced.graph.outputs],
            "result": result[0],
            "leaves": result[1].leaves,
        }
        return json.dumps(about).encode() + b"\n" + graph.SerializeToString(deterministic=True)

    def _loaded(self, content: bytes, arguments: tuple[Any, ...]) -> Callable[..., Any]:
        import tensorflow as tf
        from tensorflow.python.eager import context as eager

        head, _, body = content.partition(b"\n")
        about = json.loads(head)
        definition = tf.compat.v1.GraphDef.FromString(body)
        sources = [self._sources[name] for name in about["captured"]]
        for function in definition.library.function:
            if not eager.context().has_function(function.signature.name):
                eager.context().add_function_def(function)

        def run(*flat: Any) -> list[Any]:
            graph = tf.compat.v1.get_default_graph()
            given = [*flat, *(graph.capture(source) for source in sources)]
            inputs = dict(zip(about["inputs"], given, strict=True))
            return tf.graph_util.import_graph_def(definition, inputs, about["outputs"], name="")

        concrete = tf.function(run, autograph=False).get_concrete_function(*_specs(arguments))
        leaves = Layout(tuple((name, tuple(shape)) for name, shape in about["leaves"]))
        return _caller(concrete, _layout(arguments), about["result"], leaves)


@dataclass(frozen=True)
class Layout:
    """How leaves of a tree are packed: those of one type as one vector, for a call costs by its arguments.

    A vector for each type instead of the arrays: a step of one stream with a beam takes a quarter less processor time.

    Attributes:
        leaves: Type and shape of each; a shape of None: it is a tensor, which stays as it is.
    """

    leaves: tuple[tuple[str, tuple[int, ...] | None], ...]

    @cached_property
    def _places(self) -> dict[str, list[tuple[int, int, int]]]:
        """Of each type's leaves: which, and where it begins and ends in the vector."""
        places: dict[str, list[tuple[int, int, int]]] = {}
        for i, (name, shape) in enumerate(self.leaves):
            if shape is not None:
                mine = places.setdefault(name, [])
                start = mine[-1][2] if mine else 0
                mine.append((i, start, start + math.prod(shape)))
        return places

    @property
    def vectors(self) -> list[tuple[str, int]]:
        """Type and length of each vector."""
        return [(name, mine[-1][2]) for name, mine in self._places.items()]

    def packed(self, leaves: Sequence[Any], reshape: Callable[..., Any], concatenate: Callable[..., Any]) -> list[Any]:
        """The vectors, then the tensors that stay."""
        vectors = [
            concatenate([reshape(leaves[i], (-1,)) for i, _, _ in mine], axis=0) for mine in self._places.values()
        ]
        return vectors + [x for x, (_, shape) in zip(leaves, self.leaves, strict=True) if shape is None]

    def unpacked(self, packed: Sequence[Any], reshape: Callable[..., Any]) -> list[Any]:
        """The leaves."""
        found: dict[int, Any] = {}
        for vector, mine in zip(packed, self._places.values(), strict=False):
            found |= {i: reshape(vector[start:stop], self.leaves[i][1]) for i, start, stop in mine}
        kept = iter(packed[len(self._places) :])
        return [found[i] if i in found else next(kept) for i in range(len(self.leaves))]


def _layout(arguments: Any) -> Layout:
    """Of the leaves that are not None: NumPy's are packed."""
    leaves = [x for x in keras.tree.flatten(arguments) if x is not None]
    numpy = (np.ndarray, np.generic)
    return Layout(tuple((np.dtype(x.dtype).name, x.shape) if isinstance(x, numpy) else ("", None) for x in leaves))


def _specs(arguments: Any) -> list[Any]:
    """What the program takes for these arguments."""
    import tensorflow as tf

    stay = [x for x in keras.tree.flatten(arguments) if x is not None and not isinstance(x, np.ndarray | np.generic)]
    vectors = [tf.TensorSpec((length,), name) for name, length in _layout(arguments).vectors]
    return vectors + [tf.TensorSpec(x.shape, x.dtype) for x in stay]


def _caller(concrete: Any, given: Layout, structure: Any, leaves: Layout) -> Callable[..., Any]:
    """What packs arguments, runs the program, and unpacks its result."""
    import tensorflow as tf

    def call(*flat: Any) -> Any:
        inputs = [
            tf.constant(x) if isinstance(x, np.ndarray) else x for x in given.packed(flat, np.reshape, np.concatenate)
        ]
        found = [np.array(x) for x in concrete(*inputs)]
        return _built(structure, leaves.unpacked(found, np.reshape))

    return call


def _filled(arguments: Any, leaves: Sequence[Any]) -> Any:
    """The arguments with other leaves in the places of those that are not None."""
    given = iter(leaves)
    whole = [None if x is None else next(given) for x in keras.tree.flatten(arguments)]
    return keras.tree.pack_sequence_as(arguments, whole)


def _described(tree: Any) -> Any:
    """A tree's structure as JSON: dictionaries as they are, lists and tuples as lists, leaves as null."""
    if isinstance(tree, dict):
        return {name: _described(tree[name]) for name in sorted(tree)}
    if isinstance(tree, list | tuple):
        return [_described(item) for item in tree]
    return None


def _built(structure: Any, leaves: Sequence[Any]) -> Any:
    """The tree of this structure, its lists as tuples, with these leaves in `keras.tree.flatten`'s order."""
    given = iter(leaves)

    def build(structure: Any) -> Any:
        if isinstance(structure, dict):
            return {name: build(structure[name]) for name in sorted(structure)}
        return next(given) if structure is None else tuple(build(item) for item in structure)

    return build(structure)


def _rename(graph: Any, prefix: str) -> None:
    """Puts a prefix before the names of a graph's functions: another process may have given them to others."""
    names = {f.signature.name: f"{prefix}_{f.signature.name}" for f in graph.library.function}
    for function in graph.library.function:
        function.signature.name = names[function.signature.name]
    for node in [*graph.node, *(node for function in graph.library.function for node in function.node_def)]:
        node.op = names.get(node.op, node.op)
        for value in node.attr.values():
            for called in [value.func, *value.list.func] if value.HasField("func") or value.list.func else []:
                called.name = names.get(called.name, called.name)
    for gradient in graph.library.gradient:
        gradient.function_name = names.get(gradient.function_name, gradient.function_name)
        gradient.gradient_func = names.get(gradient.gradient_func, gradient.gradient_func)
