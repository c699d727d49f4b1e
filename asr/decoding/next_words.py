"""A recurrent network that says which word comes next, beside the trigrams of the phonetic search.

The trigrams remember two words; the network (Mikolov et al. 2010, "Recurrent neural network based language model") all
of the segment. Its states are computed when a word that follows them is about to end, and kept by the words that they
stand for: paths that said the same at other times share them, those of all streams of a thread too. Its logits are
trained to be log-probabilities as they are (`asr.language.next_word_trainer`), so that one word costs one product.

Letters: V words of the trigrams, K words of the network, E width of a word, D of the state, C states kept, M prices.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from asr.decoding.phonetic_types import Bytes, Floats, Ints
from asr.host_code import fused_host_code, host_code
from asr.host_functions import log_sum

KEPT = 1 << 12  # states
PRICES = 1 << 14  # log-probabilities of words after others: while a word's last phoneme lasts, it ends at each frame
DEPTH = 24  # words that a state is computed anew from, at most
NO_KEY = -1


class NextWords(NamedTuple):
    """The network; without one, `weight` is 0 and the arrays are empty.

    Matrices are of whole numbers of 8 bits, each column's times its scale, of `embedding` each row's.

    Attributes:
        weight: Share of the network in the probability of a word that it knows; the rest is the trigrams'.
        number: [V] each word's number in the network; 0: a word that it does not know.
        embedding: [K + 1, E] of words, as input and before the softmax; the last is the segment's start.
        embedding_scale: [K + 1].
        output_bias: [K].
        kernel: [E, 3D] of a gated recurrent unit (Cho et al. 2014): update, reset, new.
        kernel_scale: [3D].
        input_bias: [3D].
        recurrent: [D, 3D].
        recurrent_scale: [3D].
        bias: [3D], before the reset gate.
        hidden: [D, E].
        hidden_scale: [E].
        hidden_bias: [E].
    """

    weight: np.float32
    number: Ints
    embedding: Bytes
    embedding_scale: Floats
    output_bias: Floats
    kernel: Bytes
    kernel_scale: Floats
    input_bias: Floats
    recurrent: Bytes
    recurrent_scale: Floats
    bias: Floats
    hidden: Bytes
    hidden_scale: Floats
    hidden_bias: Floats


class KeptStates(NamedTuple):
    """States by the words that led to them, and log-probabilities by those words and one more.

    Attributes:
        keys: [C] of what was said.
        states: [C, D].
        hidden: [C, E] what the logits are made of.
        price_keys: [M] of what was said and the word.
        prices: [M].
        from_input: [3D] room for one step.
        from_state: [3D] room for one step.
        input: [E] room for one word.
    """

    keys: NDArray[np.int64]
    states: Floats
    hidden: Floats
    price_keys: NDArray[np.int64]
    prices: Floats
    from_input: Floats
    from_state: Floats
    input: Floats


def no_network(words: int) -> NextWords:
    """What stands for a network where there is none."""
    none, flat, number = np.zeros((0, 0), np.int8), np.zeros(0, np.float32), np.zeros(words, np.int32)
    return NextWords(np.float32(0.0), number, none, flat, flat, none, flat, flat, none, flat, flat, none, flat, flat)


def kept_states(network: NextWords) -> KeptStates:
    """Room for states, with none in it."""
    width, size = len(network.recurrent), len(network.hidden_bias)
    kept, prices = (KEPT, PRICES) if network.weight else (0, 0)
    return KeptStates(
        np.full(kept, NO_KEY, np.int64),
        np.zeros((kept, width), np.float32),
        np.zeros((kept, size), np.float32),
        np.full(prices, NO_KEY, np.int64),
        np.zeros(prices, np.float32),
        np.zeros(3 * width, np.float32),
        np.zeros(3 * width, np.float32),
        np.zeros(size, np.float32),
    )


@host_code
def key_after(key: Any, word: int) -> Any:
    """Key of words and one more: a number that no other words have, for all that will ever be said."""
    mixed = (key ^ (word + 1)) * 6_364_136_223_846_793_005 + 1_442_695_040_888_963_407  # Knuth, MMIX
    return mixed ^ (mixed >> 29)


@host_code
def _place(key: Any, keys: Any) -> Any:
    """Where what has a key is kept, if it is."""
    return (key >> 20) & (keys.shape[0] - 1)


@fused_host_code
def _times(vector: Any, matrix: Any, scale: Any, bias: Any, product: Any) -> None:
    """[n] times [n, m], and a bias [m]; four rows at a time, since what is summed up lies in memory."""
    rows, columns = matrix.shape
    product[:] = np.float32(0.0)
    whole = rows - rows % 4
    for i in range(0, whole, 4):
        a, b, c, d = vector[i], vector[i + 1], vector[i + 2], vector[i + 3]
        first, second, third, fourth = matrix[i], matrix[i + 1], matrix[i + 2], matrix[i + 3]
        for j in range(columns):
            product[j] += (
                a * np.float32(first[j])
                + b * np.float32(second[j])
                + c * np.float32(third[j])
                + d * np.float32(fourth[j])
            )
    for i in range(whole, rows):
        for j in range(columns):
            product[j] += vector[i] * np.float32(matrix[i, j])
    for j in range(columns):
        product[j] = product[j] * scale[j] + bias[j]


@fused_host_code
def _tanh(x: Any) -> Any:
    """Hyperbolic tangent by Lambert's continued fraction, to 1e-4: arithmetic alone, of many numbers at a time."""
    x = min(max(x, np.float32(-4.97)), np.float32(4.97))
    y = x * x
    above = x * (np.float32(135135) + y * (np.float32(17325) + y * (np.float32(378) + y)))
    return above / (np.float32(135135) + y * (np.float32(62370) + y * (np.float32(3150) + y * np.float32(28))))


@fused_host_code
def _gated(x: Any, h: Any, before: Any, after: Any) -> None:
    """The unit's new state: [3D], [3D], [D] -> [D]."""
    width = before.shape[0]
    half = np.float32(0.5)
    for j in range(width):
        update = half + half * _tanh(half * (x[j] + h[j]))
        reset = half + half * _tanh(half * (x[width + j] + h[width + j]))
        new = _tanh(x[2 * width + j] + reset * h[2 * width + j])
        after[j] = new + update * (before[j] - new)


@host_code
def _step(number: int, before: Any, after: Any, hidden: Any, network: Any, kept: Any) -> None:
    """State after a word: [D] -> [D], and what the logits are made of, [E]."""
    x, h, word = kept.from_input, kept.from_state, kept.input
    for i in range(word.shape[0]):
        word[i] = network.embedding_scale[number] * np.float32(network.embedding[number, i])
    _times(word, network.kernel, network.kernel_scale, network.input_bias, x)
    _times(before, network.recurrent, network.recurrent_scale, network.bias, h)
    _gated(x, h, before, after)
    _times(after, network.hidden, network.hidden_scale, network.hidden_bias, hidden)


@host_code
def _state_after(link: int, links: Any, network: Any, kept: Any) -> Any:
    """Place of the state after the words of a link, computed if it is not kept.

    From the latest state that is, or from the segment's start; where neither is `DEPTH` words back, as if a segment
    had begun there.
    """
    place = _place(links.key[link], kept.keys)
    if kept.keys[place] == links.key[link]:
        return place
    path = np.empty(DEPTH, np.int32)
    state = np.zeros(kept.states.shape[1], np.float32)
    count, k, found = 0, link, False
    while count < DEPTH and not found and k > 0:
        path[count] = k
        count += 1
        begins = links.key[k] == key_after(links.key[0], links.word[k])  # a sentence
        k = 0 if begins else links.previous[k]
        base = _place(links.key[k], kept.keys)
        if kept.keys[base] == links.key[k]:
            state[:] = kept.states[base]
            found = True
    if not found:
        place = _place(links.key[0], kept.keys)
        _step(network.embedding.shape[0] - 1, state, kept.states[place], kept.hidden[place], network, kept)
        kept.keys[place] = links.key[0]
        state[:] = kept.states[place]
    for i in range(count - 1, -1, -1):
        word, key = links.word[path[i]], links.key[path[i]]
        number = network.number[word] if word < network.number.shape[0] else 0  # else only a phrase has it
        place = _place(key, kept.keys)
        _step(number, state, kept.states[place], kept.hidden[place], network, kept)
        kept.keys[place] = key
        state[:] = kept.states[place]
    return place


@host_code
def with_network(price: Any, word: int, link: int, links: Any, network: Any, kept: Any) -> Any:
    """Log-probability of a word after the words of a link: the network's and the trigrams' (`price`), mixed.

    Of a word that the network does not know it is the trigrams'.
    """
    number = network.number[word]
    if number == 0:
        return price
    key = key_after(links.key[link], word)
    where = _place(key, kept.price_keys)
    if kept.price_keys[where] == key:
        return kept.prices[where]
    hidden, row = kept.hidden[_state_after(link, links, network, kept)], network.embedding[number]
    product = np.float32(0.0)
    for j in range(hidden.shape[0]):
        product += hidden[j] * np.float32(row[j])
    logit = min(np.float32(0.0), product * network.embedding_scale[number] + network.output_bias[number])
    kept.price_keys[where] = key
    kept.prices[where] = log_sum(price + np.log(np.float32(1.0) - network.weight), logit + np.log(network.weight))
    return kept.prices[where]
