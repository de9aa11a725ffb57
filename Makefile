# The commands of the README. Needs Python 3.11 or newer and make; every target makes the
# virtual environment that it needs, once, from the locks in requirements/.

PYTHON ?= python3
VENVS := .venv
RUN := $(VENVS)/run/bin/python
TEST := $(VENVS)/test/bin/python
TRAIN := $(VENVS)/train/bin/python
# Where PyTorch's CPU build is, for machines whose index has only the one with CUDA: make train TORCH_INDEX=https://...
TORCH_INDEX ?=
# Hundreds of short programs start here: compiled once, not each time.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo up down test test-train test-sagemaker test-docker test-browser test-faults train bench lint lock format clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# $(call venv,NAME): nothing is done if the locks are those that the environment was made from.
define venv
$(VENVS)/$(1)/.made: requirements/make_venv.py requirements/$(1).txt $(if $(2),requirements/$(2).txt)
	@TORCH_INDEX="$(TORCH_INDEX)" $$(PYTHON) requirements/make_venv.py $(VENVS)/$(1) $$(filter %.txt,$$^)
endef
$(eval $(call venv,run))
$(eval $(call venv,test))
$(eval $(call venv,browser))
$(eval $(call venv,scan))
$(eval $(call venv,train,torch))
$(eval $(call venv,sagemaker,torch))

demo: $(VENVS)/run/.made ## the whole application here, on sample photos or PHOTOS=dir; leaves nothing running
	@$(RUN) -m localcloud demo $(if $(PHOTOS),--photos "$(PHOTOS)") $(DEMO_FLAGS)

up: $(VENVS)/run/.made ## the same, left running for you to try things on
	@$(RUN) -m localcloud up $(UP_FLAGS)

down: $(VENVS)/run/.made ## stops what `make up` started
	@$(RUN) -m localcloud down

# A worker a processor and one more; what shares a local cloud is in one of them (tests/conftest.py), and begins first.
WORKERS := -n auto --maxprocesses 8 --dist loadfile --no-loadscope-reorder
test: $(VENVS)/test/.made $(VENVS)/run/.made ## every test that needs neither PyTorch, the SageMaker SDK, a browser nor Docker
	@$(TEST) -m pytest tests/e2e tests/integration tests/contract tests/unit $(WORKERS) $(PYTEST_FLAGS)

test-train: $(VENVS)/train/.made ## the tests that train (PyTorch)
	@$(TRAIN) -m pytest tests/train $(WORKERS) $(PYTEST_FLAGS)

test-sagemaker: $(VENVS)/sagemaker/.made ## the tests of the SageMaker SDK and its containers' contracts
	@$(VENVS)/sagemaker/bin/python -m pytest tests/sagemaker $(WORKERS) $(PYTEST_FLAGS)

test-browser: $(VENVS)/browser/.made ## the review desk and the servers in a browser (Chromium)
	@$(VENVS)/browser/bin/python -m pytest tests/browser $(WORKERS) $(PYTEST_FLAGS)

test-faults: $(VENVS)/test/.made ## breaks everything on purpose: a table of faults (build/faults.md), and many photos at once
	@$(TEST) -m pytest tests/faults $(WORKERS) $(PYTEST_FLAGS)

test-docker: $(VENVS)/test/.made ## sam local invoke, every function with every event (Docker)
	@$(TEST) -m pytest tests/docker $(WORKERS) $(PYTEST_FLAGS)

train: $(VENVS)/train/.made ## trains the shipped model anew, from CIFAR-100 or DATA=archive
	@$(TRAIN) -m model_build train $(if $(DATA),--data $(DATA)) --output $(or $(OUTPUT),build/model) $(TRAIN_FLAGS)

bench: $(VENVS)/test/.made ## the benchmarks: a table, and build/bench.json
	@$(TEST) -m bench $(BENCH_FLAGS)

FUNCTIONS := $(wildcard functions/*/)
lint: $(VENVS)/test/.made $(VENVS)/scan/.made ## ruff, mypy, import-linter, cfn-lint, sam validate, security scan of the templates
	$(VENVS)/test/bin/ruff check .
	$(VENVS)/test/bin/ruff format --check .
	$(TEST) -m mypy
	for folder in $(FUNCTIONS); do (cd $$folder && MYPYPATH=. ../../$(TEST) -m mypy --strict --python-version 3.11 *.py) || exit 1; done
	$(VENVS)/test/bin/lint-imports --no-cache --no-logo
	$(VENVS)/test/bin/cfn-lint template.yaml model_build/role.yaml
	SAM_CLI_TELEMETRY=0 AWS_DEFAULT_REGION=us-east-1 $(VENVS)/test/bin/sam validate --lint
	$(VENVS)/scan/bin/checkov --quiet --compact --skip-download --framework cloudformation --file template.yaml model_build/role.yaml

LOCK := $(VENVS)/uv/bin/uv pip compile --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --quiet
# pip reads a marker for the Python that runs it, not for the container's: these locks have none.
LOCK_SERVING := $(filter-out --universal,$(LOCK)) --python-platform x86_64-manylinux_2_28
lock: $(VENVS)/run/.made ## makes the locks in requirements/ again; LOCK_FLAGS=--upgrade takes newer versions
	for name in run test train browser scan sagemaker; do $(LOCK) $(LOCK_FLAGS) requirements/$$name.in --output-file requirements/$$name.txt || exit 1; done
	for name in serving serving-image; do $(LOCK_SERVING) $(LOCK_FLAGS) requirements/$$name.in --output-file requirements/$$name.txt || exit 1; done

format: $(VENVS)/test/.made ## formats the code
	$(VENVS)/test/bin/ruff format .
	$(VENVS)/test/bin/ruff check --fix .

clean: ## removes what the targets made, environments included
	rm -rf $(VENVS) build .aws-sam .mypy_cache .ruff_cache .pytest_cache .hypothesis
