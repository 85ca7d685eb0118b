# Each target makes what it needs first and skips what is done. `make help` lists them.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

DATA ?=
PRESET ?= desk
SEEDS ?= 0
RESULTS ?= reproduced
OVERRIDES ?=
REPRODUCE = $(BIN)/python scripts/reproduce.py $(1) $(if $(DATA),--data $(DATA)) --preset $(PRESET) --seeds $(SEEDS) --results $(RESULTS) $(OVERRIDES)

.PHONY: help install reproduce reproduce-figure1 reproduce-scale reproduce-zero-mean reproduce-bn figures test data-camvid data-cifar10 data-streets lock clean

help: ## List the targets
	@grep -E '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /|/' | awk -F'|' '{printf "  %-19s %s\n", $$1, $$2}'
	@echo
	@echo '  DATA=streets|camvid|cityscapes, or street_objects|cifar10|imagefolder   PRESET=smoke|desk|gpu|paper   SEEDS=0,1,2   RESULTS=reproduced'
	@echo '  OVERRIDES="epochs=20 logger=none"   PYTHON=python3.12   DATA_ROOT=/where/data/lies'

install: $(VENV)/installed ## Create .venv with everything in it

$(VENV)/installed: pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12")'
	@echo 'Installing into $(VENV): a minute or two, 5 GB with the CUDA build of torch'
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --constraint requirements.lock --editable '.[test]'
	@touch $@

reproduce-figure1: install ## Train the twelve cells of Figure 1 and draw it (DATA, PRESET, SEEDS)
	@$(call REPRODUCE,figure1)

reproduce-scale: install ## Both phases of the Scale report: small CNN and VGG-16, tanh and ReLU, BN and Scale
	@$(call REPRODUCE,scale)

reproduce-zero-mean: install ## Mean Shift Rejection: zero-mean kernels and noise against BN, up to divergence
	@$(call REPRODUCE,zero_mean)

reproduce-bn: install ## The notes on batch normalisation: rates, recipe, saturation, inference, all methods
	@$(call REPRODUCE,bn)

reproduce: reproduce-figure1 reproduce-scale reproduce-zero-mean reproduce-bn ## All four, each on its embedded data

figures: install ## Draw the committed results again, training nothing
	@$(BIN)/python scripts/figures.py results/*/*

test: install ## Run the tests
	@$(BIN)/python -m pytest --numprocesses 2

data-cifar10: install ## Download CIFAR-10 into DATA_ROOT, or data/
	@$(BIN)/python scripts/prepare_data.py data=cifar10 preset=$(PRESET)

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
