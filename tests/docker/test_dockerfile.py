"""The images' recipes, read as text: there may be no container engine where the tests run."""

import ast
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from server.cli import unknown_variables
from server.settings import Settings
from tests.docker.recipe import ROOT, instructions, stages

DOCKERFILES = sorted((ROOT / "docker").glob("Dockerfile.*"))


HADOLINT = Path(sys.executable).with_name("hadolint")


def last_stage(dockerfile: Path) -> list[tuple[str, str]]:
    """The instructions of the image that results."""
    return stages(dockerfile)[-1]


def test_there_are_images() -> None:
    assert [path.name for path in DOCKERFILES] == ["Dockerfile.cpu", "Dockerfile.gpu"]


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.name)
class TestDockerfile:
    def test_instructions_are_known(self, dockerfile: Path) -> None:
        known = {"FROM", "RUN", "COPY", "ENV", "WORKDIR", "USER", "EXPOSE", "HEALTHCHECK", "CMD"}
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

    def test_the_folder_of_compiled_programs_is_the_users(self, dockerfile: Path) -> None:
        """A volume that is mounted there takes its owner from the image; of a missing folder it is root."""
        stage = last_stage(dockerfile)
        (user,) = [arguments for name, arguments in stage if name == "USER"]
        (cache,) = re.findall(r"EARSHOT_CACHE=(\S+)", " ".join(text for name, text in stage if name == "ENV"))
        assert any(name == "RUN" and f"install -d -o {user} -g {user} -m 700 {cache}" in text for name, text in stage)

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
        installs = [text for name, text in instructions(dockerfile) if name == "RUN" and "pip install" in text]
        assert installs
        assert all("--no-cache-dir" in text and "-c constraints.txt" in text for text in installs)

    def test_installs_extras_that_exist(self, dockerfile: Path) -> None:
        known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
        (extras,) = re.findall(r"'\.\[([a-z,]+)\]'", dockerfile.read_text())
        assert set(extras.split(",")) <= set(known)
        assert ("gpu" in extras.split(",")) == (dockerfile.suffix == ".gpu")

    def test_command_is_one_of_ours_in_exec_form(self, dockerfile: Path) -> None:
        scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
        (command,) = [json.loads(arguments) for name, arguments in last_stage(dockerfile) if name == "CMD"]
        assert command == ["asr-server"]
        assert "asr-server" in scripts

    def test_variables_are_settings(self, dockerfile: Path) -> None:
        (text,) = [arguments for name, arguments in last_stage(dockerfile) if name == "ENV"]
        ours = dict(part.split("=", 1) for part in text.split() if part.startswith("EARSHOT_"))
        assert unknown_variables(ours) == []
        assert ours["EARSHOT_HOST"] == "0.0.0.0"  # the port is published by whoever runs the container

    def test_health_is_asked_where_the_server_listens(self, dockerfile: Path) -> None:
        (check,) = [arguments for name, arguments in last_stage(dockerfile) if name == "HEALTHCHECK"]
        command = json.loads(check.partition("CMD ")[2])
        assert command[:2] == ["python", "-c"]
        ast.parse(command[2])
        (port,) = [arguments for name, arguments in last_stage(dockerfile) if name == "EXPOSE"]
        assert int(port) == Settings.port
        assert f"http://127.0.0.1:{port}/healthz" in command[2]

    @pytest.mark.skipif(not HADOLINT.exists(), reason="hadolint is built for Linux on x86-64 alone")
    def test_hadolint_has_nothing_to_say(self, dockerfile: Path) -> None:
        result = subprocess.run([HADOLINT, dockerfile], capture_output=True, text=True, check=False)
        assert result.stdout + result.stderr == ""
        assert result.returncode == 0


def test_the_images_differ_where_they_must() -> None:
    cpu, gpu = (path.read_text().splitlines() for path in DOCKERFILES)
    only_gpu = {line.strip(" \\") for line in gpu if not line.startswith("#")}
    only_gpu -= {line.strip(" \\") for line in cpu}
    install = "RUN /opt/earshot/bin/pip install --no-cache-dir -c constraints.txt '.[gpu,service]'"
    assert only_gpu == {install, "NVIDIA_VISIBLE_DEVICES=all", "NVIDIA_DRIVER_CAPABILITIES=compute,utility"}
