# Thin names over nox. Each target sets up what it needs: a clean clone, Python 3 and npm are enough.

PYTHON ?= python3
INSTALLER ?= auto
ARGS ?=

NOX := .venv/bin/nox --session
READY := .venv/.ready
PROJECTS := $(wildcard pyproject.toml queueconnector_*/pyproject.toml devservices/pyproject.toml examples/*/pyproject.toml)

.DEFAULT_GOAL := help
.PHONY: help setup lint audit types test isolation docs reference model fuzz slow chaos bench demo dist constraints clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo '  Options go in ARGS, such as make demo ARGS="--dishes 8" or make test ARGS="-k registry".'

setup: $(READY) ## create .venv with the workspace and its tools (PYTHON=..., INSTALLER=pip)
	@echo "The development environment is ready: . .venv/bin/activate"

$(READY): $(PROJECTS) constraints.txt tools/set_up.py
	$(PYTHON) tools/set_up.py --installer $(INSTALLER)
	@touch $@

lint: $(READY) ## style, import rules, sizes, dependencies, public names, news fragments
	$(NOX) lint

audit: $(READY) ## known vulnerabilities of the pinned versions (needs the public database)
	$(NOX) audit

types: $(READY) ## strict types for Python 3.11 to 3.14
	$(NOX) types

test: $(READY) ## all tests but the slow ones, against real Kafka and Tango services
	$(NOX) tests -- $(ARGS)

isolation: $(READY) ## the wheels alone, in clean environments outside the checkout
	$(NOX) isolation -- $(ARGS)

docs: $(READY) ## build the site in build/site, and run what the documentation shows
	$(NOX) docs -- $(ARGS)

reference: $(READY) ## write the JSON schema and the generated pages anew
	$(NOX) reference

matrix: $(READY) ## every source with every sink, dtype, shape and encoding (minutes)
	.venv/bin/python -m tests.matrix --product

model: $(READY) ## 200 random sequences on the real device against the table of states (minutes)
	$(NOX) model -- $(ARGS)

fuzz: $(READY) ## hostile messages and configurations, for ten minutes (ARGS="--minutes 1")
	$(NOX) fuzz -- $(ARGS)

slow: $(READY) ## the tests that take minutes: outages, soaks, wheels, the kit's proof, the site, a browser
	$(NOX) slow -- $(ARGS)

chaos: $(READY) ## kills, slow sinks and a soak, for two hours (ARGS="-k soak --soak-minutes 10")
	$(NOX) chaos -- $(ARGS)

bench: $(READY) ## side-by-side benchmarks
	$(NOX) bench -- $(ARGS)

demo: $(READY) ## the pointing loop: dishes, Queue Connector, Kafka and back (ARGS="--dishes 8")
	.venv/bin/python -m pointing_loop $(ARGS)

dist: $(READY) ## build source archives and wheels into dist/, and install each wheel alone
	$(NOX) dist

constraints: $(READY) ## pin the newest versions of all dependencies in constraints.txt
	$(NOX) constraints

clean: ## remove the environment, caches and build results
	rm -rf .venv .nox .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis .fuzz build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
