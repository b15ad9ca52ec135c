# Two commands do everything on a fresh machine: `make demo` and `make test`.

PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
# Two more than there are processors: many tests wait for a link, a deadline or the end of a round.
PROCESSES := $(shell expr $$(nproc) + 2)
READY := $(VENV)/.ready

.PHONY: help venv demo test lint check docs board clean

help:
	@echo "make demo     the whole story on a small real example (a minute or two)"
	@echo "make test     the whole test suite"
	@echo "make lint     ruff, mypy, import contracts, dead code"
	@echo "make check    the same and the quick tests"
	@echo "make docs     the documentation site, in site/"
	@echo "make board    an emulated Raspberry Pi 4 (needs Debian's qemu-system-arm, mmdebstrap; see README)"
	@echo "make venv     only the environment, in $(VENV)"

venv: $(READY)

# The stamp is made last, so that an interrupted set-up is taken up again. Byte code is compiled once here instead
# of at every first import: tensorflow and torch would otherwise take a minute of the first demo.
$(READY): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "edgebench needs Python 3.11, 3.12 or 3.13: install one, or make PYTHON=/path/to/it"; exit 1; }
	@test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
		echo "making a virtual environment failed (Debian: apt install python3-venv)"; exit 1; }
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check uv
	$(VENV)/bin/uv pip install --quiet --python $(VENV)/bin/python --constraint constraints.txt --compile-bytecode --editable '.[dev]'
	@touch $@

demo: $(READY)
	$(VENV)/bin/edgebench demo

# Processes of one thread each; a file's tests share what they set up and stay together.
# In the order of the alphabet: xdist would leave the few long tests of the emulated board for the end, to one process.
test: $(READY)
	OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest --numprocesses $(PROCESSES) --dist loadfile --no-loadscope-reorder

lint: $(READY)
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports
	$(VENV)/bin/vulture

check: lint
	$(VENV)/bin/python -m pytest -q -m 'not slow and not board and not export'

docs: $(READY)
	$(VENV)/bin/uv pip install --quiet --python $(VENV)/bin/python --constraint constraints.txt --editable '.[docs]'
	$(VENV)/bin/sphinx-build --quiet --fail-on-warning --builder html docs site

board: $(READY)
	$(VENV)/bin/edgebench targets emulate rpi4

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis site
