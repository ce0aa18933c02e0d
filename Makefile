# Two commands for a newcomer: `make demo` runs the main job, `make test` passes the tests.
# Both install what they need first (scripts/setup).

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
SETUP  := $(VENV)/.ready

.PHONY: help demo test soak lint format bench lock clean

help:
	@echo "make demo    run the example shop, each service with its sidecar (DEMO_SECONDS=60 to stop by itself)"
	@echo "make test    run the tests"
	@echo "make lint    ruff, mypy, floors, formatting"
	@echo "make bench   measure, side by side with peers; tables and plots under bench/results/"
	@echo "make soak    the long fault runs"
	@echo "make lock    pin the dependencies anew"

$(SETUP): scripts/setup pyproject.toml setup.py requirements/build.lock requirements/development.lock \
          requirements/gixy.lock scripts/pillion tests/integration/watchdog/programs/package-lock.json
	@PYTHON=$(PYTHON) scripts/setup $(VENV)

# The compiled parts follow their sources without a new set-up.
.PHONY: build
build: $(SETUP)
	@$(BIN)/python setup.py --quiet build_ext --inplace

demo: build
	@$(BIN)/python examples/shop/demo.py

# Tests side by side; more of them than cores would measure each other.
JOBS ?= $(shell nproc)

test: build
	@$(BIN)/python -m pytest -m "not soak" -n $(JOBS) --dist worksteal $(PYTEST_ARGS)

soak: build
	@$(BIN)/python -m pytest -m soak --timeout=1800 $(PYTEST_ARGS)
	@$(BIN)/python -m pytest tests/property -n $(JOBS) --timeout=1800 --hypothesis-profile=search

lint: build
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PYTHONPATH=src $(BIN)/lint-imports --no-cache

format: build
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: build
	@$(BIN)/python -m bench

lock:
	@scripts/lock

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
