# Commands: study verify results figures site test test-browser test-slurm test-container architectures bench faults lab lock clean
# Variables: PROFILE SWEEP TASK SEEDS JOBS GPUS FORCE=1 REUSE=1 FIGURE BENCH TORCH_INDEX UPGRADE=1 PYTHON SNAKEMAKE_PROFILE
#
# Written for GNU make 3.81, which macOS ships. With a SHELL other than /bin/sh, that version runs every command through
# the shell and so with the exported PATH; without it, it would look commands up in the PATH that make itself was given.
SHELL   := /bin/bash
PYTHON  ?= $(notdir $(firstword $(shell command -v python3.11 python3.12 python3.13) python3))
PROFILE ?= tiny
SWEEP   ?= start
TASK    ?=
SEEDS   ?=
JOBS    ?=
GPUS    ?=
FORCE   ?=
REUSE   ?=
FIGURE  ?=
BENCH   ?=
UPGRADE ?=
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export PYTHONDONTWRITEBYTECODE := 1

# Paths are meant from where the user stands. That is $(PWD), also where `make -C` was called from another folder.
empty    :=
space    := $(empty) $(empty)
absolute  = $(firstword $(wildcard $(PWD)/$(1)) $(abspath $(1)))
own       = $(filter %.yaml %.yml,$(1))
override SWEEP := $(subst $(space),+,$(foreach name,$(subst +, ,$(SWEEP)),$(if $(call own,$(name)),$(call absolute,$(name)),$(name))))
override TASK  := $(if $(filter file:%,$(TASK)),file:$(call absolute,$(patsubst file:%,%,$(TASK))),$(TASK))

# Folders that variables of the environment name are meant from there, too.
named     = $(if $(filter /%,$(1)),$(1),$(PWD)/$(1))
$(foreach name,RESULTS FIGURES CACHE MODELS DATA,$(if $(COUPLING_$(name)),$(eval export COUPLING_$(name) := $(call named,$(COUPLING_$(name))))))

WHICH = --profile $(PROFILE) --sweep $(SWEEP) $(if $(TASK),--task $(TASK)) $(if $(SEEDS),--seeds $(SEEDS))
# GPUS=8 runs 8 jobs at once, each on a GPU of its own. Otherwise cores and memory say how many run at once.
# SNAKEMAKE_PROFILE=env/slurm hands the jobs to a cluster instead. Cores and memory of this machine then limit nothing.
SNAKEMAKE_PROFILE ?= env/local

.PHONY: study verify results figures site test test-browser test-slurm test-container architectures bench faults lab lock clean

HOW   = --engine $(SNAKEMAKE_PROFILE) $(if $(JOBS),--jobs $(JOBS)) $(if $(GPUS),--gpus $(GPUS)) $(if $(FORCE),--force)

# A plan and the batch. Then a table of what failed, or else the summary beside the committed one and what the figures show.
# The exit code is 0 only where every run, table and figure is made. Everything goes to results/; no tracked file changes.
study: .venv/ready
	@coupling study $(WHICH) $(HOW) $(if $(REUSE),--reuse)

# The same batch. Then for each number of the summary whether it lies in the committed interval. Exit code 1 where one does not.
verify: .venv/ready
	@coupling verify $(WHICH) $(HOW)

# Writes what was computed into figures/: tables, claims, figures and generated pages. FORCE=1 replaces tables of more runs.
results: .venv/ready
	@coupling results $(WHICH) $(if $(FORCE),--force)

figures: .venv/ready
	@coupling figures $(if $(FIGURE),--only $(FIGURE))

# Static pages in site/, from the committed tables. What Sphinx needs is installed where it is missing.
site: .venv/ready
	@python -c 'import furo, myst_nb' 2>/dev/null || { echo "installing env/site/requirements.txt"; \
	  pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r env/site/requirements.txt; }
	@python -m coupling.report.site

# One process a core, each with one thread; JOBS=1 runs the tests one after the other.
test: .venv/ready
	@ruff format --check . && ruff check . && lint-imports
	@OMP_NUM_THREADS=1 python -m pytest -n $(or $(JOBS),auto) --dist loadfile --cov --cov-report=term-missing:skip-covered --cov-fail-under=90

# Two-layer models of some fifty architectures, against the plainest way of running each. `make test` tries six of them.
architectures: .venv/ready
	@OMP_NUM_THREADS=1 python -m pytest -n $(or $(JOBS),auto) -m architectures tests/models/test_architectures.py

# JupyterLab and the site in Debian's chromium: as root, where chromium is missing. Screenshots go to results/browser.
test-browser: site
	@command -v chromium >/dev/null || { echo "installing chromium"; apt-get update -qq && \
	  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium; }
	@python -c 'import playwright' 2>/dev/null || { echo "installing env/browser/requirements.txt"; \
	  pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r env/browser/requirements.txt; }
	@python -m pytest -s -m browser tests/browser

# A SLURM of one node on this machine: on Debian 12, as root. What is missing is installed.
test-slurm: .venv/ready
	@command -v slurmctld slurmd munged >/dev/null || { echo "installing slurm-wlm and munge"; apt-get update -qq && \
	  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends slurm-wlm munge; }
	@python -c 'import snakemake_executor_plugin_slurm' 2>/dev/null || { echo "installing env/slurm/requirements.txt"; \
	  pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r env/slurm/requirements.txt; }
	@OMP_NUM_THREADS=1 python -m pytest -s -m slurm tests/slurm

# The image of env/Containerfile, built and tried: on Debian 12, as root. What is missing is installed.
test-container:
	@bash tests/container/test.sh

# BENCH=train,small measures these parts alone: measures are memory, train, eval, decoding, workers, growth, attention;
# models are small, SmolLM2, Qwen. Parts that are there are kept (results/bench). FORCE=1 measures them again.
bench: .venv/ready
	@coupling bench $(if $(BENCH),--parts '$(BENCH)') $(if $(FORCE),--force) && coupling figures --only speed

# Outcomes that are there are kept (results/faults), as long as the library is the same. FORCE=1 asks all of it anew.
faults: .venv/ready
	@OMP_NUM_THREADS=1 python tests/faults/run_faults.py $(if $(FORCE),--force)
	@python -m coupling.report.pages

lab: .venv/ready
	@jupyter lab --notebook-dir notebooks

# Resolved with torch in sight, so that versions fit it. The lock leaves out torch and its GPU libraries, since a machine takes
# the build of torch that fits it. Pins that still fit are kept; UPGRADE=1 takes the newest versions.
lock:
	cd env && uv pip compile $(if $(UPGRADE),--upgrade) --python-version 3.11 --universal --generate-hashes --no-annotate --no-header \
	  $$(grep -v '^#' gpu-libraries.txt | sed 's/^/--no-emit-package /') -o requirements.lock requirements.in

# Rebuilt only where the content of the lock changed. Its checksum is kept in .venv/ready; dates of files do not count.
SHA256 = $(PYTHON) -c 'import hashlib, sys; print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest())'
.venv/ready: env/requirements.lock env/torch.txt
	@sum=$$(cat $^ | $(SHA256)); \
	if [ "$$sum" != "$$(cat $@ 2>/dev/null)" ]; then \
	  rm -rf .venv && $(PYTHON) -m venv .venv && \
	  pip install --quiet --disable-pip-version-check $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) -r env/torch.txt && \
	  pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r env/requirements.lock && \
	  pip install --quiet --disable-pip-version-check --no-deps -e . && \
	  echo "$$sum" > $@; \
	else touch $@; fi

clean:
	rm -rf .venv results site
