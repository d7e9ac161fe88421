# Commands: study test figures bench lab lock clean. Variables: PROFILE SWEEP TASK SEEDS JOBS GPUS FORCE=1 REUSE=1 FIGURE TORCH_INDEX
SHELL   := /bin/bash
PYTHON  ?= python3.11
PROFILE ?= tiny
SWEEP   ?= headline
TASK    ?=
SEEDS   ?=
JOBS    ?=
GPUS    ?=
FORCE   ?=
REUSE   ?=
FIGURE  ?=
BIN     := .venv/bin
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export PYTHONDONTWRITEBYTECODE := 1

WHICH = --profile $(PROFILE) --sweep $(SWEEP) $(if $(TASK),--task $(TASK)) $(if $(SEEDS),--seeds $(SEEDS))
# GPUS=8: so many runs at once, each on a GPU of its own; else as many as cores and memory allow.
# SNAKEMAKE_PROFILE=env/slurm hands the runs to a cluster instead of this machine's cores
SNAKEMAKE_PROFILE ?= env/local

.PHONY: study figures test bench lab lock clean

study: .venv/ready
	@mkdir -p results && touch results/.batch
	@$(if $(FORCE),coupling clear $(WHICH))
	@snakemake --snakefile notebooks/Snakefile --profile $(SNAKEMAKE_PROFILE) --cores $(or $(JOBS),all) \
	  --resources $(if $(GPUS),gpu=$(GPUS),mem_mb=$$(python -c "from coupling.memory import machine_megabytes; print(machine_megabytes())")) --config profile=$(PROFILE) sweep=$(SWEEP) task=$(TASK) seeds=$(SEEDS) reuse=$(REUSE)
	@coupling status $(WHICH) --since results/.batch
	@python -c "from coupling import figures, pages; figures.write_study_tables(); figures.write_claims(); figures.study_figure('claims'); figures.study_figure('scale'); pages.write_index(); pages.write_readme()"
	@coupling summary --profile $(PROFILE) --sweep $(SWEEP) --compare

figures: .venv/ready
	@coupling figures $(if $(FIGURE),--only $(FIGURE))

test: .venv/ready
	@python -m ruff check . && python -m pytest --cov --cov-report=term-missing:skip-covered --cov-fail-under=90

# Parts that are there are kept (results/bench); FORCE=1 takes all of them again.
bench: .venv/ready
	@$(if $(FORCE),rm -rf results/bench)
	@coupling bench && coupling figures --only speed

lab: .venv/ready
	@jupyter lab --notebook-dir notebooks

# The lock is resolved with torch in sight, so that versions fit it, and leaves out torch and its GPU libraries.
lock:
	cd env && uv pip compile --upgrade --python-version 3.11 --universal --generate-hashes --no-annotate --no-header \
	  $$(grep -v '^#' gpu-libraries.txt | sed 's/^/--no-emit-package /') -o requirements.lock requirements.in

# Rebuilt only when the lock's content changed (its checksum is kept in .venv/ready), whatever its date.
.venv/ready: env/requirements.lock env/torch.txt
	@sum=$$(cat $^ | sha256sum); \
	if [ "$$sum" != "$$(cat $@ 2>/dev/null)" ]; then \
	  rm -rf .venv && $(PYTHON) -m venv .venv && \
	  pip install --quiet --disable-pip-version-check $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) -r env/torch.txt && \
	  pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r env/requirements.lock && \
	  pip install --quiet --disable-pip-version-check --no-deps -e . && \
	  echo "$$sum" > $@; \
	else touch $@; fi

clean:
	rm -rf .venv results
