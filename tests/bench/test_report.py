"""The table and the files of a run, from results made up."""

import json
from pathlib import Path

from rich.console import Console

from tests.bench.peer import Peer
from tests.bench.report import Results, table, write
from tests.bench.steps import StepTimes

RESULTS = Results(
    machine={"processor": "abacus", "cpus": 2},
    rates={"blas": 100.0, "xla": 80.0, "bfloat16": 150.0},
    steps=[StepTimes("xla", 320, 8, 16.0, 20.0, 50, 2.0), StepTimes("litert-int8", 320, 8, 8.0, 9.0, 50, 2.0)],
    operations={8: 0.8e9},
    idle_mib={"xla": 1.0},
    start_s={"ready, programs kept": 4.0},
    streams={1: 10.0, 200: 250.0},
    held=210,
    linear={"short_s": 1.0, "long_s": 10.1, "cost_by_length": 1.01},
    peers=[Peer("earshot", 0.4, 0.02, 60.0, 0.03), Peer("pocketsphinx", 0.5, 0.3, 60.0, 0.29)],
)


def test_one_table_of_everything() -> None:
    console = Console(width=170, record=True)
    console.print(table(RESULTS))
    text = " ".join(console.export_text().split())
    assert "abacus, 2 CPUs" in text
    # 0.8e9 operations in 8 ms are 100e9 a second: all that the fastest float32 product has.
    assert (
        "litert-int8 │ p50 8.00 ms, p99 9.00 │ 2.00 × xla, 0.31 % of real time a stream, 100 · 10^9/s = 100 %" in text
    )
    for part in (
        "1.00 MiB",
        "4.00 s",
        "200 streams",
        "p99 250 ms",
        "210 streams",
        "1.010",
        "WER 50.0 %",
        "RTF 0.3000",
        "15.0 × pocketsphinx",
    ):
        assert part in text


def test_files_and_history(tmp_path: Path) -> None:
    write(RESULTS, tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["bench.json", "steps.png", "streams.png"]
    values = json.loads((tmp_path / "out" / "bench.json").read_text())
    assert values["peak"] == 100.0
    assert values["steps"][1]["engine"] == "litert-int8"
    numbers = {number.name: (number.value, number.unit) for number in RESULTS.numbers()}
    assert numbers["step litert-int8 x 8"] == (8.0, "ms")
    assert numbers["streams held"] == (210, "streams")
    assert numbers["WER pocketsphinx"] == (50.0, "%")
    assert len(numbers) == len(RESULTS.numbers())


def test_what_was_not_measured_is_left_out() -> None:
    console = Console(width=170, record=True)
    console.print(table(Results(machine={"processor": "abacus", "cpus": 2})))
    assert "websocket" not in console.export_text()
    assert Results().numbers() == ()
