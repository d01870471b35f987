# `make train` and `make test` from a clean clone: each makes its own virtual environment, installs and runs.
# Options: make train ARGS="--optimizer adamw,sgd"; make test ARGS="-k checkpoint"; PYTHON=python3.12; VENV=folder.
PYTHON ?= python3
VENV ?= .venv
ARGS ?=
BIN := $(VENV)/bin
BENCH ?= .venv-bench
HOSTS ?= .venv-hosts
DOCS ?= .venv-docs
WHEELS := build/wheels
PIP_ARGS ?=
SOURCES := $(shell find cpp python CMakeLists.txt pyproject.toml -type f ! -name '*.pyc' ! -name '*.so')

# What another compiler could change: bits, loops, layouts. One CPU level is tested, so none are compared; digests of all are.
PORTABLE := tests/test_bits.py --deselect tests/test_bits.py::test_levels tests/test_rules.py tests/test_coded.py tests/test_storage_bits.py tests/test_disassembly.py \
  tests/test_rules_dtypes.py tests/test_step_order.py tests/test_eigh_small.py tests/test_eigh_stacks.py tests/test_inertia.py \
  tests/test_line_vectors.py tests/test_exports.py

# What another architecture could change and an emulator runs in less than an hour, without tests that start another Python.
EMULATED := tests/test_storage_bits.py tests/test_rules.py tests/test_eigh_small.py tests/test_inertia.py \
  tests/test_state_dict.py tests/test_checkpoint.py

# What runs with checks inside: several threads (ThreadSanitizer makes them ten times slower), and all that enters the
# compiled code. One CPU level is built for it, so tests that compare levels are left out.
THREADED := tests/test_threads.py tests/test_bits.py::test_thread_counts tests/test_linalg_threads.py \
  tests/test_one_operation.py
NATIVE := $(THREADED) tests/test_arrays.py tests/test_bad_input.py tests/test_native_plan.py tests/test_hooks.py \
  tests/test_step_order.py tests/test_state_dict.py tests/test_checkpoint.py tests/test_two_phase.py tests/test_eigh_small.py \
  tests/test_eigh_stacks.py tests/test_inertia.py tests/test_linalg_layouts.py tests/test_line_vectors.py

# What the bindings check besides: every way of giving something that is refused. One CPU level is built: none are compared.
CHECKING := tests/test_groups.py tests/test_hyper_parameters.py tests/test_checkpoint_tree.py \
  tests/test_sparse_rows.py tests/test_sparse_rows_refused.py tests/test_sparse_rows_stored.py tests/test_storage.py tests/test_coded.py \
  tests/test_eigsh.py tests/test_krylov.py tests/test_muon.py tests/test_schedule_free.py tests/test_row_states.py tests/test_drawn_arrays.py \
  tests/test_flags.py tests/test_clipping.py tests/test_native_restore.py tests/test_prepare.py tests/test_small_numbers.py \
  tests/test_soap.py tests/test_shampoo.py tests/test_kron.py tests/test_prodigy.py tests/test_disassembly.py tests/test_lifetime.py \
  tests/test_exit.py tests/test_free_threading.py tests/test_from_torch.py tests/regressions tests/torch_door \
  --deselect tests/test_muon.py::test_levels_agree_to_rounding

.PHONY: train test nightly hosts check bench docs tsan asan asserts clang old-processors aarch64 fuzz mutate coverage soak scale tidy scalar clean help

help:
	@echo "make train   train a network on the handwritten digits and write a report (ARGS=... for fastopt train)"
	@echo "make test    all checks and tests, on an installed wheel (ARGS=... for pytest)"
	@echo "make nightly the long tests that show something rare"
	@echo "make hosts   the optimizers for PyTorch in the programs that take one, in a pinned environment"
	@echo "make check   ruff, mypy and clang-format alone"
	@echo "make bench   every table beside its peers, in a pinned environment (ARGS=--quick: a few minutes)"
	@echo "make docs    the site, in an environment of its own; into build/docs"
	@echo "make tsan    the pool, engine and eigensolver under ThreadSanitizer"
	@echo "make asan    the tests of the compiled code under AddressSanitizer and UBSan; make asserts: with assertions on"
	@echo "make clang   built by Clang without a warning: the same bits, and loops as wide"
	@echo "make scalar  the eigensolver without vector types, as compilers that lack them build it"
	@echo "make old-processors   emulated: what fastopt does on processors that lack something"
	@echo "make aarch64 cross-built for 64-bit ARM and emulated: the same bits (on Debian)"
	@echo "make fuzz    random input against what is promised of bad input (ARGS=\"--rounds 1000000 --seed 2\")"
	@echo "make mutate  mutants of the C++: does a test notice each? (ARGS=\"--only rules --sample 40 --seed 1\")"
	@echo "make coverage   branches of the bindings that the tests take; make tidy: clang-tidy"
	@echo "make soak    everything in turns for ten minutes, watched (ARGS=\"--minutes 60\")"
	@echo "make scale   2^31 elements in one tensor, 10^5 tensors, 10^4 groups: what fits into the free memory"
	@echo "make clean   remove the virtual environments and the build"

# One process for each processor, a part of the tests each; a selection (-k) runs in one (tests/conftest.py).
PARALLEL := -n auto --maxprocesses 16 --dist worksteal

train: $(VENV)/.native
	$(BIN)/fastopt train $(ARGS)

test: check $(VENV)/.testable
	$(BIN)/python -m pytest tests --ignore=tests/hosts $(PARALLEL) $(ARGS)

# What is long by nature and shows something rare.
nightly: $(VENV)/.compiling
	$(BIN)/python -m pytest tests --ignore=tests/hosts -m nightly $(PARALLEL) $(ARGS)

# JAX is there with optax; its tests want a process of their own.
hosts: $(HOSTS)/.installed
	FASTOPT_REQUIRE_HOSTS=1 $(HOSTS)/bin/python -m pytest tests/hosts $(ARGS)
	$(if $(ARGS),,FASTOPT_REQUIRE_JAX=1 $(HOSTS)/bin/python -m pytest tests/test_from_jax.py)

check: $(VENV)/.tools
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m mypy
	$(BIN)/clang-format --dry-run --Werror $$(find cpp -name '*.[ch]pp')

bench: $(BENCH)/.installed
	$(BENCH)/bin/python bench/run.py $(ARGS)

# The programs on the pages, then the pages; a warning is an error.
docs: $(DOCS)/.installed
	$(DOCS)/bin/python tools/run_blocks.py README.md docs/*.md docs/*/*.md
	$(DOCS)/bin/python -m sphinx -W --keep-going -b html docs build/docs $(ARGS)

tsan: $(VENV)/.testable
	sh tools/checked.sh thread $(VENV) $(THREADED) $(ARGS)

asan: $(VENV)/.testable
	sh tools/checked.sh address $(VENV) $(NATIVE) $(filter-out tests/test_disassembly.py,$(CHECKING)) $(ARGS)

asserts: $(VENV)/.testable
	sh tools/checked.sh asserts $(VENV) $(NATIVE) $(CHECKING) $(ARGS)

clang: $(VENV)/.testable
	sh tools/second_compiler.sh $(VENV) $(PORTABLE) $(ARGS)

scalar: $(VENV)/.testable
	sh tools/checked.sh scalar $(VENV) tests/test_eigh_small.py tests/test_eigh_stacks.py tests/test_inertia.py $(ARGS)

old-processors: $(VENV)/.testable
	sh tools/old_processors.sh $(VENV)

aarch64: $(VENV)/.testable
	sh tools/aarch64.sh $(VENV) $(EMULATED) $(ARGS)

# Proofs that take longer than tests (docs/proofs.md has what they showed). Fuzzing and soaking use the installed wheel.
fuzz: $(VENV)/.testable
	$(BIN)/python tools/fuzz $(ARGS)

soak: $(VENV)/.testable
	$(BIN)/python tools/soak.py $(ARGS)

scale: $(VENV)/.testable
	$(BIN)/python tools/scale.py $(ARGS)

mutate: $(VENV)/.compiling
	PATH="$$(pwd)/$(BIN):$$PATH" $(BIN)/python tools/mutate $(ARGS)

tidy: $(VENV)/.compiling
	$(BIN)/python -m pip install --quiet -r tools/proof-requirements.txt
	PATH="$$(pwd)/$(BIN):$$PATH" $(BIN)/python tools/tidy.py $(ARGS)

coverage: $(VENV)/.compiling
	$(BIN)/python -m pip install --quiet -r tools/proof-requirements.txt
	PATH="$$(pwd)/$(BIN):$$PATH" $(BIN)/python tools/coverage.py $(if $(ARGS),,--least 93) $(NATIVE) $(CHECKING) $(ARGS)

$(VENV)/.compiling: $(VENV)/.testable
	$(BIN)/python -m pip install --quiet cmake ninja 'pybind11>=3.0' 'cmeel-eigen>=3.4.1'
	@touch $@

$(VENV)/.python:
	@sh tools/prerequisites.sh $(PYTHON)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	@touch $@

# A normal installation of a built wheel, again whenever a source has changed. Training needs the CPU level of this machine
# only, so that is all that is compiled for it; an installation of all levels serves as well. What the report needs is
# fetched and unpacked while the compiler works.
$(VENV)/.native: $(VENV)/.python $(SOURCES)
	@rm -rf $(WHEELS)/native
	$(BIN)/python tools/requirements.py report | $(BIN)/python -m pip install --quiet -r /dev/stdin & \
	  $(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir $(WHEELS)/native -C cmake.define.FASTOPT_LEVELS=native . && wait $$!
	$(BIN)/python -m pip install --quiet --force-reinstall --no-deps $(WHEELS)/native/*.whl
	$(BIN)/python -m pip install --quiet "$$(echo $(WHEELS)/native/*.whl)[report]"
	@rm -f $(VENV)/.testable
	@touch $@

$(WHEELS)/.built: $(VENV)/.python $(SOURCES)
	@rm -rf $(WHEELS)
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir $(WHEELS) .
	@touch $@

# What checks and tests need beside the wheel: fetched while the compiler works, with `make -j2`.
$(VENV)/.tools: $(VENV)/.python pyproject.toml tools/requirements.py
	for extra in report test; do $(BIN)/python tools/requirements.py $$extra; done | \
	  $(BIN)/python -m pip install --quiet -r /dev/stdin
	@touch $@

$(VENV)/.testable: $(WHEELS)/.built $(VENV)/.tools
	$(BIN)/python -m pip install --quiet --force-reinstall --no-deps $(WHEELS)/*.whl
	$(BIN)/python -m pip install --quiet "$$(echo $(WHEELS)/*.whl)[report]"
	@touch $@ $(VENV)/.native

# The hosts' own environment, with the wheel that `make test` tests.
$(HOSTS)/.pinned: tests/hosts/requirements.txt
	@sh tools/prerequisites.sh $(PYTHON)
	$(PYTHON) -m venv $(HOSTS)
	$(HOSTS)/bin/python -m pip install --quiet -r $<
	@touch $@

$(HOSTS)/.installed: $(HOSTS)/.pinned $(WHEELS)/.built
	$(HOSTS)/bin/python -m pip install --quiet --force-reinstall --no-deps $(WHEELS)/*.whl
	@touch $@

# The site is built with an installation of this clone; the CPU level of this machine is enough.
$(DOCS)/.installed: pyproject.toml $(SOURCES)
	@sh tools/prerequisites.sh $(PYTHON)
	$(PYTHON) -m venv $(DOCS)
	$(DOCS)/bin/python -m pip install --quiet -C cmake.define.FASTOPT_LEVELS=native ".[docs]"
	@touch $@

# The benchmarks' own environment: pinned peers, and this clone with the floor that steps are measured against.
$(BENCH)/.pinned: bench/requirements.txt bench/install.py
	@sh tools/prerequisites.sh $(PYTHON)
	$(PYTHON) -m venv $(BENCH)
	$(BENCH)/bin/python bench/install.py $(PIP_ARGS)
	@touch $@

$(BENCH)/.installed: $(BENCH)/.pinned $(SOURCES)
	$(BENCH)/bin/python -m pip install --quiet --no-deps --force-reinstall -C cmake.define.FASTOPT_BENCHMARKS=ON .
	@touch $@

clean:
	rm -rf $(VENV) $(BENCH) $(HOSTS) $(DOCS) build docs/reference/api docs/gallery/scripts
