# Two commands do all the set-up: `make run` and `make test`. CI runs `make ci`.

# An activated .venv has no pip: then the Python that it was made of.
PYTHON ?= $(shell python3 -c 'import importlib.util as u, sys; print(sys.executable if u.find_spec("pip") else sys.base_prefix + "/bin/python3")')
VENV ?= .venv
BIN := $(VENV)/bin
# pip of the system installs into the virtual environment: it works where Debian's venv comes without pip.
INSTALL := $(PYTHON) -m pip --python $(BIN)/python --disable-pip-version-check install --quiet

.PHONY: run test pythons faults heal drill rotation schemathesis screenshots bench bench-scale reference lint types ci lock clean

## Run everything: an embedded Valkey, the receiver, a worker. Ctrl-C ends it.
run: $(VENV)/runs
	@$(BIN)/gelato-rollup up

## All tests, with real servers and processes: three at a time, they mostly wait; the folders as they stand in pyproject.toml.
test: $(VENV)/develops
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

## The first minutes, from nothing to a document, on each Python that pyproject.toml names and this machine has.
pythons: $(VENV)/develops
	$(BIN)/python -m pytest -q -n 3 tests/pythons

## Faults by seed, with a report, and minutes of fuzzing: make faults SEED=7 MINUTES=10
faults: $(VENV)/develops
	PYTHONPATH=tests $(BIN)/python -m faults --seed $(or $(SEED),1) --minutes $(or $(MINUTES),10)
	FUZZ_SECONDS=180 $(BIN)/python -m pytest -q tests/faults/test_fuzz.py

## The restore drill with so many orders, and its figures: make drill ORDERS=20000
drill: $(VENV)/develops
	DRILL_ORDERS=$(or $(ORDERS),20000) $(BIN)/python -m pytest -q -s -n 0 tests/integration/deploy/test_restoring.py

## The secret rotated under load, with so many webhooks, and its figures: make rotation EVENTS=20000
rotation: $(VENV)/develops
	ROTATION_EVENTS=$(or $(EVENTS),20000) $(BIN)/python -m pytest -q -s -n 0 tests/integration/webhooks/test_rotation.py

## Losses, an outage, and reconciliation of 500 orders: make heal ORDERS=500 SEED=1
heal: $(VENV)/develops
	PYTHONPATH=tests $(BIN)/python -m faults.heal --orders $(or $(ORDERS),500) --seed $(or $(SEED),1)

## The running service against its OpenAPI description: make schemathesis SEED=1 SECONDS=300
schemathesis: $(VENV)/develops
	PYTHONPATH=tests $(BIN)/python -m support.conformance --seed $(or $(SEED),1) --seconds $(or $(SECONDS),300)

## The pictures of docs/how-to/console.md, taken of the console itself (needs chromium).
screenshots: $(VENV)/develops
	SCREENSHOTS=docs/images $(BIN)/python -m pytest -q tests/browser/pictures.py

## Speed, side by side with baselines and limits (needs wrk and redis-benchmark).
bench: $(VENV)/develops
	$(BIN)/gelato-rollup bench intake fold latency

## Memory and growth at full size.
bench-scale: $(VENV)/develops
	$(BIN)/python -m pytest -q -n 0 tests/benchmarks/at_length.py
	$(BIN)/gelato-rollup bench memory growth
	LETTERS=200000 $(BIN)/python -m pytest -q tests/integration/dead_letters/test_letter_lists.py -k many_letters

## Write the reference pages that are made from the code.
reference: $(VENV)/develops
	$(BIN)/python -m ops.reference

## Style.
lint: $(VENV)/develops
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

## Types, strictly.
types: $(VENV)/develops
	$(BIN)/mypy

## What CI runs.
ci: lint types test pythons

## Pin the dependencies anew, with hashes and without addresses.
lock: $(VENV)/develops
	$(BIN)/uv pip compile $(LOCK) --extra build pyproject.toml -o requirements.lock --upgrade
	$(BIN)/uv pip compile $(LOCK) --extra dev -c requirements.lock pyproject.toml -o requirements-dev.lock --upgrade
LOCK := --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(VENV)/runs: requirements.lock pyproject.toml
	@echo "Installing into $(VENV) ..."
	@$(PYTHON) -m venv --without-pip $(VENV)
	@$(INSTALL) --require-hashes -r requirements.lock
	@$(INSTALL) --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/develops: requirements-dev.lock pyproject.toml
	@echo "Installing into $(VENV) ..."
	@$(PYTHON) -m venv --without-pip $(VENV)
	@$(INSTALL) --require-hashes -r requirements-dev.lock
	@$(INSTALL) --no-deps --no-build-isolation -e .
	@touch $@ $(VENV)/runs
