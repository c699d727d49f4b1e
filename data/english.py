# ruff: noqa: RUF001  phonemes look like letters
"""English phonemes, fewer than espeak-ng has, in its American symbols; and words that sound otherwise in sentences."""

# espeak-ng writes what its voices must say: vowels with their r in one symbol, lengths, sounds of a few loan words.
# A head learns fewer symbols better, each from more speech: rare ones become the common ones that they sound like.
SIMPLER = {
    # a vowel and what follows it: two phonemes that both are heard elsewhere
    "əl": "ə l",
    "n̩": "ə n",
    "iə": "i ə",
    "ɑːɹ": "ɑː ɹ",
    "ɔːɹ": "ɔː ɹ",
    "oːɹ": "ɔː ɹ",
    "ɪɹ": "ɪ ɹ",
    "ɛɹ": "ɛ ɹ",
    "ʊɹ": "ʊ ɹ",
    "aɪɚ": "aɪ ɚ",
    "aɪə": "aɪ ə",
    # vowels that differ in length or not at all
    "iː": "i",
    "iːː": "i",
    "oː": "ɔː",
    "ɔ": "ɔː",
    "ɜː": "ɚ",
    "ɐ": "ə",
    "ᵻ": "ɪ",
    "ææ": "æ",
    # sounds of other languages, and a stop in the throat
    "ɑ̃": "ɑː n",
    "ɔ̃": "ɔː n",
    "x": "k",
    "ç": "h",
    "r": "ɹ",
    "ɬ": "l",
    "ʔ": "t",
}

# Said so in sentences more often than as alone. Weak forms of other words made recognition worse (RESULTS.md).
USUALLY_WEAK = {"a": "ə"}


def in_sentences(word: str, phonemes: list[str]) -> list[list[str]]:
    """Pronunciations of an English word, the usual one first, from espeak-ng's phonemes of the word alone."""
    alone = " ".join(SIMPLER.get(phoneme, phoneme) for phoneme in phonemes)
    usual = [USUALLY_WEAK[word]] if word in USUALLY_WEAK else []
    return [said.split() for said in dict.fromkeys([*usual, alone])]
