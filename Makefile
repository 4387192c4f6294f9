# Every target does all its own set-up: Python 3.10 or newer (with venv) and make are enough to begin with.
#
#   make demo        one request through every door, against our own server
#   make test        the test suite
#   make check       formatting, lint, strict types of the installed package
#   make test-peers  tests against nginx, chromium, websockets, …; fails when one of them is not installed
#   make conformance the originals' own test suites on the adapters (fetches some of them), all of Autobahn's cases
#   make bench       the benchmarks (ARGS="--quick --only small_get" passes arguments)
#   make docs        checks the documentation: links, commands, examples, the names it promises
#   make clean       remove environments, caches and builds

PYTHON ?= python3
VENV   := .venv
CHECK  := .venv-check
NIQ    := .venv-niquests
PEERS  := .venv-peers
BIN    := $(VENV)/bin
ARGS   ?=

# What makes an environment stale. The package itself is linked, not copied, into $(VENV).
RECIPE := pyproject.toml engine/version.py

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DELETE_ON_ERROR:
.PHONY: help demo test test-peers conformance conformance-suites check bench docs clean

help:
	@sed -n 's/^#   //p' Makefile

demo: $(VENV)/.demo
	$(BIN)/python examples/demo.py $(ARGS)

test: $(VENV)/.test
	$(BIN)/python -m pytest -m "not peers" $(ARGS)

test-peers: $(VENV)/.test $(PEERS)/.peers
	$(BIN)/python -m pytest -m peers $(ARGS)

conformance: conformance-suites
	$(BIN)/python -m conformance.websocket_autobahn

# A run of all suites writes its figures into docs/compatibility.md; ARGS="responses --modes install" is one of some.
conformance-suites: $(VENV)/.test
	$(BIN)/python -m conformance $(or $(ARGS),--write)

bench: $(VENV)/.bench $(NIQ)/.bench $(PEERS)/.bench
	$(BIN)/python -m bench.run $(ARGS)

# Types are checked on what a user gets: the package is built and installed, without the network, into an environment
# whose tools were fetched once. Errors are shown with the paths of the source tree.
check: $(CHECK)/.tools
	$(CHECK)/bin/ruff format --check .
	$(CHECK)/bin/ruff check .
	@rm -rf build
	$(CHECK)/bin/python -m pip install --quiet --no-deps --no-build-isolation --no-index --force-reinstall .
	@rm -rf build
	@echo "mypy --strict drivetrain.engine drivetrain.compat"
	@$(CHECK)/bin/mypy -p drivetrain.engine -p drivetrain.compat > $(CHECK)/types.txt; status=$$?; \
	    sed 's#^.*/site-packages/drivetrain/##' $(CHECK)/types.txt; exit $$status

# The documentation is plain Markdown: what can be checked of it is its links, its commands and the names it promises.
docs: $(VENV)/.test
	$(BIN)/python -m pytest tests/house/test_docs.py tests/house/test_lua_names.py tests/test_readme.py tests/test_websockets_page.py \
	    $(ARGS)

clean:
	rm -rf .venv .venv-check .venv-niquests .venv-peers build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# --- environments ----------------------------------------------------------------------------------------------------

define new_venv
@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
    { echo "drivetrain needs Python 3.10 or newer; set PYTHON=... to choose one" >&2; exit 1; }
@rm -rf $(1)
@$(PYTHON) -m venv $(1) || { echo "could not make $(1): is python3-venv installed?" >&2; exit 1; }
endef

$(VENV)/.runtime: $(RECIPE)
	$(call new_venv,$(VENV))
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(VENV)/.demo: $(VENV)/.runtime
	$(BIN)/python -m pip install --quiet --editable '.[demo]'
	@touch $@

$(VENV)/.test: $(VENV)/.runtime
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	@touch $@

$(VENV)/.bench: $(VENV)/.runtime
	$(BIN)/python -m pip install --quiet --editable '.[bench]'
	@touch $@

# Its urllib3-future replaces urllib3 in the environment it is installed into, so it gets one of its own.
$(NIQ)/.bench: pyproject.toml
	$(call new_venv,$(NIQ))
	$(NIQ)/bin/python -m pip install --quiet 'niquests>=3.14'
	@touch $@

# The libraries that the engine is tested against in processes of their own.
$(PEERS)/.peers: $(RECIPE)
	$(call new_venv,$(PEERS))
	$(PEERS)/bin/python -m pip install --quiet --editable '.[peers]'
	@touch $@

$(PEERS)/.bench: $(PEERS)/.peers
	$(PEERS)/bin/python -m pip install --quiet --editable '.[bench-websockets]'
	@touch $@

$(CHECK)/.tools: $(RECIPE)
	$(call new_venv,$(CHECK))
	$(CHECK)/bin/python -m pip install --quiet 'setuptools>=77' '.[check]'
	@rm -rf build
	@touch $@
