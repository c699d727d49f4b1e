"""What the repository promises of itself: imports, installs, layout, and pages that tell the truth."""

import re
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
PACKAGES = ("asr", "server", "client", "data")
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
FOLDERS_OF_PAGES = (".", "docker", "docs", "tests/bench")
PAGES = sorted([*(page for name in FOLDERS_OF_PAGES for page in (ROOT / name).glob("*.md")), ROOT / ".ci" / "run"])

TENSOR_LIBRARIES = ["tensorflow", "tensorflow_io", "keras", "jax"]
BEYOND_BASE = [*TENSOR_LIBRARIES, "av", "jiwer", "librosa", "matplotlib", "sentencepiece", "tensorboard"]

IMPORT_ALL = """
import pkgutil, sys
from importlib import import_module
root, blocked, left_out = sys.argv[1], sys.argv[2].split(","), sys.argv[3]
sys.modules.update(dict.fromkeys(blocked))  # None: importing it raises
package = import_module(root)
for module in pkgutil.walk_packages(package.__path__, root + "."):
    if module.name != left_out:
        import_module(module.name)
"""


def sources() -> list[Path]:
    """Every Python file of ours."""
    return [path for folder in (*PACKAGES, "tests") for path in sorted((ROOT / folder).rglob("*.py"))]


def requirements(*names: str) -> list[Requirement]:
    """The requirements of the named extras, the base install's being named ''."""
    project = PYPROJECT["project"]
    tables = {"": project["dependencies"], **project["optional-dependencies"]}
    return [Requirement(line) for name in names for line in tables[name]]


@pytest.mark.parametrize(
    ("package", "blocked", "left_out"),
    [
        ("client", BEYOND_BASE, ""),
        ("server.wire", BEYOND_BASE, ""),
        ("data", TENSOR_LIBRARIES, "data.batches"),
    ],
)
def test_imports_without_what_the_base_install_lacks(package: str, blocked: list[str], left_out: str) -> None:
    command = [sys.executable, "-c", IMPORT_ALL, package, ",".join(blocked), left_out]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_import_contracts_hold() -> None:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-logo", "--no-cache"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def test_base_install_is_light() -> None:
    names = {requirement.name for requirement in requirements("")}
    assert names.isdisjoint({"tensorflow", "tensorflow-cpu", "keras", "jax", "av", "sentencepiece"})


def test_every_extra_that_ours_build_on_exists() -> None:
    extras = set(PYPROJECT["project"]["optional-dependencies"])
    for requirement in requirements(*extras):
        if requirement.name == "earshot":
            assert requirement.extras <= extras


def test_constraints_pin_what_the_makefile_installs() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    wanted = requirements(
        "", "recognition", "training", "asr", "server", "train", "jax", "litert", "service", "voices", "dev"
    )
    for requirement in wanted:
        ours = requirement.name == "earshot"
        elsewhere = requirement.marker is not None and not requirement.marker.evaluate({"platform_system": "Linux"})
        if not ours and not elsewhere:
            assert requirement.specifier.contains(pins[requirement.name]), requirement


def test_make_system_installs_what_tests_are_skipped_without() -> None:
    (packages,) = re.findall(r"^DEBIAN_PACKAGES := ((?:.*\\\n)*.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    wanted = {"pulseaudio", "pulseaudio-utils", "libasound2-plugins", "libportaudio2", "chromium"}
    wanted |= {"espeak-ng", "flite", "festival", "openssl"}
    assert wanted <= set(packages.replace("\\\n", " ").split())


@pytest.mark.parametrize("target", PYPROJECT["project"]["scripts"].values())
def test_commands_resolve(target: str) -> None:
    module, function = target.split(":")
    assert callable(getattr(import_module(module), function))


def test_every_folder_of_sources_is_installed() -> None:
    folders = {path.parent for path in sources() if path.relative_to(ROOT).parts[0] in PACKAGES}
    assert [folder for folder in sorted(folders) if not (folder / "__init__.py").exists()] == []


def test_tests_are_no_package() -> None:
    assert list((ROOT / "tests").rglob("__init__.py")) == []


def test_files_hold_one_concept() -> None:
    long = [path for path in sources() if len(path.read_text().splitlines()) > 400]
    assert long == []
    assert [path for path in sources() if path.name == "utils.py"] == []


def test_tests_mirror_sources() -> None:
    folders = {path.parent.relative_to(ROOT / "tests") for path in (ROOT / "tests").rglob("test_*.py")}
    elsewhere = {Path(), Path("integration"), Path("docker"), Path("bench"), Path("soak"), Path("tfio")}
    assert [folder for folder in sorted(folders - elsewhere) if not (ROOT / folder).is_dir()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pages_name_only_targets_that_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = re.findall(r"(?:`|^ *\$? ?)make ([a-z-]+)", page.read_text(), re.MULTILINE)
    assert set(named) <= targets


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?![a-z]+:|#)([^)#\s]+)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []
