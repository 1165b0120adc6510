# make reproduce   the article on the embedded demo data; creates its environment
# make test        the tests; creates its environment
# make figures     redraw the figures of a run without computing anything again
# make notebooks   execute every notebook, to see that it runs; the saved outputs stay as they are
PYTHON ?= python3
DIRECTORY ?= runs/demo
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt

.PHONY: reproduce test figures notebooks lint types format clean

reproduce: $(VENV)/.core
	$(BIN)/python -m neanderthal_nlp.reproduce --profile demo --directory "$(DIRECTORY)"

figures: $(VENV)/.core
	$(BIN)/neanderthal-nlp figures --directory "$(DIRECTORY)"

# On cores that are shared, BLAS threads wait for one another: one of them is faster than two.
test notebooks: export OMP_NUM_THREADS = 1
test: $(VENV)/.dev
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile

notebooks: $(VENV)/.dev
	$(BIN)/python -m pytest --nbmake notebooks

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev
	$(BIN)/mypy

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) build dist *.egg-info

$(VENV)/.core: constraints.txt setup.cfg pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "neanderthal_nlp needs Python 3.11 or newer; found " + sys.version.split()[0] + " (choose another with: make PYTHON=...)")'
	$(PYTHON) -m venv $(VENV)
	$(PIP) --editable .
	touch $@

$(VENV)/.dev: $(VENV)/.core
	$(PIP) --editable '.[dev,docs]'
	touch $@
