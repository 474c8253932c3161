PYTHON ?= python3
VENV   ?= .venv
ARGS   ?=
RUN    := runs/programs_dit
BIN    := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help install train test test-all fuzz lint format clean

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo '  ARGS="…" passes overrides on:  make train ARGS="experiment=bvh_dit trainer.max_epochs=2"'

install: $(VENV)/.installed  ## Set up .venv with the tested versions (a GPU user: see README)

$(VENV)/.installed: pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV) (a minute or two, about 2 GB) …"
	@$(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	@touch $@

# An interrupted run is gone on with.
train: install  ## Train on the embedded corpus, draw samples, write the report
	$(BIN)/python -m motion_lightning.train $(if $(ARGS),$(ARGS),$(patsubst %/checkpoints/last.ckpt,resume=%,$(wildcard $(RUN)/checkpoints/last.ckpt)))

# One thread: the tests' matrices are small, and threads would only wait for each other.
test test-all fuzz: export OMP_NUM_THREADS ?= 1

test: install  ## Run the fast tests
	$(BIN)/python -m pytest -q -n auto -m "not slow" $(ARGS)

test-all: install  ## Run every test, the slow ones too
	$(BIN)/python -m pytest -q -n auto $(ARGS)

fuzz: install  ## Feed damaged files to every reader (five minutes; ARGS="--count 100" is quick)
	$(BIN)/python tests/fuzz/fuzz.py $(ARGS)

lint: install  ## Check style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: install  ## Put style right
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:  ## Remove caches and build products; runs, stores and .venv stay
	rm -rf build dist .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
