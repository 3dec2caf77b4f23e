# Everything runs from two commands: `make demo` and `make test`. PYTHON may name another interpreter (3.11 or newer).
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test lint vllm test-vllm demo-vllm bench clean

demo: .venv/core
	$(BIN)/iemas demo

test: .venv/test
	$(BIN)/pytest -p no:benchmark --numprocesses auto --maxprocesses 4

lint: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

vllm: .venv/core
	$(BIN)/python -m runtime.engines.vllm.setup .venv-vllm

test-vllm: .venv/test vllm
	$(BIN)/pytest -m vllm

demo-vllm: vllm
	$(BIN)/iemas demo --engine vllm

# Two minutes; `make bench BENCH=--full` measures every row with three seeds, in half an hour.
bench: .venv/dev
	$(BIN)/pytest tests/benchmarks -o python_files='bench_*.py' --benchmark-columns=median $(BENCH)

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

clean:
	rm -rf .venv .venv-vllm runs build .pytest_cache .mypy_cache .ruff_cache
