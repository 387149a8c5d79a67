# Every target does its own set-up. Needs make and Python 3.13 (as `python3.13`, or as `python3` through .python-version).
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON := $(shell for p in python3.13 python3 python; do "$$p" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 13))' 2>/dev/null && echo "$$p" && break; done)
BIN := .venv/bin
PY := $(BIN)/python
SAM := build/tools/sam/bin/sam
export PATH := $(CURDIR)/$(BIN):$(PATH)
export PYTHONPATH := $(CURDIR)/layers/core/python:$(CURDIR)
export MYPYPATH := $(PYTHONPATH)
export PYTHONDONTWRITEBYTECODE := 1
export SAM_CLI_TELEMETRY := 0
# Copies: hard links would warn where the cache is on another file system.
export UV_LINK_MODE ?= copy

PORT ?= 8787
WORKERS ?= 2
FN ?= recommend

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' Makefile

# ── set-up ───────────────────────────────────────────────────────────────────
$(BIN)/uv:
	@test -n "$(PYTHON)" || { echo "Beckon needs Python 3.13: install it (or 'pyenv install 3.13') and run make again" >&2; exit 1; }
	@echo "setting up .venv with $$($(PYTHON) --version)" >&2
	@$(PYTHON) -m venv .venv
	@$(BIN)/pip install --quiet --disable-pip-version-check uv

.venv/synced: infra/dev/requirements.txt | $(BIN)/uv
	@$(BIN)/uv pip sync --quiet --python $(PY) $<
	@touch $@

build/tools/sam/synced: infra/dev/sam.txt .venv/synced
	@test -x build/tools/sam/bin/python || $(BIN)/uv venv --quiet --python $(PY) build/tools/sam
	@$(BIN)/uv pip sync --quiet --python build/tools/sam/bin/python $<
	@touch $@

build/tools/peers/synced: infra/dev/peers.txt .venv/synced
	@test -x build/tools/peers/bin/python || $(BIN)/uv venv --quiet --python $(PY) build/tools/peers
	@$(BIN)/uv pip sync --quiet --python build/tools/peers/bin/python --require-hashes $<
	@touch $@

build/tools/runtime/synced: infra/dev/runtime.txt .venv/synced
	@rm -rf build/tools/runtime && $(BIN)/uv pip install --quiet --python $(PY) --target build/tools/runtime --require-hashes -r $<
	@touch $@

.PHONY: setup setup-sam
setup: .venv/synced ## install everything the other targets need, but the SAM CLI
setup-sam: build/tools/sam/synced build/tools/runtime/synced ## install the SAM CLI and Lambda's runtime packages, apart

# ── running ──────────────────────────────────────────────────────────────────
.PHONY: demo up replay
demo: setup ## run the whole loop on a simulated shop; writes build/demo/report.html and report.json
	@$(PY) -m infra.demo $(ARGS)

up: setup ## start an empty local stack on PORT (8787) until Ctrl-C
	@exec $(PY) -m infra.local --port $(PORT)

replay: setup ## send a real event file through the local stack: DATA=events.csv[.gz] [ITEMS=items.jsonl[.gz]]
	@test -n "$(DATA)" || { echo "say which file: make replay DATA=events.csv.gz (columns user,item,timestamp[,event])" >&2; exit 2; }
	@$(PY) -m infra.demo.replay "$(DATA)" $(if $(ITEMS),"$(ITEMS)")

.PHONY: accuracy
accuracy: setup ## full-ranking accuracy of retrain's model: DATA=events.csv[.gz] [ITEMS=…] [PROTOCOL=leave-one-out|temporal] [PREDICTIONS=out.csv]
	@test -n "$(DATA)" || { echo "say which file: make accuracy DATA=events.csv.gz (columns user,item,timestamp[,event])" >&2; exit 2; }
	@$(PY) -m infra.accuracy "$(DATA)" $(if $(ITEMS),--items "$(ITEMS)") $(if $(PROTOCOL),--protocol "$(PROTOCOL)") $(if $(PREDICTIONS),--predictions "$(PREDICTIONS)")

# ── checking ─────────────────────────────────────────────────────────────────
.PHONY: test check bench
test: setup setup-sam build/tools/peers/synced ## all tests that need no cloud: unit, property, integration, infra, e2e
	@$(PY) -m pytest -n $(WORKERS) --dist loadgroup $(ARGS)

check: setup setup-sam ## format, lint, types, imports, template
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy layers/core/python/beckon infra
	@for f in functions/*/app.py; do $(BIN)/mypy $$f || exit 1; done
	@$(BIN)/lint-imports
	@$(PY) -m infra.lint

bench: setup build/tools/peers/synced ## side-by-side benchmarks into build/bench: [ONLY=learning] [DATA=../shared/data]
	@$(PY) -m infra.bench $(ONLY) $(if $(DATA),--data "$(DATA)")

# ── building and deploying ───────────────────────────────────────────────────
.PHONY: build invoke deploy lock clean
build: setup setup-sam ## sam build for x86_64 and arm64, with a report of unzipped sizes
	@$(PY) -m infra.build

invoke: setup setup-sam ## run one built function: FN=recommend [EVENT=tests/fixtures/events/recommend.json]
	@$(PY) -m infra.build invoke $(FN) $(EVENT)

deploy: build ## sam build and sam deploy --guided, into your own account: [ARCHITECTURE=arm64]
	@$(SAM) deploy --guided --template-file $(if $(filter arm64,$(ARCHITECTURE)),build/arm64/).aws-sam/build/template.yaml

COMPILE = $(BIN)/uv pip compile --quiet --generate-hashes --no-emit-index-url --no-header --python-version 3.13
lock: $(BIN)/uv ## resolve every lock file again
	@$(COMPILE) --upgrade infra/dev/requirements.in -o infra/dev/requirements.txt
	@for layer in core/python serving data; do $(COMPILE) layers/$$layer/requirements.in -c infra/dev/requirements.txt -o layers/$$layer/requirements.txt; done
	@$(COMPILE) --upgrade infra/dev/sam.in -o infra/dev/sam.txt
	@$(COMPILE) infra/dev/runtime.in -c infra/dev/requirements.txt -o infra/dev/runtime.txt
	@$(COMPILE) infra/dev/peers.in -c infra/dev/requirements.txt -o infra/dev/peers.txt

clean: ## remove what was built, not the set-up
	@find build .aws-sam -mindepth 1 -maxdepth 1 ! -name tools -exec rm -rf {} + 2>/dev/null || true
