import io
import json

from rich.console import Console

from client.bench.report import Largest, as_json, table
from tests.client.bench.making import make_result

RESULT = make_result(8, errors={"overloaded": 2})


def printed(largest: Largest | None) -> str:
    console = Console(file=io.StringIO(), width=200)
    console.print(table([RESULT], largest))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_table() -> None:
    rows = [line.strip("│").split("│") for line in printed(None).splitlines() if "│" in line]
    nothing = ["queue", "compute", "network", "word", "first partial", "final", "stop", "late"]
    assert {name.strip(): value.strip() for name, value in rows} == {
        "played, s": "120",
        "chunk": "50 / 95 / 100 / 200",
        **dict.fromkeys(nothing, "–"),
        "WER": "12.3 %",
        "compute / audio": "0.062",
        "audio, s/s": "8.0",
        "client, CPU s/s": "0.05",
        "errors": "2 × overloaded",
    }


def test_the_largest_number() -> None:
    assert "Largest number of streams with p99 <= 500 ms: 48" in " ".join(printed(Largest(48, 500.0)).split())


def test_json() -> None:
    value = json.loads(as_json([RESULT], {"seconds": 30}, Largest(48, 500.0)))
    assert value["settings"] == {"seconds": 30}
    assert value["largest"] == {"streams": 48, "target_ms": 500.0}
    (result,) = value["results"]
    assert result["chunk"] == {"count": 9, "mean": 55.0, "p50": 50.4, "p95": 95.0, "p99": 99.6, "max": 200.0}
    assert result["final"] is None
    assert result["errors"] == {"overloaded": 2}
    assert json.loads(as_json([RESULT], {}))["largest"] is None
