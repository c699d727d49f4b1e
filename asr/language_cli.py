"""Commands of `asr` for language models and lexicons: train-lm, train-next-words, train-words and others."""

from pathlib import Path
from typing import Annotated

import typer

RunOption = Annotated[Path | None, typer.Option(help="Folder of the run; default: runs/NAME.")]
UntilOption = Annotated[float | None, typer.Option(min=0.1, help="Stop, resumable, after this time.")]


def train_lm(
    config: Annotated[Path, typer.Argument(help="TOML file; see asr/configs/language/small.toml.")],
    run: RunOption = None,
    until_minutes: UntilOption = None,
) -> None:
    """Trains a language model for the beam search, or goes on where the run stopped."""
    from asr.language.command import train_language_command

    train_language_command(config, run or Path("runs") / config.stem, until_minutes)


def train_next_words(
    config: Annotated[Path, typer.Argument(help="TOML file; see asr/configs/language/next-words.toml.")],
    run: RunOption = None,
    until_minutes: UntilOption = None,
) -> None:
    """Trains a network over words for the phonetic search, or goes on where the run stopped."""
    from asr.language.command import train_next_words_command

    train_next_words_command(config, run or Path("runs") / config.stem, until_minutes)


def sample_words(
    ngrams: Annotated[Path, typer.Argument(help="Trigrams: ARPA (.gz, .xz) or CMU Sphinx's .lm.bin.")],
    output: Annotated[Path, typer.Argument(help="Text to write, a sentence a line; .xz is packed.")],
    sentences: Annotated[int, typer.Option(min=1, help="How many.")] = 300_000,
    words: Annotated[tuple[int, int], typer.Option(help="Words of a sentence, from and to.")] = (5, 24),
    seed: Annotated[int, typer.Option(help="Of the draw.")] = 1,
) -> None:
    """Writes sentences as trigrams say them, for a network to learn from what they were counted on."""
    from asr.language.sampling import sample_words_command

    print(sample_words_command(ngrams, output, sentences, words, seed))


def train_words(
    texts: Annotated[list[Path], typer.Argument(help="Texts (.txt, .txt.xz), a sentence a line; twice counts twice.")],
    model: Annotated[Path, typer.Option("--model", help="Model folder; words.npz is written into it.")],
    held_out: Annotated[
        Path | None, typer.Option(help="Text by which each text, --ngrams and the --counts get their share; none: one.")
    ] = None,
    ngrams: Annotated[
        list[Path] | None, typer.Option(help="A model to mix in: ARPA (.gz, .xz) or CMU Sphinx's .lm.bin; may repeat.")
    ] = None,
    counts: Annotated[
        list[Path] | None, typer.Option(help="Words or pairs of words, a tab, their count, to mix in; may repeat.")
    ] = None,
    min_count: Annotated[int, typer.Option(min=1, help="Rarer words are unknown.")] = 2,
    bigram_gain: Annotated[
        float, typer.Option(min=0.0, help="Nats that a bigram gains its text at least; more: a smaller file.")
    ] = 1.5,
    trigram_gain: Annotated[float, typer.Option(min=0.0, help="The same of trigrams.")] = 3.0,
) -> None:
    """Counts word trigrams for the beam search of a model: a lexicon, and which words follow which."""
    from asr.language.word_command import Sources, train_words_command

    sources = Sources(texts, ngrams or (), counts or (), held_out)
    print(train_words_command(sources, model, min_count, bigram_gain, trigram_gain))


def copy_words(
    model: Annotated[Path, typer.Argument(help="Model folder that is to have them.")],
    source: Annotated[
        Path | None, typer.Option("--from", help="Model folder that has them; default: the bundled model.")
    ] = None,
) -> None:
    """Copies words, trigrams, pronunciations and the network over words from another model.

    A model with a phoneme head is then decoded by the phonetic search, unless its config.json says otherwise.
    """
    from asr.language.copy_command import copy_words_command
    from asr.model_folder import bundled_model

    for line in copy_words_command(source or bundled_model(), model):
        print(line)


def lexicon(
    model: Annotated[Path, typer.Argument(help="Model folder with a phoneme head and words.npz.")],
    pronunciations: Annotated[
        Path | None, typer.Option(help="JSON of words' phonemes, as asr-data pronounce writes it.")
    ] = None,
    voice: Annotated[
        str, typer.Option(help="Of espeak-ng, for words not listed there; empty: leave them out.")
    ] = "en-us",
    dictionary: Annotated[
        Path | None, typer.Option(help="CMU Pronouncing Dictionary: where it says a word otherwise, both may be heard.")
    ] = None,
) -> None:
    """Writes how a model's words are pronounced, for the phonetic search."""
    from asr.language.lexicon_command import lexicon_command

    print(lexicon_command(model, pronunciations, voice, dictionary))
