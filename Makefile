# Every target brings its own set-up: a virtual environment in .venv, renewed when the requirements change.
PYTHON ?= python3
SEED ?= 42
CONFIG ?= configs/quickstart/deformable_detr_shapes.py
OUTPUT ?= output/quickstart

VENV := .venv
RUN := $(VENV)/bin/python
READY := $(VENV)/.ready

.PHONY: setup demo test lint format clean

setup: $(READY)

$(READY): setup.py pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --editable '.[dev]'
	touch $@

demo: $(READY)
	$(RUN) train_net.py --config-file $(CONFIG) train.seed=$(SEED) train.output_dir=$(OUTPUT)
	$(RUN) tools/plot_metrics.py $(OUTPUT)
	$(RUN) tools/contact_sheet.py $(OUTPUT)

test: $(READY)
	$(RUN) -m pytest

lint: $(READY)
	$(RUN) -m ruff format --check .
	$(RUN) -m ruff check .
	$(RUN) -m mypy hdetr_d2

format: $(READY)
	$(RUN) -m ruff format .
	$(RUN) -m ruff check --fix .

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache
