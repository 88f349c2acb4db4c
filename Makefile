# Two commands: `make book` and `make test`. Everything happens in .venv; a second call does only what is left to do.
SHELL := /bin/bash
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
.PHONY: help book draft pdf labs test check coverage stress lint format lab bench study start clean

PY := .venv/bin/python
STAMP := .venv/.installed
# The first Python that runs and is 3.11 to 3.13 (a version manager's shim may exist and still not run).
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3 python; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && echo $$p && break; done)

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(STAMP): pyproject.toml constraints.txt
	@if [ -z "$(PYTHON)" ]; then echo "cmr needs Python 3.11, 3.12 or 3.13, and none was found; say where it is: make PYTHON=/path/to/python3.12 ..." >&2; exit 1; fi
	@"$(PYTHON)" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
		{ echo "PYTHON=$(PYTHON) is not a Python 3.11, 3.12 or 3.13 that runs; give another: make PYTHON=/path/to/python3.12 ..." >&2; exit 1; }
	@if ! $(PY) -m pip --version >/dev/null 2>&1; then rm -rf .venv; "$(PYTHON)" -m venv .venv || { rm -rf .venv; \
		echo "No virtual environment could be made with $(PYTHON). On Debian and Ubuntu its module is a package of its own: apt install python3-venv" >&2; exit 1; }; fi
	@echo "Installing cmr with the versions of constraints.txt into .venv (a few minutes; torch with its CUDA libraries is a 2.5 GB download)"
	@begun=$$(date +%s); before=$$(cat $@ 2>/dev/null); $(PY) -m pip install $(if $(CI),--quiet) --disable-pip-version-check --constraint constraints.txt --editable '.[book,dev]' && \
		echo $$((before + $$(date +%s) - begun)) > $@  # seconds in all, for the book's status page

book: $(STAMP)  ## run the notebooks and build the book into book/_build/html
	@$(PY) -m book

draft: $(STAMP)  ## build the pages only: notebooks as they last ran, warnings allowed
	@$(PY) -m book --draft

pdf: $(STAMP)  ## print the whole book into book/_build/cmr.pdf; needs a Chromium on this machine
	@$(PY) -m book.pdf

test: $(STAMP)  ## run the tests, two at a time
	@$(PY) -m pytest -n 2 --dist worksteal

check: $(STAMP) lint  ## lint and all quick tests: what to run while editing
	@$(PY) -m pytest -n 2 --dist worksteal -m "not slow" --durations=0 --durations-min=1

coverage: $(STAMP)  ## run the tests and say which lines of the library they do not reach; pages in build/coverage
	@$(PY) -m pytest --cov --cov-report=term --cov-report=html

stress: $(STAMP)  ## attack the command line: kills, full disks, bad input, damaged files; a quarter of an hour
	@OMP_NUM_THREADS=1 $(PY) -m stress

lint: $(STAMP)  ## check style, formatting, types and who imports whom; changes no file
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy
	@.venv/bin/lint-imports

format: $(STAMP)  ## format the code and the notebooks, and mend what ruff can mend
	@$(PY) -m ruff check --fix .
	@$(PY) -m ruff format .

labs: $(STAMP)  ## make the students' notebooks from those with solutions, and labs.zip to hand out
	@$(PY) -m labs.make --zip labs.zip

lab: $(STAMP)  ## open the notebooks in JupyterLab
	@$(PY) -m jupyterlab --notebook-dir=notebooks

BENCH ?= --preset tiny
bench: $(STAMP)  ## measure speed and memory, one table a script; hours at full size on a CPU: make bench BENCH="--preset paper"
	$(PY) -m benchmarks.metrics
	$(PY) -m benchmarks.methods $(BENCH)
	$(PY) -m benchmarks.train $(BENCH)

SET ?= cpu
study: $(STAMP)  ## rerun all recorded results from nothing: hours; SET=cpu (default), gpu or full
	@$(PY) -m study.run study/$(SET)

start: $(STAMP)  ## make the weights that ToyBirds trainings start from, anew: minutes
	@$(PY) -m study.start

clean:  ## remove the environment, the built book and caches (runs and results stay)
	rm -rf .venv book/_build book/_cache build *.egg-info .pytest_cache .ruff_cache .mypy_cache .import_linter_cache .hypothesis .coverage
	find cmr tests book benchmarks notebooks labs study stress -name __pycache__ -prune -exec rm -rf {} +
