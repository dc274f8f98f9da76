PYTHON ?= python3
BIN := .venv/bin
RUN ?= runs/demo
# A process for each core; a file's tests share one, with their fixtures. (Not loadgroup: pytest 9.2 ignores the groups.)
PARALLEL := -n auto --dist loadfile --no-loadscope-reorder

# Where it is set, each of the many processes of the tests compiles every module anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test test-all coverage check docs figures bench-metrics clean

demo: .venv/installed  ## from nothing to a report, on the embedded data
	$(BIN)/atal run demo $(RUN)

test: .venv/installed  ## fast tests
	$(BIN)/pytest $(PARALLEL)

test-all: .venv/compared .venv/formats/installed  ## every test: the slow ones, those of Ray jobs and those against PySODMetrics too
	$(BIN)/pytest -m ""

coverage: .venv/compared  ## how much of the package the tests run, branches too, in all their processes
	rm -rf .coverage && mkdir .coverage
	$(BIN)/coverage run -m pytest $(PARALLEL)
	$(BIN)/coverage combine -q
	$(BIN)/coverage report

docs: .venv/documented  ## the site, as site/index.html
	NO_MKDOCS_2_WARNING=true $(BIN)/mkdocs build --strict --quiet

figures: .venv/installed  ## results in benchmarks/results/ that are older than the code they measure
	$(BIN)/python benchmarks/figures.py

bench-metrics: .venv/compared  ## our metrics timed beside PySODMetrics: make bench-metrics DATA=/path/to/ECSSD
	$(BIN)/python benchmarks/metrics_speed.py --data "$(DATA)"

check: .venv/installed  ## format, lint, layers, spelling, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports --no-logo
	$(BIN)/codespell
	$(BIN)/mypy

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -q -c constraints.txt -e '.[cpu,dev]'
	touch $@

.venv/documented: .venv/installed
	$(BIN)/pip install -q -c constraints.txt -e '.[docs]'
	touch $@

# Rivals, without their dependencies: pysodmetrics asks for numpy<2.3.5 and opencv-python-headless<5, torchattacks for torchvision; all work
# with what is pinned here.
.venv/formats/installed: constraints-formats.txt  # the libraries that read exported points, which want other versions than we
	$(PYTHON) -m venv .venv/formats
	.venv/formats/bin/pip install -q -c constraints-formats.txt datasets datumaro label-studio-sdk labelme pycocotools webdataset
	touch $@

.venv/compared: .venv/installed
	$(BIN)/pip install -q -c constraints.txt -e '.[compare,jobs]'
	$(BIN)/pip install -q --no-deps pysodmetrics==1.6.2 torchattacks==3.5.1 fpsample==1.0.2
	touch $@

clean:  ## forget the environment
	rm -rf .venv
