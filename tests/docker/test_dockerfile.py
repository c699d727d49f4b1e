"""The image's recipe, read as text: there may be no container engine where the tests run."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCKERFILES = sorted((ROOT / "docker").glob("Dockerfile.*"))


def instructions(dockerfile: Path) -> list[tuple[str, str]]:
    """Every instruction and its arguments, continuation lines joined and comments left out."""
    lines = [line for line in dockerfile.read_text().splitlines() if not line.lstrip().startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [
        (line.split()[0], line.split(maxsplit=1)[1].strip()) for line in joined.splitlines() if line.strip()
    ]


def last_stage(dockerfile: Path) -> list[tuple[str, str]]:
    """The instructions of the image that results."""
    parsed = instructions(dockerfile)
    start = max(index for index, (name, _) in enumerate(parsed) if name == "FROM")
    return parsed[start:]


def test_there_is_an_image() -> None:
    assert [path.name for path in DOCKERFILES] == ["Dockerfile.cpu"]


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.name)
class TestDockerfile:
    def test_instructions_are_known(self, dockerfile: Path) -> None:
        known = {"FROM", "RUN", "COPY", "ENV", "WORKDIR", "USER", "ENTRYPOINT", "CMD"}
        assert {name for name, _ in instructions(dockerfile)} <= known

    def test_stages_share_one_base_pinned_to_a_full_version(self, dockerfile: Path) -> None:
        bases = [arguments.split()[0] for name, arguments in instructions(dockerfile) if name == "FROM"]
        assert len(bases) >= 2
        assert len(set(bases)) == 1
        assert re.fullmatch(r"[a-z]+:\d+\.\d+\.\d+-[a-z-]+", bases[0])

    def test_base_has_a_python_that_the_project_supports(self, dockerfile: Path) -> None:
        base = next(arguments for name, arguments in instructions(dockerfile) if name == "FROM")
        version = re.match(r"python:(\d+\.\d+)\.", base)
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
        assert version is not None
        assert f"Programming Language :: Python :: {version[1]}" in project["classifiers"]

    def test_runs_as_an_unprivileged_user(self, dockerfile: Path) -> None:
        stage = last_stage(dockerfile)
        users = [arguments for name, arguments in stage if name == "USER"]
        assert users
        assert users[-1] not in ("root", "0")
        assert any(name == "RUN" and f"useradd --uid {users[-1]} " in text for name, text in stage)

    def test_what_is_copied_exists_and_reaches_the_build(self, dockerfile: Path) -> None:
        ignored = (ROOT / ".dockerignore").read_text().splitlines()
        for name, arguments in instructions(dockerfile):
            if name == "COPY" and "--from=" not in arguments:
                for source in arguments.split()[:-1]:
                    assert (ROOT / source).exists(), source
                    assert f"!{source}" in ignored, source

    def test_every_package_is_copied(self, dockerfile: Path) -> None:
        copied = {arguments for name, arguments in instructions(dockerfile) if name == "COPY"}
        assert {f"{package} {package}" for package in ("asr", "server", "client", "data")} <= copied

    def test_pip_keeps_no_cache_and_takes_the_pinned_versions(self, dockerfile: Path) -> None:
        installs = [
            text for name, text in instructions(dockerfile) if name == "RUN" and "pip install" in text
        ]
        assert installs
        assert all("--no-cache-dir" in text and "-c constraints.txt" in text for text in installs)

    def test_entry_point_is_a_command_of_ours_in_exec_form(self, dockerfile: Path) -> None:
        scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
        entry = [arguments for name, arguments in last_stage(dockerfile) if name == "ENTRYPOINT"]
        assert entry == ['["asr"]']
        assert "asr" in scripts
