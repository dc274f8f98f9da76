PYTHON ?= python3
BIN := .venv/bin
RUN ?= runs/demo

.PHONY: demo test test-all check clean

demo: .venv/installed  ## from nothing to a report, on the embedded data
	$(BIN)/atal run demo $(RUN)

test: .venv/installed  ## fast tests
	$(BIN)/pytest

test-all: .venv/installed  ## every test, the slow ones too
	$(BIN)/pytest -m ""

check: .venv/installed  ## format, lint, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -q -c constraints.txt -e '.[cpu,dev]'
	touch $@

clean:  ## forget the environment
	rm -rf .venv
