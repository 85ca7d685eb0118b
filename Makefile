# Each target makes what it needs first and skips what is done. `make help` lists them.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

DATA ?= streets
PRESET ?= desk
SEEDS ?= 0
RESULTS ?= reproduced
OVERRIDES ?=
STUDY := figure1 --data $(DATA) --preset $(PRESET) --seeds $(SEEDS) --results $(RESULTS)

.PHONY: help install reproduce-figure1 figures test data-camvid data-streets lock clean

help: ## List the targets
	@grep -E '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /|/' | awk -F'|' '{printf "  %-18s %s\n", $$1, $$2}'
	@echo
	@echo '  DATA=streets|camvid|cityscapes   PRESET=smoke|desk|gpu|paper   SEEDS=0,1,2   RESULTS=reproduced'
	@echo '  OVERRIDES="epochs=20 logger=none"   PYTHON=python3.12   DATA_ROOT=/where/data/lies'

install: $(VENV)/installed ## Create .venv with everything in it

$(VENV)/installed: pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12")'
	@echo 'Installing into $(VENV): a minute or two, 5 GB with the CUDA build of torch'
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --constraint requirements.lock --editable '.[test]'
	@touch $@

reproduce-figure1: install ## Train the twelve cells of Figure 1 and draw it (DATA, PRESET, SEEDS)
	@$(BIN)/python scripts/reproduce.py $(STUDY) $(OVERRIDES)

figures: install ## Draw the committed results again, training nothing
	@$(BIN)/python scripts/figures.py results/figure1/*

test: install ## Run the tests
	@$(BIN)/python -m pytest --numprocesses 2

data-streets: install ## Paint the street scenes (PRESET)
	@$(BIN)/python scripts/prepare_data.py data=streets preset=$(PRESET)

data-camvid: install ## Fetch CamVid into DATA_ROOT, or data/
	@$(BIN)/python scripts/fetch_camvid.py

lock: install ## Pin the newest versions that pyproject.toml allows in requirements.lock
	@$(BIN)/python -m pip install --quiet uv
	@$(BIN)/uv pip compile --quiet --universal --upgrade --python-version 3.11 --extra test --no-annotate --no-header \
		pyproject.toml --output-file requirements.lock

clean: ## Remove .venv, packed caches and painted scenes; keep runs and results
	rm -rf $(VENV) cache
