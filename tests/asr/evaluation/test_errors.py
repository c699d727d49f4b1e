"""Which words go wrong, and whose."""

import json
from pathlib import Path

import pytest

from asr.cli import main
from asr.errors import AsrError
from asr.evaluation.errors import count_errors, describe, read_texts

ROWS = [
    {"split": "dev", "id": "a", "reference": "The cat sat", "hypothesis": "the bat sat down"},
    {"split": "dev", "id": "b", "reference": "a cat", "hypothesis": "a"},
    {"split": "dev", "id": "c", "reference": "", "hypothesis": "noise"},
]


def test_every_kind_of_error_is_counted() -> None:
    counts = count_errors(ROWS)
    assert counts.said == {"the": 1, "cat": 2, "sat": 1, "a": 1}
    assert counts.wrong == {"cat": 2}
    assert counts.confused == {("cat", "bat"): 1}
    assert counts.deleted == {"cat": 1} and counts.inserted == {"down": 1}
    assert counts.utterances == {"a": (2, 3), "b": (1, 2)}


def test_the_lines_name_speakers_words_and_how_known_they_are() -> None:
    lines = describe(count_errors(ROWS), {"a": "ann", "b": "bob"}, {"the": 2000, "sat": 3, "a": 12}, 5)
    assert lines[0] == "3 errors in 5 words"
    assert "  never: 100.0 % of 2" in lines and "  1 to 9: 0.0 % of 1" in lines
    assert lines.index("ann: 66.7 %") < lines.index("bob: 50.0 %")
    assert "1 × cat → bat" in lines and "left out: cat 1" in lines and "not said: down 1" in lines


def test_the_command_reads_what_evaluate_wrote(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    texts = tmp_path / "texts.jsonl"
    texts.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    with pytest.raises(SystemExit) as stopped:
        main(["errors", str(texts)])
    assert not stopped.value.code and capsys.readouterr().out.startswith("3 errors in 5 words\n")
    texts.write_text('{"id": "a"}\n')
    with pytest.raises(AsrError, match="expected lines as asr evaluate --texts writes them"):
        read_texts(texts)
