"""`python -m tests.docker.install`: the images' install steps as plain commands, and what they installed at work.

The CPU image's build stage runs in a temporary folder that stands for the image's root; then its health check and a
client ask the server that its command starts. Before that the base install, which is the client, goes into an
environment of its own. Needs the network.
"""

import argparse
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.docker.recipe import ROOT, stages

DOCKERFILE = ROOT / "docker" / "Dockerfile.cpu"
SAMPLE = ROOT / "data" / "samples" / "1673-143397-0012.mp3"
START_S = 900.0  # that loading and compiling may take
CLIENT_ONLY = "import client, client.api, sys; sys.exit('tensorflow' in sys.modules)"


def plain(text: str, root: Path) -> str:
    """A command of the image with the paths of a folder that stands for its root."""
    return text.replace("/opt/", f"{root}/opt/").replace("/build", f"{root}/build")


def run(*command: str | Path, cwd: Path | None = None, env: dict[str, str] | None = None) -> str:
    """Runs a command and returns what it printed; its errors are ours."""
    print("+", shlex.join(map(str, command)), flush=True)
    return subprocess.run(
        list(map(str, command)), cwd=cwd, env=env, check=True, stdout=subprocess.PIPE, text=True
    ).stdout


def build(root: Path) -> None:
    """The build stage's COPY and RUN instructions."""
    here = root / "build"
    for name, arguments in stages(DOCKERFILE)[0]:
        if name == "WORKDIR":
            Path(plain(arguments, root)).mkdir(parents=True)
        elif name == "COPY":
            *sources, target = arguments.split()
            for source in sources:
                copy(ROOT / source, here / target)
        elif name == "RUN":
            command = plain(arguments, root)
            if command.startswith("python "):
                command = f"{shlex.quote(sys.executable)} {command.removeprefix('python ')}"
            run("bash", "-euc", command, cwd=here)


def copy(source: Path, target: Path) -> None:
    """As COPY does: a folder's contents, or a file into a folder."""
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(source, target)


def serve(root: Path) -> None:
    """Starts the image's command, asks its health check, and transcribes a recording through it."""
    final = dict(stages(DOCKERFILE)[-1])
    bin_folder = root / "opt" / "earshot" / "bin"
    base = {name: value for name, value in os.environ.items() if not name.startswith(("EARSHOT", "PYTHON"))}
    environment = {**base, "PATH": f"{bin_folder}:{base['PATH']}", "EARSHOT_CHUNK_MS": "640", "EARSHOT_BATCH": "1"}
    (command,) = json.loads(final["CMD"])
    check = json.loads(final["HEALTHCHECK"].partition("CMD ")[2])
    server = subprocess.Popen([bin_folder / command], env=environment, cwd=root)
    try:
        ready = [*check[:2], check[2].replace("/healthz", "/readyz")]
        wait_for(check, server, environment, root)
        wait_for(ready, server, environment, root)
        text = run(bin_folder / "asr-client", "transcribe", SAMPLE, env=environment, cwd=root)
        if not text.strip():
            raise RuntimeError("expected words, got none")
        print(text, end="")
    finally:
        server.terminate()
        server.wait(60)


def wait_for(check: list[str], server: subprocess.Popen[bytes], environment: dict[str, str], root: Path) -> None:
    """Repeats a check until it says yes."""
    until = time.monotonic() + START_S
    while subprocess.run(check, env=environment, cwd=root, stderr=subprocess.DEVNULL, check=False).returncode:
        if server.poll() is not None or time.monotonic() > until:
            raise RuntimeError(f"expected a server that answers, got exit status {server.poll()}")
        time.sleep(0.5)


def client(root: Path) -> None:
    """The base install, from a wheel, in an environment of its own: a client without TensorFlow."""
    source, environment = root / "source", root / "client"
    for name, arguments in stages(DOCKERFILE)[0]:
        if name == "COPY":
            *sources, target = arguments.split()
            source.mkdir(parents=True, exist_ok=True)
            for one in sources:
                copy(ROOT / one, source / target)
    run(sys.executable, "-m", "venv", environment)
    python = environment / "bin" / "python"
    run(python, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", root / "wheels", source)
    (wheel,) = (root / "wheels").iterdir()
    run(python, "-m", "pip", "install", "--quiet", "-c", ROOT / "constraints.txt", wheel)
    run(environment / "bin" / "asr-client", "bench", "--help", cwd=root)
    run(python, "-c", CLIENT_ONLY, cwd=root)
    installed = {line.partition("==")[0].lower() for line in run(python, "-m", "pip", "freeze").splitlines()}
    if heavy := installed & {"tensorflow", "tensorflow-cpu", "keras", "jax", "av"}:
        raise RuntimeError(f"expected a light client, got {', '.join(sorted(heavy))}")


def main() -> None:
    """Runs what is asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.docker.install", description=__doc__)
    parser.add_argument("--only", choices=["client", "server"], help="default: both")
    only = parser.parse_args().only
    with tempfile.TemporaryDirectory(prefix="earshot-install-") as folder:
        if only != "server":
            client(Path(folder) / "c")
        if only != "client":
            build(Path(folder) / "s")
            serve(Path(folder) / "s")
    print("everything installed and works")


if __name__ == "__main__":
    main()
