# Every target brings its own set-up: a virtual environment in .venv, renewed when the requirements or the kernels change.
# Another PyTorch or timm has one of its own: make test TORCH=2.10.0 TIMM=1.0.31 PYTHON=python3.10
PYTHON ?= python3
TORCH ?=
TIMM ?=
SEED ?= 42
CONFIG ?= configs/quickstart/deformable_detr_shapes.py
OUTPUT ?= output/quickstart

PINS := $(TORCH:%=torch==%) $(TIMM:%=timm==%)
VENV := .venv$(if $(TORCH)$(TIMM),-$(notdir $(PYTHON)))$(TORCH:%=-torch-%)$(TIMM:%=-timm-%)
RUN := $(VENV)/bin/python
READY := $(VENV)/.ready

CXX_SOURCES = $(wildcard csrc/*.h csrc/*.cpp csrc/*.cu csrc/*.cuh tests/csrc/*.h tests/csrc/*.cpp tests/csrc/*/*.h tests/csrc/*/*.cpp)
KERNELS = $(RUN) setup.py --quiet build_ext --inplace

TEST = $(RUN) -m pytest --numprocesses auto --dist loadfile

.PHONY: setup kernels demo test test-slow gpu doctor lint format wheel clean

setup: $(READY)

# The kernels are built with the PyTorch that the first installation brings.
$(READY): setup.py pyproject.toml $(wildcard csrc/*)
	$(PYTHON) -m venv $(VENV)
	HDETR_D2_SKIP_EXT=1 $(RUN) -m pip install --editable '.[dev]' $(PINS)
	$(KERNELS)
	touch $@

kernels: $(READY)
	$(KERNELS)

doctor: $(READY)
	$(RUN) -m hdetr_d2.doctor

demo: $(READY)
	$(RUN) train_net.py --config-file $(CONFIG) train.seed=$(SEED) train.output_dir=$(OUTPUT)
	$(RUN) tools/plot_metrics.py $(OUTPUT)
	$(RUN) tools/contact_sheet.py $(OUTPUT)

test: $(READY)
	$(TEST) -m "not slow"

# In the order of their names: by number of tests the longest ones, alone in their files, would come last.
test-slow: $(READY)
	$(TEST) --no-loadscope-reorder -m slow

# On a machine with a GPU, with what is installed there and without a network; no .venv.
# make gpu SANITIZE=1: compute-sanitizer. DRY=1: what can be tried without a GPU. BUILT=1: with the kernels that are there.
# ORIGINAL=../Deformable-DETR: beside its kernels. WHEELS=folder: of what the machine lacks.
gpu:
	PYTHON=$(PYTHON) WHEELS=$(WHEELS) tools/gpu_hour.sh $(if $(SANITIZE),--sanitize) $(if $(DRY),--dry) $(if $(BUILT),--built) $(ORIGINAL:%=--original %) $(GPU_OUTPUT:%=--output %)

lint: $(READY)
	$(RUN) -m ruff format --check .
	$(VENV)/bin/clang-format --dry-run --Werror $(CXX_SOURCES)
	$(RUN) -m ruff check .
	$(RUN) -m mypy hdetr_d2 $(wildcard projects/*/*.py)

format: $(READY)
	$(RUN) -m ruff format .
	$(VENV)/bin/clang-format -i $(CXX_SOURCES)
	$(RUN) -m ruff check --fix .

# For all GPUs, wherever it is made; from CUDA 13 on PyPI has the nvcc of the CUDA that PyTorch brings.
CUDA = import torch; print("==" + torch.version.cuda.split(".")[0] + ".*" if torch.version.cuda else "")
wheel: $(READY)
	test -n "$$CUDA_HOME" || command -v nvcc || $(RUN) -m pip install "cuda-toolkit[nvcc,cccl]$$($(RUN) -c '$(CUDA)')"
	HDETR_D2_FORCE_EXT=1 FORCE_CUDA=1 $(RUN) -m pip wheel --no-deps --no-build-isolation --wheel-dir dist .

clean:
	rm -rf .venv .venv-* build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache hdetr_d2/_C.* hdetr_d2/_C_cuda.* hdetr_d2/_build.json
