# Everyday commands; `make` alone lists them.
BIN := .venv/bin

.PHONY: help venv test lint format types imports check bench clean

help:            ## list the targets
	@grep -E '^[a-z]+: .*##' $(MAKEFILE_LIST) | sed 's/: .*##/ -/' | tr -s ' '

venv: $(BIN)/pytest  ## virtual environment with everything that development needs

$(BIN)/pytest: pyproject.toml
	python3 -m venv .venv
	$(BIN)/pip install -q -e '.[dev]'
	@touch $@

test: venv       ## all tests
	$(BIN)/pytest -n 2 --dist loadfile

lint: venv       ## ruff: rules and layout
	$(BIN)/ruff check
	$(BIN)/ruff format --check

format: venv     ## ruff: repair what can be repaired
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

types: venv      ## mypy --strict
	$(BIN)/mypy

imports: venv    ## import-linter: imports point one way
	$(BIN)/lint-imports

check: lint types imports test  ## all of the above

bench: venv      ## speed, side by side with others in one run
	$(BIN)/python bench/peers.py

clean:           ## caches and build products
	rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -not -path './.venv/*' -exec rm -rf {} +
