# `make demo` and `make test` set up what they need, in .venv; see CONTRIBUTING.md.

PYTHON ?= python3
ifeq ($(OS),Windows_NT)
  BIN := Scripts
else
  BIN := bin
endif

.PHONY: demo test quick vespa browser slow nightly lowest lowest-train newest reference evaluate lock clean

demo: .venv/.demo
	.venv/$(BIN)/python examples/demo.py

test: .venv/.test
	.venv/$(BIN)/python -m pytest -n 2

# What a change touches most, without the checkers.
quick: .venv/.test
	.venv/$(BIN)/python -m pytest -n 2 tests/core tests/conformance

# Against Vespa's own Java: the peer in tests/vespa_peer, built once (Java 17, Maven).
vespa: .venv/.test
	.venv/$(BIN)/python -m pytest -n 2 -m "peer and not slow"

# The playground in headless Chromium, which Debian has: apt-get install chromium.
browser: .venv/.test
	.venv/$(BIN)/python -m pytest -m browser tests/browser

# What takes minutes: a minute of threads on every engine, older clients in environments of their own.
slow: .venv/.test
	.venv/$(BIN)/python -m pytest -m "slow and not peer"

# The properties with many more drawn examples.
nightly: .venv/.test
	M3KIT_HYPOTHESIS=nightly .venv/$(BIN)/python -m pytest -n 2 tests/core tests/conformance tests/qdrant tests/milvus

# Side by side with FlagEmbedding itself, in an environment of its own.
reference: .venv-reference/.reference
	.venv-reference/$(BIN)/python -m pytest -m reference tests/torch tests/flag tests/training

# The tests on the oldest dependencies that pyproject.toml allows.
lowest: .venv-lowest/.lowest
	.venv-lowest/$(BIN)/python -m pytest -n 2 --ignore tests/repository \
	  --ignore tests/langchain/test_milvus.py --ignore tests/milvus/test_others.py \
	  --ignore tests/training -k "not train"

# Training on its own oldest dependencies, which want newer packages than the oldest of the rest.
lowest-train: .venv-lowest-train/.lowest-train
	.venv-lowest-train/$(BIN)/python -m pytest tests/training --ignore tests/training/test_tiny_recipe.py

# The tests on the newest of everything, which no lock has: what will break next.
newest:
	$(PYTHON) -m venv .venv-newest
	.venv-newest/$(BIN)/python -m pip install --quiet --upgrade pip
	.venv-newest/$(BIN)/python -m pip install --quiet --upgrade --upgrade-strategy eager \
	  --editable ".[all,train,testing]" --group dev --group peers
	.venv-newest/$(BIN)/python -m pytest -n 2

evaluate: .venv/.test
	.venv/$(BIN)/python benchmarks/sample_corpus.py

# Every environment's lock anew, from the open bounds in pyproject.toml.
lock: .venv-lock/.lock
	.venv-lock/$(BIN)/python requirements/lock.py

# An environment is made of what its lock names, and made anew when that changes.
.venv/.demo: requirements/demo.txt
.venv/.test: requirements/test.txt
.venv-reference/.reference: requirements/reference.txt
.venv-lowest/.lowest: requirements/lowest.txt
.venv-lowest-train/.lowest-train: requirements/lowest-train.txt
.venv-lock/.lock: requirements/lock.txt

.venv/.demo .venv/.test .venv-reference/.reference .venv-lowest/.lowest .venv-lowest-train/.lowest-train .venv-lock/.lock: pyproject.toml requirements/install.py
	$(PYTHON) requirements/install.py $(subst .,,$(@F)) $(@D)

clean:
	rm -rf .venv .venv-reference .venv-lowest .venv-lowest-train .venv-newest .venv-lock demo-index .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
