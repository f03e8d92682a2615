# One line a target; CI calls the same ones. `make help` prints them.
SHELL := /bin/sh
PYTHON ?= python3
export PYTHONSAFEPATH := 1
.DEFAULT_GOAL := help
LABELS ?= ../shared/data/xstest_labelled
.PHONY: help setup demo test lint types arrows up bench train-judge lock sbom pin-images check-families

help:     ## print this
	@grep -E '^[a-z%-]+: .*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 12

setup:    ## make .venv from the committed lock
	@$(PYTHON) tools/bootstrap.py

demo: setup    ## the whole story on a real model (FAKE=1 adds a repair that cheats)
	@PYTHONPATH=examples TQDM_DISABLE=1 .venv/bin/python -m demo $(if $(FAKE),--fake)

test: setup    ## every test, against real Redis, PostgreSQL, processes and tiny real models (T=path)
	@.venv/bin/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder $(T)

lint: setup    ## ruff, format included, and no dead code
	@.venv/bin/ruff check . && .venv/bin/ruff format --check . && .venv/bin/python -m tools.dead

types: setup    ## mypy --strict on the four packages
	@.venv/bin/mypy

arrows: setup    ## who may import whom
	@.venv/bin/lint-imports

up: setup    ## the embedded stack: Redis, SQLite, API, worker, sweeper
	@.venv/bin/holdfast up

check-families: setup    ## tiny families and whole folders on both engines, resumable; writes docs/models.md (F="llama mamba")
	@.venv/bin/python -m benchmarks.families $(F)
	@.venv/bin/python -m benchmarks.families.check_quantised
	@.venv/bin/python -m benchmarks.families.check_pairs

bench-%: setup    ## one benchmark: bench-merge, bench-judge, bench-error-rates, bench-demo, bench-tiers, bench-start, bench-auto, bench-api, bench-fuzz (MINUTES=20), bench-storm (MINUTES=10)
	@.venv/bin/python -m benchmarks.$(subst -,_,$*)

bench: bench-merge bench-throughput bench-judge    ## the short benchmarks

train-judge: setup    ## the refusal judge's weights and error rates, from published labels (LABELS=folder)
	@.venv/bin/python -m tools.refusal_judge $(LABELS)

lock:     ## resolve pyproject.toml into locks/, with the hash of every file (docs/supply.md)
	@PYTHONPATH=. $(PYTHON) -m tools.locks

sbom: setup    ## dist/*.cdx.json: what each lock holds, as CycloneDX 1.6
	@$(PYTHON) tools/bootstrap.py sbom && .tools/sbom/bin/python tools/sbom.py

pin-images:    ## write today's digest behind every image in Dockerfile and docker-compose.yml
	@$(PYTHON) tools/images.py
