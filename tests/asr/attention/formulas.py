"""Every mechanism once more, in plain numpy: one recording, one query at a time, straight from its equation.

Each function takes the layer (for its weights), queries [U, P], memory [S, D] and which items each query sees
[U, S] bool, and returns contexts and weights. Written for reading, not for speed; nothing here calls Keras.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

Array = np.ndarray
Formula = Callable[[Any, Array, Array, Array], tuple[Array, Array]]


def softmax(energies: Array, seen: Array) -> Array:
    """Over the items seen; zeros if there are none."""
    weights = np.zeros(len(energies))
    if seen.any():
        chosen = np.exp(energies[seen] - energies[seen].max())
        weights[seen] = chosen / chosen.sum()
    return weights


def sigmoid(x: Array) -> Array:
    return 1.0 / (1.0 + np.exp(-x))


def energies(score: Any, query: Array, memory: Array) -> Array:
    """[U, P], [S, D] -> [U, S], by the kind of the similarity."""
    names = [name for name in vars(score) if name.endswith(("kernel", "vector"))]
    w = {name: np.asarray(getattr(score, name), np.float64) for name in names}
    kind = type(score).__name__
    found = np.zeros((len(query), len(memory)))
    for u, q in enumerate(query):
        for s, h in enumerate(memory):
            if kind == "Additive":
                key = h @ w["key_kernel"] if score.project_key else h
                found[u, s] = w["vector"] @ np.tanh(q @ w["query_kernel"] + key)
            elif kind == "Concat":
                found[u, s] = w["vector"] @ np.tanh(np.concatenate([q, h]) @ w["kernel"])
            elif kind == "General":
                found[u, s] = q @ w["kernel"] @ h / (np.sqrt(len(h)) if score.scaled else 1.0)
            elif kind == "Dot":
                found[u, s] = q @ h
            elif kind == "ScaledDot":
                found[u, s] = q @ h / np.sqrt(len(h))
            else:
                raise AssertionError(kind)
    return found


def similarity(layer: Any, query: Array, memory: Array, seen: Array) -> tuple[Array, Array]:
    weights = np.stack([softmax(e, row) for e, row in zip(energies(layer, query, memory), seen, strict=True)])
    return weights @ memory, weights


def global_(layer: Any, query: Array, memory: Array, seen: Array) -> tuple[Array, Array]:
    return similarity(layer.score, query, memory, seen)


def heads(layer: Any, query: Array, memory: Array, seen: Array) -> tuple[Array, Array]:
    """Cross, self and multi-head: contexts [U, d], weights [H, U, S] (without H if there is one head)."""
    count = getattr(layer, "heads", 1)
    width = layer.dim // count
    contexts, weights = [], []
    for h in range(count):
        part = slice(h * width, (h + 1) * width)
        wq, wk, wv = (np.asarray(w)[:, part] for w in (layer.query_kernel, layer.key_kernel, layer.value_kernel))
        rows = [softmax((memory @ wk) @ (q @ wq) / np.sqrt(width), row) for q, row in zip(query, seen, strict=True)]
        weights.append(np.stack(rows))
        contexts.append(weights[-1] @ (memory @ wv))
    context = np.concatenate(contexts, axis=-1)
    if not hasattr(layer, "heads"):
        return context, weights[0]
    return context @ np.asarray(layer.output_kernel), np.stack(weights)


def windowed(layer: Any, query: Array, memory: Array, seen: Array) -> tuple[Array, Array]:
    """Rotary positions as complex numbers; with a span, areas of it."""
    width, span = layer.head_dim, getattr(layer, "span", 1)
    projected = [x.reshape(len(query), layer.heads, width) for x in np.split(query @ np.asarray(layer.qkv), 3, axis=-1)]
    frequency = 10_000.0 ** (-np.arange(0, width, 2) / width)
    contexts, weights = [], []
    for h in range(layer.heads):
        q, k, v = (x[:, h] for x in projected)
        turn = np.exp(1j * np.arange(len(query))[:, None] * frequency)
        q, k = ((x[:, : width // 2] + 1j * x[:, width // 2 :]) * turn for x in (q, k))
        scores = (q @ np.conj(k).T).real / np.sqrt(width)
        rows = [areas_of_scores(scores[u], seen[u], span) for u in range(len(query))]
        contexts.append(np.stack([mixed @ v for mixed, _ in rows]))
        weights.append(np.stack([shares for _, shares in rows]))
    return np.concatenate(contexts, axis=-1) @ np.asarray(layer.output_kernel), np.stack(weights)


def areas_of_scores(scores: Array, seen: Array, span: int) -> tuple[Array, Array]:
    """What values are multiplied with, and shares, of areas whose energy is the mean of their items'."""
    areas = [range(s, s + size) for size in range(1, span + 1) for s in range(len(scores) - size + 1)]
    each = softmax(np.array([scores[list(a)].mean() for a in areas]), np.array([seen[list(a)].all() for a in areas]))
    mixed, shares = np.zeros(len(scores)), np.zeros(len(scores))
    for area, weight in zip(areas, each, strict=True):
        mixed[list(area)] += weight
        shares[list(area)] += weight / len(area)
    return mixed, shares


def local_m(layer: Any, query: Array, memory: Array, seen: Array) -> tuple[Array, Array]:
    near = np.array([[abs(s - layer.rate * u) <= layer.radius for s in range(len(memory))] for u in range(len(query))])
    return similarity(layer.score, query, memory, seen & near)


def local_p(layer: Any, query: Array, memory: Array, seen: Array) -> tuple[Array, Array]:
    weights = np.zeros(seen.shape)
    scores = energies(layer.score, query, memory)
    for u, q in enumerate(query):
        items = np.flatnonzero(seen[u])
        if not len(items):
            continue
        share = sigmoid(np.tanh(q @ np.asarray(layer.place_kernel)) @ np.asarray(layer.place_vector))[0]
        place, sigma = items[0] + len(items) * share, layer.radius / 2
        distance = np.arange(len(memory)) - place
        weights[u] = softmax(scores[u], seen[u] & (np.abs(distance) <= layer.radius))
        weights[u] *= np.exp(-(distance**2) / (2 * sigma**2))
    return weights @ memory, weights


def hard(layer: Any, query: Array, memory: Array, seen: Array) -> tuple[Array, Array]:
    soft = similarity(layer.score, query, memory, seen)[1]
    weights = np.zeros(seen.shape)
    for u in np.flatnonzero(seen.any(axis=1)):
        weights[u, soft[u].argmax()] = 1.0
    return weights @ memory, weights


def stopping(layer: Any, query: Array, memory: Array, seen: Array) -> Array:
    """Probability to stop at each item, [U, S]."""
    scores = energies(layer.score, query, memory)
    return np.where(seen, sigmoid(float(layer.gain) * scores + float(layer.offset)), 0.0)


def expected(layer: Any, query: Array, memory: Array, seen: Array) -> Array:
    """Every way to walk: from each item where the last query may have stopped, to each item after it."""
    before, found = np.eye(len(memory))[0], []
    for p in stopping(layer, query, memory, seen):
        here = np.zeros(len(memory))
        for start in range(len(memory)):
            goes_on = before[start]
            for s in range(start, len(memory)):
                here[s] += goes_on * p[s]
                goes_on *= 1.0 - p[s]
        found.append(here)
        before = np.eye(len(memory))[0] if layer.restart else here
    return np.stack(found)


def monotonic_expected(layer: Any, query: Array, memory: Array, seen: Array) -> tuple[Array, Array]:
    weights = expected(layer, query, memory, seen)
    return weights @ memory, weights


def selected(layer: Any, query: Array, memory: Array, seen: Array) -> Array:
    found, last = np.zeros(seen.shape), 0
    for u, p in enumerate(stopping(layer, query, memory, seen)):
        for s in range(0 if layer.restart else last, len(memory)):
            if p[s] >= 0.5:
                found[u, s], last = 1.0, s
                break
    return found


def monotonic_hard(layer: Any, query: Array, memory: Array, seen: Array) -> tuple[Array, Array]:
    weights = selected(layer, query, memory, seen)
    return weights @ memory, weights


def mocha(layer: Any, query: Array, memory: Array, seen: Array) -> tuple[Array, Array]:
    select = (selected if layer.hard else expected)(layer, query, memory, seen)
    scores, weights = energies(layer.chunk_score, query, memory), np.zeros(seen.shape)
    for u in range(len(query)):
        for k in range(len(memory)):
            chunk = np.array([max(0, k - layer.chunk + 1) <= s <= k for s in range(len(memory))])
            weights[u] += select[u, k] * softmax(scores[u], seen[u] & chunk)
    return weights @ memory, weights


def blockwise(layer: Any, query: Array, memory: Array, seen: Array) -> tuple[Array, Array]:
    """Contexts [N, U, D], weights [N, U, K]."""
    contexts, weights = [], []
    for start in range(0, len(memory) - layer.block + 1, layer.block):
        inside = np.arange(start - layer.lookback, start + layer.block)
        window = seen & np.isin(np.arange(len(memory)), inside)
        context, whole = similarity(layer.score, query, memory, window)
        contexts.append(context)
        weights.append(np.where(inside >= 0, whole[:, np.maximum(inside, 0)], 0.0))
    return np.stack(contexts), np.stack(weights)


def area(layer: Any, query: Array, memory: Array, seen: Array) -> tuple[Array, Array]:
    """1-D and 2-D: the items of every area, listed one by one."""
    columns, width = getattr(layer, "columns", 1), getattr(layer, "width", 1)
    height = getattr(layer, "height", layer.span)
    rows, areas = len(memory) // columns, []
    for h in range(1, height + 1):
        for w in range(1, width + 1):
            corners = [(r, c) for r in range(rows - h + 1) for c in range(columns - w + 1)]
            areas += [(h, w, [(r + i) * columns + c + j for i in range(h) for j in range(w)]) for r, c in corners]
    keys = np.stack([area_key(layer, memory[items], h, w) for h, w, items in areas])
    values = np.stack([memory[items].sum(0) for _, _, items in areas])
    exist = np.stack([seen[:, items].all(-1) for _, _, items in areas], axis=-1)
    weights = similarity(layer.score, query, keys, exist)[1]
    return weights @ values, weights


def area_key(layer: Any, items: Array, height: int, width: int) -> Array:
    if layer.units is None:
        return items.mean(0)
    hidden = items.mean(0) @ np.asarray(layer.mean_kernel)
    hidden = hidden + np.sqrt(items.var(0) + 1e-6) @ np.asarray(layer.deviation_kernel)
    for table, size in zip(layer.embeddings, (height, width), strict=False):
        hidden = hidden + np.asarray(table)[size - 1]
    return np.maximum(hidden, 0.0) @ np.asarray(layer.output_kernel)
