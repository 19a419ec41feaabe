# `make help` lists what there is to do. Needs git, make and Python 3.11 or newer; everything else is installed.

PYTHON ?= $(shell for candidate in python3 python3.13 python3.12 python3.11; do \
	"$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo "$$candidate" && break; done)
ifeq ($(PYTHON),)
$(error Python 3.11 or newer is not on this machine: install it, or name it with `make PYTHON=/path/to/python3`)
endif
# The lab (tests/lab) makes everything: it needs the standard library alone.
LAB := PYTHONPATH=tests $(PYTHON) -m lab

STAGES := unit lint sanity packaging rules report routes readme live molecule faults

.DEFAULT_GOAL := help
.PHONY: help venv lock audit sbom lab demo demo-break demo-down test quick one $(STAGES) mutation bench docs site pictures test-core upstream versions sums clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "  make STAGE        Run one stage of the tests: $(STAGES)"

venv: ## Make .venv with the tools that pyproject.toml pins
	@$(LAB) venv

lock: ## Write the lock files in requirements/ anew, after a change in pyproject.toml
	@$(LAB) lock

audit: ## Tell of known vulnerabilities in the development dependencies; needs a network
	@$(LAB) audit

sbom: ## Build the collection and the list of its components (CycloneDX) in build/release
	@$(LAB) sbom

lab: ## Make the lab: Docker engine, images of the hosts, release mirror
	@$(LAB) prepare

demo: ## Show an application in production and its monitoring, on two lab hosts of this machine; RUNTIME=docker: as containers; HOSTS=33: with synthetic hosts besides
	@$(LAB) demo $(RUNTIME) $(if $(HOSTS),--hosts $(HOSTS))

demo-break: ## Stop the demo's database, show what arrives in which channel and when, and start it again
	@$(LAB) demo-break

demo-down: ## Remove what the demo made, and nothing else
	@$(LAB) demo-down

test: ## Run every test, or the stages named beside it: make test unit lint
	@$(LAB) test $(filter $(STAGES),$(MAKECMDGOALS))

quick: ## Run what needs no host, in some minutes: unit, lint, rules
	@$(LAB) test unit lint rules

one: ## Run one test, or some: make one TEST='tests/faults/test_rollback.py -k version'
	@$(LAB) one -- $(TEST)

# Beside `test` they are its arguments.
$(STAGES):
	@$(if $(filter test,$(MAKECMDGOALS)),:,$(LAB) test $@)

mutation: ## Change decisions in the code and count the changes that no unit test notices; a quarter of an hour for each SUBJECT: secrets, hardening, rollback, restarts
	@$(LAB) mutation $(SUBJECT)

bench: ## Measure the speed promises; BENCH=--write puts the figures into docs/benchmarks.md
	@$(LAB) bench -- $(BENCH)

upstream: venv ## Read the keys of Prometheus' and Alertmanager's configuration from their Go types; needs Go
	cd tools/upstream && go run . versions.json ../../plugins/plugin_utils/data
	@$(PYTHON) tools/upstream/tables.py
	@.venv/bin/ruff format --quiet plugins/module_utils/_secret_keys.py

versions: venv ## Tell what is newer upstream than the default versions, with its security notes; needs git or Go
	@.venv/bin/python tools/versions.py

sums: venv ## Write the checksums that upstream publishes of the default versions into the collection
	@.venv/bin/python tools/versions.py --write-sums

docs: venv ## Write what is generated: dashboards, docs, and the READMEs of the roles
	@PYTHONPATH=tools .venv/bin/python -m dashboards
	@.venv/bin/python tools/docs.py

site: ## Build the documentation site in build/site/html; EXTERNAL=1: check its links to other sites instead
	@$(LAB) site $(if $(EXTERNAL),--external)

pictures: ## Draw the documentation's pictures of a real deployment; takes about ten minutes
	@$(LAB) pictures

test-core: ## Deploy to a lab host with another ansible-core: make test-core CORE=2.21
	@$(LAB) test-core $(CORE)

clean: ## Remove what the tests built in this folder
	@rm -rf build .pytest_cache .ruff_cache .ansible
