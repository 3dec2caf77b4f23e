# Everything runs from two commands: `make demo` and `make test`. PYTHON may name another interpreter (3.11 or newer).
PYTHON ?= python3
BIN := .venv/bin
# Each process of a test that starts some would compile every module anew, where the environment forbids bytecode.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: demo test claims pictures test-slow test-notebooks lab lint vllm test-vllm demo-vllm bench bench-policies bench-gateway clean

demo: .venv/core
	$(BIN)/iemas demo

# One thread of BLAS a process: two on a core that another test needs wait for each other, up to 16 times as long.
test test-slow test-notebooks: export OPENBLAS_NUM_THREADS := 1
test test-slow test-notebooks: export OMP_NUM_THREADS := 1

test: .venv/test
	$(BIN)/python -m tests.compile_once
	$(BIN)/pytest -p no:benchmark --numprocesses auto --maxprocesses 4

# What starts processes, kills them, or takes long.
test-slow: .venv/test
	$(BIN)/pytest -p no:benchmark -m slow --numprocesses auto --maxprocesses 4

# The notebooks in JupyterLab, where a click on one opens it as a notebook.
lab: .venv/notebooks
	$(BIN)/jupytext-config --settings-file .venv/share/jupyter/lab/settings/overrides.json set-default-viewer python
	$(BIN)/jupyter lab experiments/notebooks

# Each notebook from top to bottom, in a kernel and a folder of its own.
test-notebooks: .venv/notebooks
	$(BIN)/pytest -p no:benchmark -m notebooks tests/experiments/notebooks

lint: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Every figure of README and docs is somebody's, and the cheap ones are printed again.
claims: .venv/test
	$(BIN)/iemas claims check --run

# Every picture of docs from what its study last left in runs/, then where pages say other figures.
pictures: .venv/core
	for picture in docs/pictures/*.svg; do \
	  name=$$(basename $$picture .svg); \
	  test ! -d runs/$$name || $(BIN)/iemas study show runs/$$name --picture $$picture > /dev/null || exit 1; \
	done
	$(BIN)/iemas claims check

vllm: .venv/core
	$(BIN)/python -m runtime.engines.vllm.setup .venv-vllm

test-vllm: .venv/test vllm
	$(BIN)/pytest -m vllm

demo-vllm: vllm
	$(BIN)/iemas demo --engine vllm

# Two minutes; `make bench BENCH=--full` measures every row with three seeds, in half an hour.
bench: .venv/dev
	$(BIN)/pytest tests/benchmarks -o python_files='bench_*.py' --benchmark-columns=median \
	  --ignore=tests/benchmarks/bench_policies.py $(BENCH)

# The auction against its rivals; five minutes. `BENCH="--full --seeds 20"` takes an hour, and goes on where it stopped.
bench-policies: .venv/dev
	$(BIN)/pytest tests/benchmarks/bench_policies.py -o python_files='bench_*.py' -p no:benchmark -s -q $(BENCH)

# Our gateway and its peers over the same fake engines, judged by the same code; a quarter of an hour.
# `BENCH="conformance --peers iemas"` is a part of it, `BENCH=--help` tells the parts.
bench-gateway: .venv/dev .venv-peers/ready
	$(BIN)/python -m tests.benchmarks.gateway $(BENCH)

# vllm-router, smg and LiteLLM in an environment of their own.
.venv-peers/ready: pyproject.toml
	test -x .venv-peers/bin/python || $(PYTHON) -m venv .venv-peers
	$(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["peers"], sep="\n")' \
	  | .venv-peers/bin/python -m pip install --quiet --requirement /dev/stdin
	touch $@

.venv/core: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

.venv/test: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	touch $@ .venv/core

.venv/dev: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@ .venv/test .venv/core

.venv/notebooks: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable '.[test,notebooks]'
	touch $@ .venv/test .venv/core

clean:
	rm -rf .venv .venv-vllm .venv-peers runs build .pytest_cache .mypy_cache .ruff_cache
