# make demo · make test · make test-long · make coverage · make check · make bench · make docs: each sets up .venv first
# if it is missing or older than its inputs.
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3)
VENV := .venv
READY := $(VENV)/.ready

# make test-long: what takes too long for every change (simulations, kill and fuzz tests at full count).
.PHONY: demo test test-long coverage check bench docs clean

demo: $(READY)
	$(VENV)/bin/orbit-lite demo

test: $(READY)
	OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

test-long: $(READY)
	OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest -n auto --dist worksteal -m long

# Slower than make test. What a killed process ran is not counted.
coverage: $(READY)
	OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest -n auto --dist loadfile --no-loadscope-reorder --cov --cov-report=
	@echo "Lines that the tests ran, in percent:"
	@for package in data_prep eval groundwork orbit_lite; do \
	    echo "$$package $$($(VENV)/bin/coverage report --format=total --include="$$package/*")"; done
	@echo "The files with the smallest share:"
	@$(VENV)/bin/coverage report --sort=cover | sed -n 1,14p

check: $(READY)
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy

bench: $(READY)
	$(VENV)/bin/python -m benchmarks

docs: $(READY)
	$(VENV)/bin/python docs/build_api.py build/api

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@$(VENV)/bin/python -c "import cv2" || \
	    { echo "OpenCV does not load. On Debian or Ubuntu: apt-get install libgl1 libglib2.0-0; then make again."; exit 1; }
	touch $(READY)

clean:
	rm -rf $(VENV) demo build/api
