PYTHON ?= python3
BIN := .venv/bin
RUN ?= runs/demo

.PHONY: demo test test-all bench-metrics check clean

demo: .venv/installed  ## from nothing to a report, on the embedded data
	$(BIN)/atal run demo $(RUN)

test: .venv/installed  ## fast tests
	$(BIN)/pytest

test-all: .venv/compared  ## every test: the slow ones, those of Ray jobs and those against PySODMetrics too
	$(BIN)/pytest -m ""

bench-metrics: .venv/compared  ## our metrics timed beside PySODMetrics: make bench-metrics DATA=/path/to/ECSSD
	$(BIN)/python benchmarks/metrics_speed.py --data "$(DATA)"

check: .venv/installed  ## format, lint, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -q -c constraints.txt -e '.[cpu,dev]'
	touch $@

# Rivals, without their dependencies: pysodmetrics asks for numpy<2.3.5 and opencv-python-headless<5, torchattacks for torchvision; all work
# with what is pinned here.
.venv/compared: .venv/installed
	$(BIN)/pip install -q -c constraints.txt -e '.[compare,jobs]'
	$(BIN)/pip install -q --no-deps pysodmetrics==1.6.2 torchattacks==3.5.1 fpsample==1.0.2
	touch $@

clean:  ## forget the environment
	rm -rf .venv
