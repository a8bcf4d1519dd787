# make demo | study | live | figures | docs | test | fuzz | chaos | lint | bench | clean: each does
# its own set-up in .venv.

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
FUZZ_EXAMPLES ?= 2000
CHAOS_RUNS ?= 100
CHAOS_AWS_RUNS ?= 3
CHAOS_AWS_INTERVALS ?= 240
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do \
	if $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
	command -v $$p; break; fi; done)

.PHONY: help demo readme study live figures docs test fuzz chaos lint bench clean

help:
	@echo "make demo   compare five policies on the sample trace; report in results/demo"
	@echo "make readme put the demo's table and picture into README.md (runs the demo if need be)"
	@echo "make study NAME=surge  run a study of experiments/; tables and figure in results/surge"
	@echo "make live   the twin check and ten minutes on the local back end; needs HAProxy and quiet"
	@echo "make figures  draw every figure from the committed tables, into figures and docs, and the pages' tables"
	@echo "make docs   build the documentation into site/, strictly and without a network"
	@echo "make test   run the tests"
	@echo "make fuzz   try properties of simulator and planners on random cases (FUZZ_EXAMPLES=2000 each)"
	@echo "make chaos  kill a deployment at random instructions and restart it (CHAOS_RUNS=100 of each kind),"
	@echo "           and on moto's server with failing calls (CHAOS_AWS_RUNS=3, CHAOS_AWS_INTERVALS=240)"
	@echo "make lint   ruff, mypy, import-linter"
	@echo "make bench  run the benchmarks"
	@echo "make clean  remove caches and the demo's results (not .venv)"

$(STAMP): pyproject.toml constraints.txt
	@if [ -z "$(PYTHON)" ]; then \
	echo "markopt needs Python 3.11 or newer; none was found (set PYTHON=/path/to/python3.11)" >&2; \
	exit 1; fi
	@test -x $(BIN)/python || "$(PYTHON)" -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	@touch $@

demo: $(STAMP)
	@rm -rf results/demo
	$(BIN)/markopt compare experiment=demo output=results/demo \
	  forecaster.members=1 forecaster.epochs=60 \
	  planner=program,greedy,greedy_released,target_tracking,static_peak

readme: $(STAMP)
	@test -f results/demo/table.md || $(MAKE) demo
	$(BIN)/python paper_figs/first_result.py results/demo README.md \
	  experiments/results/first_result docs/images/first_result.svg

study: $(STAMP)
	@test -f "experiments/$(NAME).py" && test -f "paper_figs/$(NAME).py" || { \
	echo "make study: NAME must be a study of experiments/, got '$(NAME)'; studies:" \
	"$(patsubst conf/experiment/%.yaml,%,$(filter-out %/demo.yaml,$(wildcard conf/experiment/*.yaml)))" >&2; exit 2; }
	rm -rf "results/$(NAME)"
	$(BIN)/python experiments/$(NAME).py
	$(BIN)/python paper_figs/$(NAME).py results/$(NAME) results/$(NAME)/figure.pdf

live: $(STAMP)
	$(MAKE) study NAME=twin
	$(MAKE) study NAME=live

figures: $(STAMP)
	$(BIN)/python paper_figs/gallery.py
	$(BIN)/python paper_figs/ablations_page.py experiments/results docs/ablations.md
	$(BIN)/python paper_figs/all_planners.py experiments/results/all_planners README.md
	$(BIN)/python paper_figs/results_page.py

docs: $(STAMP)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet --site-dir site
	@echo "site/index.html"

test: $(STAMP)
	$(BIN)/python -m pytest -q -n auto --dist worksteal

fuzz: $(STAMP)
	HYPOTHESIS_PROFILE=fuzz FUZZ_EXAMPLES=$(FUZZ_EXAMPLES) $(BIN)/python -m pytest -q -n auto \
	  --dist worksteal tests/engine/test_reference.py tests/engine/test_conservation.py \
	  tests/cloud/aws/test_stories.py tests/cloud/test_conservation.py tests/cloud/test_bill.py tests/cloud/test_recorded_prices.py \
	  tests/planning/test_formulations.py

chaos: $(STAMP)
	CHAOS_RUNS=$(CHAOS_RUNS) $(BIN)/python -m pytest -q -n auto --dist worksteal \
	  tests/deployment/test_kill.py
	CHAOS_AWS_RUNS=$(CHAOS_AWS_RUNS) CHAOS_AWS_INTERVALS=$(CHAOS_AWS_INTERVALS) \
	  $(BIN)/python -m pytest -q tests/cloud/aws/test_chaos.py

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(STAMP)
	@for script in benchmarks/*.py; do \
	case $$script in */__init__.py|*/\*.py) continue;; esac; \
	echo "== $$script"; $(BIN)/python $$script || exit 1; done

clean:
	rm -rf results/demo figures site .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find markopt tests experiments paper_figs benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
