# Everything from a machine that has Python 3.11 or newer, git and make.
#   make audit [CORES=4] [ARGS="--configfile mine.yaml"]   train, save, reload, evaluate, report
#   make audit INSTALL="uv pip install --python .venv/bin/python --compile-bytecode"
#                                                          in half the time, where uv is; it reads its own settings, not pip's
#   make test                                              lint, then the whole test suite
#   make causes                                            docs/causes from causes.yaml: the table, each page's explanation and fix
#   make charts                                            the page's charts, compiled, from charts.py
#   make screenshots                                       the pictures in docs/images, from results/report.html
#   make scaling                                           what 100 to 10,000 models cost, into docs/scaling.md
#   make bench                                             how fast it is beside RL Zoo and a script, into docs/benchmarks.md
PYTHON ?= python3
CORES ?= $(shell (nproc || sysctl -n hw.ncpu || echo 2) 2> /dev/null | awk '{ print $$1 < 8 ? $$1 : 8 }')
ARGS ?=
BIN := .venv/bin
INSTALL ?= $(BIN)/python -m pip install --disable-pip-version-check
BENCH := build/bench/venv

.PHONY: audit test lint format causes charts screenshots scaling bench clean

audit: .venv/audit
	@$(BIN)/python workflow/scripts/configfiles.py $(ARGS)
	$(BIN)/snakemake --cores $(CORES) $(ARGS)

# Lint runs beside the tests: it needs one core for a minute.
test: .venv/dev build/rl_zoo/ready
	@$(MAKE) --no-print-directory lint > .venv/lint.txt 2>&1 & lint=$$!; \
	$(BIN)/python -m pytest -n auto --dist loadscope --no-loadscope-reorder $(ARGS); tests=$$?; \
	wait $$lint || { cat .venv/lint.txt; exit 1; }; exit $$tests

lint: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/snakefmt --check Snakefile workflow/Snakefile workflow/rules
	$(BIN)/snakemake --lint
	$(BIN)/snakemake --lint --snakefile workflow/Snakefile

format: .venv/dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/snakefmt Snakefile workflow/Snakefile workflow/rules

causes: .venv/audit
	PYTHONPATH=workflow/scripts $(BIN)/python docs/write_causes.py

charts: .venv/audit
	PYTHONPATH=workflow/scripts $(BIN)/python docs/write_charts.py

screenshots: .venv/dev
	$(BIN)/python docs/screenshots.py

scaling: .venv/audit
	$(BIN)/python benchmarks/scaling.py --real 100 1000 --write docs/scaling.md

bench: $(BENCH)/ready
	$(BENCH)/bin/python benchmarks/bench.py --write docs/benchmarks.md $(ARGS)

clean:
	rm -rf .venv build/bench build/rl_zoo results/* logs .snakemake

.venv/audit: requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, $(PYTHON) is " + sys.version.split()[0])'
	$(PYTHON) -m venv .venv
	$(INSTALL) --quiet -r requirements.txt
	@touch $@

.venv/dev: requirements-dev.txt requirements-cluster.txt .venv/audit
	$(INSTALL) --quiet -r requirements-dev.txt
	@touch $@

# Apart from .venv: what RL Zoo brings along must not change what the tests see.
$(BENCH)/ready: benchmarks/requirements.txt requirements.txt
	$(PYTHON) -m venv $(BENCH)
	$(BENCH)/bin/python -m pip install --quiet --disable-pip-version-check -r benchmarks/requirements.txt
	@touch $@

# Apart from .venv, too, and with no more than tests of its `enjoy` need.
build/rl_zoo/ready: tests/rl_zoo.txt .venv/audit
	rm -rf build/rl_zoo
	$(INSTALL) --quiet --no-deps --target build/rl_zoo -r tests/rl_zoo.txt
	@touch $@
