"""`make recipes`: the LibriSpeech recipes from the corpus' folder to figures, at their real size, cut short.

A folder in LibriSpeech's layout is made of the bundled recordings; then, for `base` and `large`, the commands that
their users type: `asr-data prepare`, `asr-data pronounce`, `asr train`, which is killed and started again, `asr
export`, `asr copy-words`, `asr evaluate`. Only what six recordings cannot give is changed: the number of steps, the
batch, and the numbers of wordpieces and of phonemes.
"""

import argparse
import json
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import soundfile

from asr.training.pronunciations import read_pronunciations
from data.audio import load_audio
from data.manifest import Utterance, read_manifest

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "data" / "samples" / "manifest.jsonl"
SUBSETS = ("train-clean-100", "train-clean-360", "train-other-500", "train-clean-100", "dev-clean", "dev-other")
STEPS = 3
SHORT = {
    "model.vocabulary": 64,
    "data.batch_frames": 2048,
    "data.jobs": 1,
    "loss.transducer_after": 0,
    "schedule.steps": STEPS,
    "schedule.warmup_steps": 1,
    "schedule.checkpoint_steps": 1,
    "schedule.evaluate_steps": STEPS,
    "schedule.log_steps": 1,
}


def make_corpus(folder: Path) -> None:
    """Bundled recordings as SUBSET/SPEAKER/CHAPTER/SPEAKER-CHAPTER-NUMBER.flac, and their transcripts."""
    for number, (subset, utterance) in enumerate(zip(SUBSETS, _utterances(), strict=False)):
        speaker, chapter = 1000 + number, 1
        name, place = f"{speaker}-{chapter}-0000", folder / subset / str(speaker) / str(chapter)
        place.mkdir(parents=True)
        soundfile.write(place / f"{name}.flac", load_audio(utterance.audio), 16_000)
        (place / f"{speaker}-{chapter}.trans.txt").write_text(f"{name} {utterance.transcript.upper()}\n")


def _utterances() -> list[Utterance]:
    return read_manifest(SAMPLES)[: len(SUBSETS)]


def run_recipe(name: str, corpus: Path, work: Path, changes: dict[str, object]) -> dict[str, float]:
    """Runs a recipe to its end, killed once on the way.

    Args:
        name: Of the configuration.
        corpus: A folder in LibriSpeech's layout.
        work: Empty folder for the run and the model.
        changes: `--set` options.

    Returns:
        Word error rate of each dev split.

    Raises:
        RuntimeError: naming the command that failed, or a run that did not resume.
    """
    _call("data.cli", "prepare", "librispeech", corpus, "--output", corpus / "manifest.jsonl")
    said = corpus / "phonemes.json"
    _call("data.cli", "pronounce", corpus / "manifest.jsonl", "--output", said)
    shutil.copy(ROOT / "asr" / "configs" / f"{name}.toml", corpus)
    changes = {**changes, "model.phonemes": len(read_pronunciations(said))}  # six recordings do not have them all
    options = [part for key, value in changes.items() for part in ("--set", f"{key}={value}")]
    train = ["asr.cli", "train", corpus / f"{name}.toml", "--run", work / "run", *options]
    _kill_after(train, work / "run" / "step-0000001.npz")
    told = _call(*train)
    if "resumed at step" not in told:
        raise RuntimeError(f"{name}: expected the run to go on where it was killed, it said:\n{told}")
    _call("asr.cli", "export", work / "run", work / "model")
    _call("asr.cli", "copy-words", work / "model")
    splits = ("--split", "dev-clean", "--split", "dev-other", "--batch", 1)
    found = _call(
        "asr.cli",
        "evaluate",
        corpus / "manifest.jsonl",
        *splits,
        "--model",
        work / "model",
        "--format",
        "json",
        out=True,
    )
    return {split: figures["wer"] for split, figures in json.loads(found).items()}


def _call(*command: object, out: bool = False) -> str:
    """Runs a module of ours to its end; returns what it said: its standard output, or all."""
    line = [sys.executable, "-m", *(str(part) for part in command)]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(line)}: exit status {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout if out else done.stdout + done.stderr


def _kill_after(command: Sequence[object], checkpoint: Path) -> None:
    """Kills a training run with SIGKILL when it says something after its first checkpoint is there."""
    line = [sys.executable, "-m", *(str(part) for part in command)]
    with subprocess.Popen(line, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        said = []
        for text in process.stderr:
            said.append(text)
            if checkpoint.exists():
                process.send_signal(signal.SIGKILL)
                break
        process.wait()
    if not checkpoint.exists():
        raise RuntimeError(f"{' '.join(line)}: no checkpoint; it said:\n{''.join(said)}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the recipes named, or both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=["base", "large"])
    for name in parser.parse_args(arguments).names:
        with tempfile.TemporaryDirectory() as folder:
            corpus, work = Path(folder) / "LibriSpeech", Path(folder) / "work"
            make_corpus(corpus)
            work.mkdir()
            print(name, run_recipe(name, corpus, work, SHORT), flush=True)


if __name__ == "__main__":
    main()
