"""Which beam search a recogniser gets: with the model folder's language model, if there is one."""

import dataclasses
from pathlib import Path

from asr.decoding.beam import BeamConfig, BeamSearch, LanguageModel
from asr.decoding.phonemes import PhonemeSearch
from asr.engine_kind import MAX_BEAM, PHONETIC
from asr.errors import AsrError
from asr.language import files, word_files
from asr.language.config import FusionWeights
from asr.model_folder import decoding_of
from asr.tokenizer import Tokenizer
from asr.transducer.model import Transducer

LABEL_BONUS = 0.6  # without a language model: the best for the bundled model on development data


def make_search(
    folder: Path,
    transducer: Transducer,
    tokenizer: Tokenizer,
    beam: int,
    lm_weight: float | None = None,
    ilm_weight: float | None = None,
) -> BeamSearch | PhonemeSearch | None:
    """The search that these options ask for.

    Args:
        folder: Model folder, in which the language model lies: word trigrams, or else a recurrent model. Its
            configuration says how much the CTC head counts, and may have weights in place of those stored with the
            language model (`Decoding`).
        transducer: The model.
        tokenizer: Its wordpieces.
        beam: Hypotheses; 1: greedy decoding; 0: the phonetic search.
        lm_weight: Of the language model; None: as the folder says; 0: none is used.
        ilm_weight: Of the transducer's own expectation, which is subtracted; None: as the folder says.

    Returns:
        None: decode greedily.

    Raises:
        AsrError: for a beam or a weight that cannot be served.
        CheckpointError: if the folder has a language model that cannot be read, or one for another tokenizer.
    """
    if not PHONETIC <= beam <= MAX_BEAM:
        raise AsrError(f"beam: expected {PHONETIC} to {MAX_BEAM}, got {beam}")
    if beam == PHONETIC:
        return _phonetic(folder, transducer, tokenizer, lm_weight, ilm_weight)
    given = {"lm_weight": lm_weight, "ilm_weight": ilm_weight}
    for name, weight in given.items():
        if weight and beam == 1:
            raise AsrError(f"{name}: expected a beam of 2 or more with it, got greedy decoding")
    if beam == 1:
        return None
    decoding = decoding_of(folder)
    ctc_weight = decoding.ctc_weight
    present = _present(folder)
    if lm_weight and present is None:
        raise AsrError(f"lm_weight: expected a language model {folder / word_files.NAME}, found none")
    if lm_weight is None:
        lm_weight = decoding.lm_weight
    if lm_weight == 0.0 or present is None:
        ilm_weight = _checked("ilm_weight", ilm_weight or 0.0)
        return BeamSearch(transducer, BeamConfig(beam, 0.0, LABEL_BONUS, ilm_weight, ctc_weight))
    language, stored = _load(present, tokenizer)
    ilm_weight = decoding.ilm_weight if ilm_weight is None else ilm_weight
    fusion = stored.replaced(lm_weight, ilm_weight, decoding.label_bonus)
    config = BeamConfig(beam, fusion.lm_weight, fusion.label_bonus, fusion.ilm_weight, ctc_weight)
    return BeamSearch(transducer, config, language)


def _phonetic(
    folder: Path, transducer: Transducer, tokenizer: Tokenizer, lm_weight: float | None, ilm_weight: float | None
) -> PhonemeSearch:
    from asr.language.phonetic import load_phonetic  # Numba takes its time

    if ilm_weight is not None:
        raise AsrError(f"ilm_weight: expected none for a beam of {PHONETIC}, which leaves the transducer out")
    weights = decoding_of(folder).phonetic
    if lm_weight is not None:
        weights = dataclasses.replace(weights, lm_weight=lm_weight)
    return PhonemeSearch(transducer, load_phonetic(folder, tokenizer, transducer.config.phonemes, weights))


def _present(folder: Path) -> Path | None:
    """The language model's file."""
    paths = (folder / name for name in (word_files.NAME, files.NAME))
    return next((path for path in paths if path.is_file()), None)


def _load(path: Path, tokenizer: Tokenizer) -> tuple[LanguageModel, FusionWeights]:
    return (
        word_files.load_words(path, tokenizer) if path.name == word_files.NAME else files.load_language(path, tokenizer)
    )


def _checked(name: str, weight: float) -> float:
    if not 0.0 <= weight < float("inf"):
        raise AsrError(f"{name}: expected a number of 0 or more, got {weight}")
    return weight
