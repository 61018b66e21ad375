# `make demo` and `make test` set up what they need, in .venv; see CONTRIBUTING.md.

PYTHON ?= python3
ifeq ($(OS),Windows_NT)
  BIN := .venv/Scripts
else
  BIN := .venv/bin
endif
READY := .venv/.ready

.PHONY: demo test quick vespa slow nightly lowest reference evaluate clean

demo: $(READY)
	$(BIN)/python examples/demo.py

test: $(READY)
	$(BIN)/python -m pytest -n 2

# What a change touches most, without the checkers.
quick: $(READY)
	$(BIN)/python -m pytest -n 2 tests/core tests/conformance

# Against Vespa's own Java: the peer in tests/vespa_peer, built once (Java 17, Maven).
vespa: $(READY)
	$(BIN)/python -m pytest -n 2 -m peer

# What takes minutes: a minute of threads on every engine, older clients in environments of their own.
slow: $(READY)
	$(BIN)/python -m pytest -m slow

# The properties with many more drawn examples.
nightly: $(READY)
	M3KIT_HYPOTHESIS=nightly $(BIN)/python -m pytest -n 2 tests/core tests/conformance tests/qdrant tests/milvus

# Side by side with FlagEmbedding itself, in an environment of its own.
reference: .venv-reference/.ready
	.venv-reference/bin/python -m pytest -m reference tests/torch tests/flag

# The tests on the oldest dependencies that pyproject.toml allows.
lowest: .venv-lowest/.ready
	.venv-lowest/bin/python -m pytest -n 2 --ignore tests/repository \
	  --ignore tests/langchain/test_milvus.py --ignore tests/milvus/test_others.py

evaluate: $(READY)
	$(BIN)/python benchmarks/sample_corpus.py

$(READY): pyproject.toml
	$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'm3kit needs Python 3.11 or later; say make PYTHON=python3.12')"
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --editable ".[all,testing]" --group dev --group peers
	$(BIN)/python -c "open('$(READY)', 'w').close()"

.venv-reference/.ready: pyproject.toml
	$(PYTHON) -m venv .venv-reference
	.venv-reference/bin/python -m pip install --quiet --upgrade "pip>=25.1"
	.venv-reference/bin/python -m pip install --quiet --editable ".[all,testing]" --group dev --group reference
	touch $@

.venv-lowest/.ready: pyproject.toml
	$(PYTHON) -m venv .venv-lowest
	.venv-lowest/bin/python -m pip install --quiet --upgrade "pip>=25.1"
	$(PYTHON) tests/repository/lowest.py > .venv-lowest/constraints.txt
	.venv-lowest/bin/python -m pip install --quiet --editable ".[all,testing]" --group dev --constraint .venv-lowest/constraints.txt
	touch $@

clean:
	rm -rf .venv .venv-reference .venv-lowest demo-index .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
