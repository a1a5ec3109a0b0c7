# `make up` and `make test` need nothing but Python >= 3.11: they make .venv themselves.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DATA ?= audit-data
BENCH_DATA ?= bench-data

.PHONY: up test check bench screenshots clean

$(VENV)/installed-all: pyproject.toml requirements.lock
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --no-deps --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

up: $(VENV)/installed-all  ## receiver, store and dashboard, with the demo's live traffic
	$(BIN)/otel-audit up --data $(DATA) --demo

# The tests start hundreds of processes: without .pyc files each of them compiles everything anew.
test: export PYTHONDONTWRITEBYTECODE :=
test: $(VENV)/installed-all  ## every test; installs chromium when it is missing and we are root
	@sh tests/install-chromium.sh
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder

check: $(VENV)/installed-all  ## style, types, import contracts, generated files
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python semconv/generate.py --check

# A million events, made once. What an interrupted run left behind is refused by name: remove it then.
$(BENCH_DATA)/loaded: | $(VENV)/installed-all
	$(BIN)/python bench/load_million.py $(BENCH_DATA)
	touch $@

bench: $(VENV)/installed-all $(BENCH_DATA)/loaded  ## speed, as ratios against a limit measured in the same run
	@sh tests/install-chromium.sh
	$(BIN)/python bench/run.py
	$(BIN)/python bench/application.py
	$(BIN)/python bench/verify.py
	$(BIN)/python bench/bundle.py
	$(BIN)/python bench/proofs.py
	$(BIN)/python bench/pages.py --data $(BENCH_DATA) --browser

screenshots: $(VENV)/installed-all  ## docs/screenshots anew, of a real receiver with a small history
	@sh tests/install-chromium.sh
	$(BIN)/python -m tests.e2e.screenshots

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .hypothesis
