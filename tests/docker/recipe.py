"""Reading the images' recipes: there may be no container engine where the tests run."""

from pathlib import Path

ROOT = Path(__file__).parents[2]


def instructions(dockerfile: Path) -> list[tuple[str, str]]:
    """Every instruction and its arguments, continuation lines joined and comments left out."""
    lines = [line for line in dockerfile.read_text().splitlines() if not line.lstrip().startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [(line.split()[0], line.split(maxsplit=1)[1].strip()) for line in joined.splitlines() if line.strip()]


def stages(dockerfile: Path) -> list[list[tuple[str, str]]]:
    """The instructions of each stage; the last one's are those of the image that results."""
    found: list[list[tuple[str, str]]] = []
    for name, arguments in instructions(dockerfile):
        if name == "FROM":
            found.append([])
        found[-1].append((name, arguments))
    return found
