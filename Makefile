# `make run` and `make test` need python3 (3.11 to 3.13) with venv, and a package index; nothing else.
PYTHON ?= python3
OTHER_PYTHON ?= python3.13
# Processes of `make test` and `make test-slow`; all tests of a file run in one of them.
TEST_PROCESSES ?= 2
BIN := .venv/bin
# --no-compile: Python compiles what is imported at its first import, a small part of what is installed.
INSTALL := $(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check -c constraints.txt
PACKAGING := setup.py pyproject.toml constraints.txt
EXTRA_TESTS := distributed or litert or mlflow or package
TREEBANK := $(if $(DATA_DIR),--data-dir $(DATA_DIR))

.PHONY: run test test-slow test-faults test-extras test-kubeflow test-python lint docs serve bench bench-serving experiment results clean

run: .venv/installed-run  ## the main job on the text that ships with Python
	$(BIN)/python -m pipeline.run --local

test: .venv/installed-test  ## every test but those of test-slow, test-faults, test-extras and test-kubeflow
	$(BIN)/python -m pytest -n $(TEST_PROCESSES) --dist loadfile -m "not slow and not faults and not kubeflow and not ($(EXTRA_TESTS))"

test-slow: .venv/installed-test  ## trainings of a minute or more: resume, replicas, searches, rows of results, examples
	$(BIN)/python -m pytest -n $(TEST_PROCESSES) --dist loadfile -m slow

test-faults: .venv/installed-test  ## kills the real command, fills its disk, takes its memory: minutes
	$(BIN)/python -m pytest -m faults tests/faults

test-extras: .venv/installed-extras  ## what needs the extras dask, litert, mlflow or package
	$(BIN)/python -m pytest -m "$(EXTRA_TESTS)"

test-kubeflow: .venv/installed-extras  ## needs the extra kubeflow; KUBEFLOW_TEST_IMAGE=NAME tests that image, too
	$(BIN)/python -m pytest -m kubeflow tests/pipeline/kubeflow

test-python: .venv-other/installed  ## the layers, fit and the main job on another Python: OTHER_PYTHON=python3.13
	.venv-other/bin/python -m pytest -m "not slow" tests/models/layers tests/models/test_keras_contract.py \
	  tests/end_to_end/test_main_job.py

lint: .venv/installed-test  ## style, types and layers, without changing anything
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m mypy
	$(BIN)/lint-imports

docs: .venv/installed-docs  ## the documentation, as pages in output/docs; warnings are errors
	$(BIN)/mkdocs build --strict --quiet

serve: .venv/installed-test  ## the pushed model, its page and its API, on this machine
	$(BIN)/python -m pipeline.serve

bench: .venv/installed-bench  ## speed and memory against their goals and PyTorch; DATA_DIR=FOLDER holds ptb.*.txt
	@mkdir -p output/benchmarks
	$(BIN)/python -m benchmarks.training_step --output output/benchmarks/training_step.json
	$(BIN)/python -m benchmarks.training_run $(TREEBANK) --output output/benchmarks/training_run.json
	$(BIN)/python -m benchmarks.data_pipeline $(TREEBANK) --output output/benchmarks/data_pipeline.json
	$(BIN)/python -m benchmarks.command_line $(TREEBANK) --output output/benchmarks/command_line.json

bench-serving: .venv/installed-test  ## latency and throughput of the pushed model; SECONDS=60 for the documented figures
	$(BIN)/python -m benchmarks.serving --seconds $(or $(SECONDS),10) --output output/benchmarks/serving.json

experiment: .venv/installed-run  ## a row of the paper's table: NAME=small_re SEED=1 DATA_DIR=FOLDER [TABLE=experiments/wikitext2]
	$(BIN)/python -m experiments.run $(NAME) $(if $(SEED),--seed $(SEED)) $(TREEBANK) $(if $(TABLE),--table $(TABLE))

results: .venv/installed-run  ## the tables, curves and Table 3 from experiments/ptb/results.json [TABLE=experiments/wikitext2]
	$(BIN)/python -m experiments.report $(if $(TABLE),--table $(TABLE))

clean:  ## the environment and what runs wrote in the default places
	rm -rf .venv .venv-other output

# The stamps keep a second `make` from installing again; a changed requirement or pin makes them stale.
.venv/installed-run: $(PACKAGING) | $(BIN)/python
	$(INSTALL) -e .
	@touch $@

.venv/installed-test: $(PACKAGING) | $(BIN)/python
	$(INSTALL) -e '.[test,serve]'
	@touch $@ .venv/installed-run

.venv/installed-bench: $(PACKAGING) | $(BIN)/python
	$(INSTALL) -e '.[test,serve,bench]'
	@touch $@ .venv/installed-test .venv/installed-run

.venv/installed-extras: $(PACKAGING) | $(BIN)/python
	$(INSTALL) -e '.[test,serve,dask,kubeflow,litert,mlflow,package]'
	@touch $@ .venv/installed-test .venv/installed-run

.venv/installed-docs: $(PACKAGING) | $(BIN)/python
	$(INSTALL) -e '.[docs]'
	@touch $@ .venv/installed-run

.venv-other/installed: $(PACKAGING)
	$(OTHER_PYTHON) -m venv --clear .venv-other
	.venv-other/bin/python -m pip install --quiet --no-compile --disable-pip-version-check -c constraints.txt -e '.[test,serve]'
	@touch $@

$(BIN)/python:
	@$(PYTHON) -c 'import sys; assert (3, 11) <= sys.version_info < (3, 14), sys.version' 2>/dev/null || { \
	  echo "$(PYTHON) is $$($(PYTHON) --version 2>&1): Python 3.11, 3.12 or 3.13 is needed (make PYTHON=python3.12 ...)." >&2; exit 1; }
	$(PYTHON) -m venv --clear .venv || { rm -rf .venv; exit 1; }
