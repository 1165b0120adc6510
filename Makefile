# make reproduce   the article on the embedded demo data; creates its environment
# make test        the tests; creates its environment
# make figures     redraw the figures of a run without computing anything again
# make notebooks   execute every notebook, to see that it runs; the saved outputs stay as they are
# make notebooks-article   the notebooks on the published regions and real letters, where NEANDERTHAL_NLP_DATA has them
# make cluster     all stages as jobs of a SLURM cluster on this machine, some of them killed; needs root, slurm-wlm and munge
# make faults      fifty runs killed at random moments, each gone on with; hours; needs /proc
# make bench       speed and memory beside what a user would pick instead; the table goes into benchmarks/README.md
# make bench-stages   every stage of the article profile at three sizes; hours
# make fuzz        thousands of mutated files for every reader; an hour
# make docs        the documentation, in build/docs/index.html; every link inside it is checked
# make pictures    the documentation's pictures of tracks in IGV; IGV=… names igv.min.js, which is in npm's package igv
# make linkcheck   links to other sites; needs a network
# make package     the distributions, in dist; each way of installing them, in environments of their own; needs a network
PYTHON ?= python3
DIRECTORY ?= runs/demo
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt

.PHONY: reproduce test figures notebooks notebooks-article cluster faults bench bench-stages fuzz docs pictures linkcheck package lint types format clean

reproduce: $(VENV)/.core
	$(BIN)/python -m neanderthal_nlp.reproduce --profile demo --directory "$(DIRECTORY)"

figures: $(VENV)/.core
	$(BIN)/neanderthal-nlp figures --directory "$(DIRECTORY)"

# On cores that are shared, BLAS threads wait for one another: one of them is faster than two.
test notebooks notebooks-article cluster faults: export OMP_NUM_THREADS ?= 1
test: $(VENV)/.dev
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

notebooks: $(VENV)/.dev
	$(BIN)/python -m pytest --numprocesses 2 --nbmake notebooks

notebooks-article: $(VENV)/.dev
	$(BIN)/python -m pytest tests/long_notebooks.py

cluster: $(VENV)/.dev
	$(BIN)/python -m pytest tests/long_cluster.py

faults: $(VENV)/.dev
	$(BIN)/python tests/long_faults.py

bench: $(VENV)/.dev
	mkdir -p build
	$(BIN)/python -m pytest benchmarks --benchmark-only --benchmark-json=build/bench.json
	$(BIN)/python benchmarks/table.py --write build/bench.json

bench-stages: $(VENV)/.dev
	$(BIN)/python benchmarks/stages.py --write

fuzz: export OMP_NUM_THREADS ?= 1
fuzz: export TF_CPP_MIN_LOG_LEVEL = 3
fuzz: $(VENV)/.dev
	$(BIN)/python -W ignore tests/hostile.py --count 3000

docs: export TF_CPP_MIN_LOG_LEVEL = 2
docs: $(VENV)/.dev
	$(BIN)/sphinx-build -W --keep-going --quiet -b html docs build/docs
	$(BIN)/linkchecker --config docs/linkchecker.ini build/docs/index.html

pictures: $(VENV)/.dev
	$(BIN)/python docs/pictures/igv.py "$(IGV)" --directory "$(DIRECTORY)"

linkcheck: $(VENV)/.dev
	$(BIN)/sphinx-build --quiet -b linkcheck docs build/linkcheck
	$(BIN)/linkchecker --config docs/linkchecker_external.ini --check-extern README.md CONTRIBUTING.md notebooks/README.md

package: $(VENV)/.dev
	rm -rf dist
	$(BIN)/python -m build --outdir dist
	$(BIN)/python -m pytest tests/long_package.py

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.github-issue-forms $(filter-out %/config.yml,$(wildcard .github/ISSUE_TEMPLATE/*.yml))
	$(BIN)/check-jsonschema --builtin-schema vendor.github-issue-config .github/ISSUE_TEMPLATE/config.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.citation-file-format CITATION.cff
	$(BIN)/hadolint Dockerfile

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
