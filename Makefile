# Everything from a fresh clone, with nothing but make and Python 3.11 or newer. `make help` lists the targets.
#
# .tools holds uv, pinned by hash; .venv holds exactly the packages of requirements/all.txt and this project itself.
# Stamp files stand for both, so that a target does nothing about them when they are already there.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

PYTHON ?= $(shell command -v python3.11 || command -v python3)
# Processes that run tests side by side; each loads PyTorch, which takes about 1 GiB.
WORKERS ?= 2
# More arguments for pytest, such as PYTEST="-k storage".
PYTEST ?=
# What `make images` builds, such as IMAGES="trainer --accelerator cpu".
IMAGES ?=

BIN := .venv/bin
UV := .tools/bin/uv
READY := .venv/.installed
TOOLS := env PYTHONPATH=tools/cluster:tools/images $(BIN)/python
CLUSTER := $(TOOLS) -m testcluster

.DEFAULT_GOAL := help

##@ Using it

.PHONY: demo
demo: setup ## Train, evaluate and report on Bach chorales; ends with the paths of the report and its figures
	@$(BIN)/mtj run manifests/samples/chorales.yaml

.PHONY: setup
setup: $(READY) sound ## Install what is needed into .venv, and FluidSynth where that is possible

##@ Working on it

.PHONY: check
check: $(READY) lint ## Lint, types, layers and the fast tests: under two minutes
	$(BIN)/pytest -n $(WORKERS) -m "not slow" $(PYTEST)

.PHONY: test
test: $(READY) sound build-meanwhile lint ## All checks and all tests
	$(BIN)/pytest -n $(WORKERS) $(PYTEST)

.PHONY: fuzz
fuzz: $(READY) ## Try 20,000 damaged files; FILES and SEED choose others
	MTJ_FUZZ=$(or $(FILES),20000) MTJ_FUZZ_SEED=$(or $(SEED),$(shell date +%s)) $(BIN)/pytest --timeout 0 \
	  -k random_damage tests/security/test_hostile_music.py $(PYTEST)

.PHONY: soak
soak: $(READY) ## A hundred random faults on one training: a quarter of an hour; FAULTS and SEED choose others
	MTJ_SOAK=$(or $(FAULTS),100) MTJ_SOAK_SEED=$(or $(SEED),1) $(BIN)/pytest --on-demand -s -n0 \
	  tests/training/test_soak.py $(PYTEST)

.PHONY: test-gitops
test-gitops: $(READY) ## Flux's own controllers and Argo CD's health checks on real jobs: builds both, ten minutes once
	tools/gitops/build
	$(BIN)/pytest --on-demand tests/gitops $(PYTEST)

.PHONY: lint
lint: $(READY)
	$(BIN)/ruff format --check --quiet
	$(BIN)/ruff check --quiet
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

.PHONY: format
format: $(READY) ## Format the code, and mend what ruff can mend
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

.PHONY: cluster
cluster: $(READY) ## A Kubernetes of two nodes on this machine, to try the operator on: as root, and with Go
	@$(CLUSTER) up

.PHONY: cluster-down
cluster-down: ## End it
	@test ! -x $(BIN)/python || $(CLUSTER) down

.PHONY: images
images: $(READY) ## Build the images with buildah, try each, and print its size and licences: as root, and gigabytes
	@tools/cluster/install-packages
	@$(TOOLS) -m imagebuild $(IMAGES)

.PHONY: bench
bench: $(READY) sound ## Measure speed against baselines: the table of docs/performance.md
	$(BIN)/python tests/scale/bench.py

.PHONY: bench-operator
bench-operator: $(READY) ## Measure the operator beside Kubeflow Trainer: ten minutes of a machine with nothing else to do
	tools/cluster/build
	tools/peers/build .tools/peers
	$(BIN)/python tests/scale/operator/bench.py

.PHONY: bench-faults
bench-faults: $(READY) ## Measure what each fault costs a training, beside Kubeflow Trainer: tables of docs/reliability.md
	tools/peers/build .tools/peers
	$(BIN)/python tests/scale/faults/bench.py

.PHONY: manifests
manifests: $(READY) ## Write the generated files of manifests/ and charts/ anew
	$(BIN)/mtj crd > manifests/crd/training.discomusica.io_musictrainingjobs.yaml
	cp manifests/crd/training.discomusica.io_musictrainingjobs.yaml charts/mtj-operator/files/crd.yaml
	tools/helm/manifests manifests

.PHONY: reference
reference: $(READY) ## Write the generated pages of docs/reference anew
	$(BIN)/python -m mtj_api.reference > docs/reference/job.md

.PHONY: dashboards
dashboards: $(READY) ## Write Grafana's dashboards into the chart anew
	PYTHONPATH=tools/monitoring $(BIN)/python -m dashboards charts/mtj-operator/dashboards

.PHONY: lock
lock: $(UV) ## Pin dependencies anew: make lock UPGRADE=--upgrade takes the newest
	$(UV) pip compile pyproject.toml --extra operator --extra trainer --extra dev --generate-hashes --universal \
	  --python-version 3.11 --no-emit-index-url --quiet --custom-compile-command "make lock" $(UPGRADE) \
	  -o requirements/all.txt
	$(UV) pip compile pyproject.toml --extra operator --constraint requirements/all.txt --generate-hashes --universal \
	  --python-version 3.11 --no-emit-index-url --quiet --custom-compile-command "make lock" \
	  -o requirements/operator.txt
	printf 'uv\n' | $(UV) pip compile - --generate-hashes --no-emit-index-url --quiet \
	  --custom-compile-command "make lock" $(UPGRADE) -o requirements/uv.txt

.PHONY: clean
clean: cluster-down ## Remove all that make has made, but nothing that a job has made
	rm -rf .tools .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

.PHONY: help
help: ## Show this
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} \
	  /^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# The pieces of set-up.

$(UV): requirements/uv.txt
	@tools/python-is-new-enough "$(PYTHON)"
	rm -rf .tools/bin .tools/include .tools/lib .tools/lib64
	$(PYTHON) -m venv .tools
	.tools/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
	@touch $@

.venv/.synced: requirements/all.txt $(UV)
	test -x $(BIN)/python || $(UV) venv --quiet --python "$(PYTHON)" .venv
	$(UV) pip sync --quiet --python $(BIN)/python --require-hashes requirements/all.txt
	@touch $@

$(READY): pyproject.toml .venv/.synced
	$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

.PHONY: sound
sound:
	@tools/install-fluidsynth

# What the tests of the cluster and the chart need is built beside the other tests; those that need it wait for it.
.PHONY: build-meanwhile
build-meanwhile: $(READY)
	@mkdir -p .tools/cluster
	@{ nice -n 5 $(CLUSTER) prepare; nice -n 5 tools/helm/build; } </dev/null >.tools/cluster/prepare.log 2>&1 &
