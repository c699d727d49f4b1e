"""The search through pronunciations with a model folder's words: the lexicon, the trigrams and streams' phrases."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from asr.decoding.next_words import NextWords, no_network
from asr.decoding.phonetic import PhoneticSearch, Scratch
from asr.decoding.phonetic_hypotheses import PhoneticHypotheses
from asr.decoding.phonetic_types import Phrases, Tree, Trigrams
from asr.decoding.phrases import normalised
from asr.errors import AsrError, CheckpointError
from asr.language import next_word_files, phone_lexicon, word_files
from asr.language.config import PHRASE_WORD, PhoneticWeights
from asr.language.ngrams import NgramModel
from asr.language.phone_lexicon import PhoneLexicon, load_phone_lexicon, with_words
from asr.model_folder import read_config
from asr.tokenizer import Tokenizer
from data.programs import SynthesisError
from data.pronounce import pronunciations

LISTS = 16  # of phrases that are kept ready


class PhoneticWords:
    """Makes the hypotheses of streams.

    Args:
        lexicon: Pronunciations.
        ngrams: Trigrams of the same words.
        tokenizer: Spells them.
        weights: How the search weighs.
        network: What else says which word comes next; None: nothing.
    """

    def __init__(
        self,
        lexicon: PhoneLexicon,
        ngrams: NgramModel,
        tokenizer: Tokenizer,
        weights: PhoneticWeights,
        network: NextWords | None = None,
    ) -> None:
        """Keeps the parts."""
        self.lexicon, self.tokenizer, self.weights, self.texts = lexicon, tokenizer, weights, ngrams.words
        self._trigrams = trigrams_of(ngrams)
        self._scratch = Scratch(network or no_network(len(ngrams.words)), weights.tokens)
        self._known = {word: number for number, word in enumerate(ngrams.words)}
        self._spoken = np.zeros(len(ngrams.words), bool)
        self._spoken[lexicon.tree.words] = True
        self._phrased = lru_cache(LISTS)(self._with_phrases)
        self._warm_up()

    def hypotheses(self, frame_ms: int, phrases: Sequence[str] = (), weight: float = 0.0) -> PhoneticHypotheses:
        """Of a new stream.

        Args:
            frame_ms: Length of an encoder frame.
            phrases: Names and terms to favour.
            weight: Bonus of each wordpiece of them, in nats.

        Raises:
            AsrError: if a phrase has no words, or one that cannot be pronounced.
        """
        tree, automaton, texts = self._phrased(tuple(dict.fromkeys(phrases)), weight)

        def begin() -> PhoneticSearch:
            return PhoneticSearch(tree, self._trigrams, automaton, self.weights, self._scratch)

        return PhoneticHypotheses(begin, texts, self.tokenizer, frame_ms)

    def _warm_up(self) -> None:
        """Compiles the search, or finds it compiled: no stream is to wait for it."""
        silence = np.zeros((1, 2, len(self.lexicon.symbols) + 1), np.float32)
        self.hypotheses(80).accept({"phonemes": silence, "heard": np.ones(1, bool)}, 0, 0)

    def _with_phrases(self, phrases: tuple[str, ...], weight: float) -> tuple[Tree, Phrases, Sequence[str]]:
        """The tree with the phrases' own words, the phrases' automaton, and the texts of all words."""
        sentences = [normalised(phrase).split() for phrase in phrases]
        own = [w for w in dict.fromkeys(w for words in sentences for w in words) if not self._can_say(w)]
        numbers = self._known | {word: len(self.texts) + i for i, word in enumerate(own)}
        tree, texts = self.lexicon.tree, self.texts
        if own:
            log_probs = np.full(len(self.texts) + len(own), PHRASE_WORD)
            entries = [(one, numbers[word]) for word, several in self._said(own).items() for one in several]
            tree, texts = with_words(tree, entries, log_probs), (*self.texts, *own)
        prices = {word: weight * len(self.tokenizer.encode(word)) for words in sentences for word in words}
        automaton = phrase_automaton(sentences, prices, numbers, len(self.texts) + len(own))
        return tree, automaton, texts

    def _can_say(self, word: str) -> bool:
        return word in self._known and bool(self._spoken[self._known[word]])

    def _said(self, words: Sequence[str]) -> dict[str, list[list[int]]]:
        """Pronunciations of words that the lexicon does not have."""
        voice = self.lexicon.voice
        try:
            found = pronunciations(words, voice) if voice else {}
        except SynthesisError as error:
            expected = f"words of the lexicon, or espeak-ng to pronounce {words[0]!r}"
            raise AsrError(f"phrases: expected {expected}: {error}") from error
        numbers = {symbol: i for i, symbol in enumerate(self.lexicon.symbols)}
        said: dict[str, list[list[int]]] = {}
        for word in words:
            several = found.get(word, [])
            said[word] = [[numbers[symbol] for symbol in one] for one in several if numbers.keys() >= set(one)]
            if not said[word]:
                way = f"a way to say them with this model's phonemes, found none for {word!r}"
                raise AsrError(f"phrases: expected words of the lexicon, or {way}")
        return said


def can_search_phonemes(folder: Path) -> bool:
    """Whether a model folder has all that the phonetic search needs.

    Raises:
        CheckpointError: if its configuration cannot be read.
    """
    return not _missing(folder, read_config(folder)[0].phonemes)


def load_phonetic(folder: Path, tokenizer: Tokenizer, phonemes: int, weights: PhoneticWeights) -> PhoneticWords:
    """Reads the lexicon, the trigrams and, if it has one, the network over words of a model folder.

    Args:
        folder: Model folder.
        tokenizer: Its wordpieces.
        phonemes: Symbols of its phoneme head.
        weights: How the search weighs.

    Raises:
        AsrError: if the model has no phoneme head, or the folder no lexicon or no words.
        CheckpointError: if a file cannot be read, or is of another model.
    """
    missing = _missing(folder, phonemes)
    if missing:
        raise AsrError(f"beam: expected a model with phonemes and {missing[0]} for a beam of 0, found none")
    ngrams, _, _ = word_files.read_words(folder / word_files.NAME, tokenizer)
    path = folder / phone_lexicon.NAME
    lexicon = load_phone_lexicon(path, ngrams.words, ngrams.log_probs)
    symbols = read_config(folder)[1].get("phonemes", [])
    if list(lexicon.symbols) != symbols or len(symbols) != phonemes:
        raise CheckpointError(
            f"{path}: expected the phonemes of the model's config.json, got {len(lexicon.symbols)} others"
        )
    network = folder / next_word_files.NAME
    if not weights.network_share or not network.is_file():
        return PhoneticWords(lexicon, ngrams, tokenizer, weights)
    next_words = next_word_files.load_next_words(network, ngrams.words, weights.network_share)
    return PhoneticWords(lexicon, ngrams, tokenizer, weights, next_words)


def _missing(folder: Path, phonemes: int) -> list[Path]:
    needed = folder / word_files.NAME, folder / phone_lexicon.NAME
    return [path for path in needed if not phonemes or not path.is_file()]


def trigrams_of(ngrams: NgramModel) -> Trigrams:
    """The model as the search reads it."""
    names = Trigrams._fields
    kinds = {"bigram_starts": np.int64, "trigram_starts": np.int64, "bigram_words": np.int32, "trigram_words": np.int32}
    values = (getattr(ngrams, name) for name in names)
    return Trigrams(
        *(
            x.astype(kinds[name]) if name in kinds else np.maximum(x, word_files.FLOOR).astype(np.float32)
            for name, x in zip(names, values, strict=True)
        )
    )


def phrase_automaton(
    sentences: Sequence[Sequence[str]], prices: dict[str, float], numbers: dict[str, int], words: int
) -> Phrases:
    """The automaton over words that gives each word of a phrase its bonus, and takes it back where one breaks off.

    Args:
        sentences: Words of each phrase.
        prices: Bonus of each word, in nats.
        numbers: Of each word.
        words: How many words there are.
    """
    children: list[dict[str, int]] = [{}]
    ends = {0}
    for sentence in sentences:
        state = 0
        for word in sentence:
            if word not in children[state]:
                children[state][word] = len(children)
                children.append({})
            state = children[state][word]
        ends.add(state)
    fallbacks = [0] * len(children)
    begun = [0.0] * len(children)  # bonus of a state's words since the latest whole phrase before it
    queue = [0]
    for state in queue:  # level by level: a state's fallback is known before it
        for word, child in children[state].items():
            if state and child not in ends:  # a whole phrase is paid, and begins no other one
                fallbacks[child] = _next(children, fallbacks, fallbacks[state], word)
            begun[child] = (0.0 if state in ends else begun[state]) + prices[word]
            queue.append(child)
    pending = np.array([0.0 if state in ends else begun[state] for state in range(len(children))], np.float32)
    following = np.zeros((len(children), len(prices) + 1), np.int32)
    places = {word: place for place, word in enumerate(prices, 1)}
    column = np.zeros(words, np.int32)
    for word, place in places.items():
        column[numbers[word]] = place
    for state in queue:
        following[state] = following[fallbacks[state]]
        for word, child in children[state].items():
            following[state, places[word]] = child
    gain = np.array(begun, np.float32)[following] - pending[:, None]
    return Phrases(column, following, gain, pending)


def _next(children: Sequence[dict[str, int]], fallbacks: Sequence[int], state: int, word: str) -> int:
    """The state after a word: the longest end of what was said since a whole phrase that begins another one."""
    while state and word not in children[state]:
        state = fallbacks[state]
    return children[state].get(word, 0)
