# One verb a line; `make help` lists them.
PY := .venv/bin/python
AGENTS ?= $(HOME)/.cache/intact-agents
export INTACT_AGENTS := $(AGENTS)

.DEFAULT_GOAL := help
.PHONY: help setup build check test bench bless demo wheel clean

help: ## list the verbs
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  \1\t/' | expand -t 10

setup: ## install what a fresh Debian 12 machine needs: packages, .venv, kernel objects, the agents of demo and tests
	@bash scripts/setup.sh

build: ## compile the kernel objects and the loader
	@$(MAKE) -s -C bpf

check: setup ## format, lint, types, architecture
	@.venv/bin/ruff format --check src tests bench demo
	@.venv/bin/ruff check src tests bench demo
	@.venv/bin/mypy
	@bash scripts/check-c.sh
	@$(PY) -m pytest tests/test_architecture.py

test: setup ## every test; kernel tests too when root and the kernel can, each skip says why
	@$(PY) -m pytest

demo: setup ## record a real agent against a local stand-in for a model's API, and show what it did and why
	@$(PY) -m demo

bench: setup ## the benchmarks, as ratios in one run, written to bench/results/
	@$(PY) -m bench

bless: setup ## rewrite the goldens from what the code gives now; read the diff
	@INTACT_BLESS=1 $(PY) -m pytest tests/test_captures.py

wheel: setup ## build the wheel, compiled kernel objects inside
	@$(MAKE) -s -C bpf bundle
	@$(PY) -m pip -q wheel --no-deps --no-build-isolation -w dist .

clean: ## remove what was built here
	@rm -rf build dist .venv bpf/build src/intact/collect/native/*.so* src/intact/collect/native/*.bpf.o
