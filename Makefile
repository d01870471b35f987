# `make train` and `make test` from a clean clone: each makes its own virtual environment, installs and runs.
# Options: make train ARGS="--optimizer adamw,sgd"; make test ARGS="-k checkpoint"; PYTHON=python3.12; VENV=folder.
PYTHON ?= python3
VENV ?= .venv
ARGS ?=
BIN := $(VENV)/bin
BENCH ?= .venv-bench
HOSTS ?= .venv-hosts
WHEELS := build/wheels
PIP_ARGS ?=
SOURCES := $(shell find cpp python CMakeLists.txt pyproject.toml -type f ! -name '*.pyc' ! -name '*.so')

# What runs with checks inside: several threads (ThreadSanitizer makes them ten times slower), and all that enters the
# compiled code. One CPU level is built for it, so tests that compare levels are left out.
THREADED := tests/test_threads.py tests/test_bits.py::test_thread_counts tests/test_linalg_threads.py \
  tests/test_one_operation.py
NATIVE := $(THREADED) tests/test_arrays.py tests/test_bad_input.py tests/test_native_plan.py tests/test_hooks.py \
  tests/test_step_order.py tests/test_state_dict.py tests/test_checkpoint.py tests/test_two_phase.py tests/test_eigh_small.py \
  tests/test_eigh_stacks.py tests/test_inertia.py tests/test_linalg_layouts.py tests/test_line_vectors.py

# What the bindings check besides: every way of giving something that is refused.
CHECKING := tests/test_groups.py tests/test_hyper_parameters.py tests/test_checkpoint_tree.py \
  tests/test_sparse_rows.py tests/test_sparse_rows_refused.py tests/test_sparse_rows_stored.py tests/test_storage.py tests/test_coded.py \
  tests/test_eigsh.py tests/test_krylov.py tests/test_muon.py tests/test_schedule_free.py tests/test_row_states.py tests/test_drawn_arrays.py \
  tests/test_flags.py tests/test_clipping.py tests/torch_door

.PHONY: train test hosts check bench tsan asan asserts fuzz mutate coverage soak tidy clean help

help:
	@echo "make train   train a network on the handwritten digits and write a report (ARGS=... for fastopt train)"
	@echo "make test    all checks and tests, on an installed wheel (ARGS=... for pytest)"
	@echo "make hosts   the optimizers for PyTorch in the programs that take one, in a pinned environment"
	@echo "make check   ruff, mypy and clang-format alone"
	@echo "make bench   every table beside its peers, in a pinned environment (ARGS=--quick: a few minutes)"
	@echo "make tsan    the pool, engine and eigensolver under ThreadSanitizer"
	@echo "make asan    the tests of the compiled code under AddressSanitizer and UBSan; make asserts: with assertions on"
	@echo "make fuzz    random input against what is promised of bad input (ARGS=\"--rounds 1000000 --seed 2\")"
	@echo "make mutate  mutants of the C++: does a test notice each? (ARGS=\"--only rules --sample 40 --seed 1\")"
	@echo "make coverage   branches of the bindings that the tests take; make tidy: clang-tidy"
	@echo "make soak    everything in turns for ten minutes, watched (ARGS=\"--minutes 60\")"
	@echo "make clean   remove the virtual environments and the build"

# Doctests of the part for PyTorch need it.
WITHOUT_TORCH = $$($(BIN)/python -c "import importlib.util as u; u.find_spec('torch') or print('--ignore-glob=*/fastopt/torch/*')")

train: $(VENV)/.native
	$(BIN)/fastopt train $(ARGS)

test: $(VENV)/.testable check
	$(BIN)/python -m pytest tests --ignore=tests/hosts $(ARGS)
	$(BIN)/python -m pytest --doctest-modules --pyargs fastopt -p no:cacheprovider $(WITHOUT_TORCH)

hosts: $(HOSTS)/.installed
	FASTOPT_REQUIRE_HOSTS=1 $(HOSTS)/bin/python -m pytest tests/hosts $(ARGS)

check: $(VENV)/.testable
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m mypy
	$(BIN)/clang-format --dry-run --Werror $$(find cpp -name '*.[ch]pp')

bench: $(BENCH)/.installed
	$(BENCH)/bin/python bench/run.py $(ARGS)

tsan: $(VENV)/.testable
	sh tools/checked.sh thread $(VENV) $(THREADED) $(ARGS)

asan: $(VENV)/.testable
	sh tools/checked.sh address $(VENV) $(NATIVE) $(ARGS)

asserts: $(VENV)/.testable
	sh tools/checked.sh asserts $(VENV) $(NATIVE) $(ARGS)

# Proofs that take longer than tests (docs/proofs.md has what they showed). Fuzzing and soaking use the installed wheel.
fuzz: $(VENV)/.testable
	$(BIN)/python tools/fuzz $(ARGS)

soak: $(VENV)/.testable
	$(BIN)/python tools/soak.py $(ARGS)

mutate: $(VENV)/.compiling
	PATH="$$(pwd)/$(BIN):$$PATH" $(BIN)/python tools/mutate $(ARGS)

tidy: $(VENV)/.compiling
	$(BIN)/python -m pip install --quiet clang-tidy==23.1.4
	PATH="$$(pwd)/$(BIN):$$PATH" $(BIN)/python tools/tidy.py $(ARGS)

coverage: $(VENV)/.compiling
	$(BIN)/python -m pip install --quiet 'gcovr>=7'
	PATH="$$(pwd)/$(BIN):$$PATH" $(BIN)/python tools/coverage.py $(NATIVE) $(CHECKING) $(ARGS)

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
	@rm -f $(VENV)/.installed $(VENV)/.testable
	@touch $@

$(WHEELS)/.built: $(VENV)/.python $(SOURCES)
	@rm -rf $(WHEELS)
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir $(WHEELS) .
	@touch $@

$(VENV)/.installed: $(WHEELS)/.built
	$(BIN)/python -m pip install --quiet --force-reinstall --no-deps $(WHEELS)/*.whl
	$(BIN)/python -m pip install --quiet "$$(echo $(WHEELS)/*.whl)[report]"
	@touch $@ $(VENV)/.native

$(VENV)/.testable: $(VENV)/.installed
	$(BIN)/python tools/requirements.py test | $(BIN)/python -m pip install --quiet -r /dev/stdin
	@touch $@

# The hosts' own environment, with the wheel that `make test` tests.
$(HOSTS)/.pinned: tests/hosts/requirements.txt
	@sh tools/prerequisites.sh $(PYTHON)
	$(PYTHON) -m venv $(HOSTS)
	$(HOSTS)/bin/python -m pip install --quiet -r $<
	@touch $@

$(HOSTS)/.installed: $(HOSTS)/.pinned $(WHEELS)/.built
	$(HOSTS)/bin/python -m pip install --quiet --force-reinstall --no-deps $(WHEELS)/*.whl
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
	rm -rf $(VENV) $(BENCH) $(HOSTS) build
