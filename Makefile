# Every target makes the set-up it needs. `make test WORKERS=4` runs the tests in four processes, WORKERS=0 in one.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.set-up
TFIO_VENV := .venv-tfio
TFIO_STAMP := $(TFIO_VENV)/.set-up
WORKERS ?= 2
SOAK ?= kills drops sessions day
SOAK_RUNS ?= 50
SOAK_SESSIONS ?= 10000
SOAK_HOURS ?= 24
FUZZ_EXAMPLES ?= 20000
RECIPES ?= base large
OUTPUT ?= out
ROUNDS ?= 3
ENGINE ?= auto
PIP_FLAGS := --quiet --disable-pip-version-check --no-input

# Speech synthesisers and their voices, for `asr-data synthesize`; a virtual microphone, a browser and certificates, for
# the tests.
# Without them nothing else is missing.
DEBIAN_PACKAGES := espeak-ng flite festival festvox-kallpc16k \
  pulseaudio pulseaudio-utils libasound2-plugins libportaudio2 chromium openssl

# The first interpreter that exists, is of a version TensorFlow is built for and can make environments.
# $(1): the newest minor version of Python 3 that will do.
find-python = for python in $(PYTHON) python3 python3.12 python3.11 python3.13; do \
	  if $$python -c "import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, $(1)))" \
	      2>/dev/null; then echo $$python; exit; fi; \
	done; \
	echo "Needed: Python 3.11 to 3.$(1) with its venv module (Debian: apt-get install python3-venv)." >&2; exit 1

.PHONY: help setup system demo test lint types unit bench bench-compare bench-length bench-train bench-attention attention-rules bench-service bench-start soak fuzz recipes test-install test-tfio clean

help: ## What there is to make.
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

setup: $(STAMP) ## An environment with everything, in .venv, and the speech synthesisers where apt is.

$(STAMP): pyproject.toml constraints.txt
	@$(MAKE) --no-print-directory system
	@python=$$($(call find-python,13)); echo "Making $(VENV) with $$python"; "$$python" -m venv --clear $(VENV)
	$(BIN)/python -m pip install $(PIP_FLAGS) -c constraints.txt -e '.[server,train,jax,voices,dev]'
	@touch $@

# Never asks for a password and never fails: without the synthesisers only synthetic speech is missing. Some Debian
# installations also lack the standard library's ensurepip, without which no environment can be made.
system:
	@command -v apt-get >/dev/null || exit 0; \
	missing=$$(python3 -c 'import ensurepip' 2>/dev/null || echo python3-venv; \
	  for name in $(DEBIAN_PACKAGES); do \
	  dpkg-query --show --showformat='$${Status}' "$$name" 2>/dev/null | grep -q 'ok installed' || echo "$$name"; done); \
	[ -n "$$missing" ] || exit 0; \
	root=$$([ "$$(id -u)" = 0 ] || echo 'sudo -n'); \
	echo "Installing" $$missing; \
	export DEBIAN_FRONTEND=noninteractive; \
	if ! { $$root apt-get -qq update && $$root apt-get -qq install --yes --no-install-recommends $$missing; } \
	    >/dev/null 2>&1 </dev/null; then \
	  echo "Could not. To do it yourself: sudo apt-get install" $$missing; \
	fi

demo: $(STAMP) ## Start the server and stream bundled recordings of real speech to it, live.
	$(BIN)/asr-client demo

test: lint types unit ## Every check: lint, import contracts, types, tests.

lint: $(STAMP) ## Style and import contracts.
	$(BIN)/ruff check .
	$(BIN)/lint-imports --no-logo --no-cache

types: $(STAMP) ## Static types.
	$(BIN)/mypy

# loadfile keeps a file's tests in one process, so that what its fixtures compile is compiled once.
unit: $(STAMP) ## The tests.
	$(BIN)/python -m pytest -q -rs -n $(WORKERS) --dist loadfile

bench: $(STAMP) ## Everything that is measured, in one table, JSON and pictures in OUTPUT; adds a line to tests/bench/history.jsonl.
	$(BIN)/python -m tests.bench --output $(OUTPUT) --engine $(ENGINE) --history tests/bench/history.jsonl

bench-compare: $(STAMP) ## What became slower since the last commit that was measured here; BEFORE=commit for another.
	$(BIN)/python -m tests.bench.history $(if $(BEFORE),--before $(BEFORE))

bench-length: $(STAMP) ## Two hours of audio against two minutes.
	$(BIN)/python -m tests.bench.length --engine $(ENGINE)

bench-train: $(STAMP) ## The training step's rate, and the block lattice against a frame-level one.
	$(BIN)/python -m tests.bench.training

bench-attention: $(STAMP) ## What each attention mechanism of joint and encoder costs, on an idle machine.
	$(BIN)/python -m asr.bench_attention

attention-rules: $(STAMP) ## What each rule of attention makes of the same energies, drawn for docs/attention.md.
	$(BIN)/python -m asr.attention_rules data/samples/174-168635-0019.mp3 --output docs/attention-rules.png

bench-service: $(STAMP) ## How many streams a server on this machine holds: a table, JSON and plots in OUTPUT; QUICK=1 for a minute.
	$(BIN)/python -m tests.bench.service --output $(OUTPUT) --engine $(ENGINE) $(if $(QUICK),--quick)

bench-start: $(STAMP) ## How long a server, a restarted worker and `asr transcribe` take to start, cold and with compiled programs kept.
	$(BIN)/python -m tests.bench.start --rounds $(ROUNDS)

soak: $(STAMP) ## Hours: killed workers, cut connections, many sessions, a day-long one. SOAK=drops SOAK_RUNS=3 for a part.
	$(BIN)/python -m tests.soak $(SOAK) --runs $(SOAK_RUNS) --sessions $(SOAK_SESSIONS) --hours $(SOAK_HOURS) --output $(OUTPUT)

fuzz: $(STAMP) ## Raw frames and failures at random against the session, FUZZ_EXAMPLES of each.
	$(BIN)/python -m tests.server.session.fuzz --examples $(FUZZ_EXAMPLES)

recipes: $(STAMP) ## The LibriSpeech recipes from folder to figures at their real size, cut short, killed and resumed; RECIPES=base for one.
	$(BIN)/python -m tests.soak.recipes $(RECIPES)

test-install: $(STAMP) ## The images' install steps as plain commands, in a temporary folder, and what they installed at work.
	$(BIN)/python -m tests.docker.install

test-tfio: $(TFIO_STAMP) ## The tensorflow-io extra's tests, in .venv-tfio with TensorFlow 2.16.
	$(TFIO_VENV)/bin/python -m pytest -q tests/tfio

$(TFIO_STAMP): pyproject.toml
	@python=$$($(call find-python,12)); echo "Making $(TFIO_VENV) with $$python"; "$$python" -m venv --clear $(TFIO_VENV)
	$(TFIO_VENV)/bin/python -m pip install $(PIP_FLAGS) -e '.[tfio]' hypothesis pytest pytest-asyncio
	@touch $@

clean: ## Remove the environments, caches and build output.
	rm -rf $(VENV) $(TFIO_VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find asr server client data tests -name __pycache__ -type d -prune -exec rm -rf {} +
