# `make demo` and `make test` are all that a fresh machine needs: Python 3.11 or newer and git.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
RUNS ?= runs

.PHONY: demo test install lint types contracts unit i18n format clean

# One stamp for what users need, one for what tests need; either is made again when the pins change.
$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	# torch first and alone: asked for as a range by another package, pip takes the newest CUDA build.
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt "torch==$$(sed -n 's/^torch==//p' constraints.txt)"
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	touch $@

install: $(VENV)/.installed

demo: $(VENV)/.installed
	$(BIN)/nsmc-tui --runs $(RUNS) demo

test: $(VENV)/.installed-dev lint types contracts unit

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed-dev
	$(BIN)/mypy

contracts: $(VENV)/.installed-dev
	$(BIN)/lint-imports

unit: $(VENV)/.installed-dev
	# Two processes: most of the tests' time is spent waiting for workers, inspectors and terminals. One thread in each
	# of them and their children: threads of several processes that wait for each other on the same cores take four times
	# as long.
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadfile

# Texts: collect them from the sources, keep the Korean translations, compile.
i18n: $(VENV)/.installed-dev
	$(BIN)/python -m core.i18n.catalogue

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
