# The whole house by one word each; `make help` lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
SAMPLES := $(VENV)/samples
CONFIG ?= config.toml
PORT ?= 8080
KILLS ?= 1000
CUTS ?= 100
CONTRACT ?= guide
SEED ?= 1
WORKERS ?= 6
MINUTES ?= 30
SECONDS ?= 30
RATE ?= 1000
PARTS ?= looks overhead push commands scale footprint beyond
MONEY := bot/domain/*,storage/ledger.py,bot/services/ordering.py
PYTEST := $(BIN)/python -m pytest

# Where the environment forbids Python to keep what it compiled, every worker and every desk of a test would compile all
# anew: a minute of the processor's time.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help install demo tour run test coverage covered prove crash mutants powercut bench bench-smoke lint format docs sbom soak flood standby screenshots lock clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-11s %s\n", $$1, $$2}'

install: $(STAMP) ## Make .venv with everything pinned by hash (does nothing when nothing changed)

$(STAMP): requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "otpdesk needs Python 3.11 or newer; say which with: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing the pinned packages into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --no-input --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@$(BIN)/python -m pip install --quiet --no-input --disable-pip-version-check --no-build-isolation --no-deps --editable .
	@# The vendor's recorded answers, for the tests that decode them; without a network those tests have nothing to read.
	@-$(BIN)/python -m pip download --quiet --no-input --disable-pip-version-check --no-deps --no-binary :all: \
		--no-build-isolation --dest $(SAMPLES) "$$(grep -o '^smscode==[0-9.]*' requirements/run.txt)" 2>/dev/null
	@touch $(STAMP)

demo: install ## The whole desk on loopback, in a browser at PORT=8080, without any account
	@$(BIN)/otpdesk demo --port $(PORT)

tour: install ## The same desk, played as a story in the terminal
	@$(BIN)/otpdesk demo --tour

run: install ## Run the bot with CONFIG=config.toml
	@$(BIN)/otpdesk run --config $(CONFIG)

test: install ## Everything that proves it
	@$(PYTEST) -n $(WORKERS) $(FLAGS)

coverage: ## The same, and what it reaches; fails under 95 %, and as "covered" does
	@$(MAKE) --no-print-directory test FLAGS="--cov --cov-branch --cov-report=term $(FLAGS)"
	@$(MAKE) --no-print-directory covered

covered: ## After coverage: fail unless every line and branch of what decides about money was reached
	@$(BIN)/coverage report --include="$(MONEY)" --fail-under=100

prove: install ## The books against ten times as many made-up histories
	@OTPDESK_EXAMPLES=2000 OTPDESK_STEPS=50 $(PYTEST) -q tests/storage -k TestBooks \
		&& outcome=passed || outcome=FAILED; \
		echo "books proof $$outcome: 2,000 histories of up to 50 steps against a plain model"; test $$outcome = passed

crash: install ## Kill the desk KILLS=1000 times and look for what was lost
	@$(BIN)/python -m tests.faults.crash --kills $(KILLS) --seed $(SEED) --contract $(CONTRACT)

mutants: install ## Change the code that handles money, bit by bit, and see if any test notices; TARGET="a.py b.py" for some
	@$(BIN)/python -m tests.mutants $(if $(SAMPLE),--sample $(SAMPLE)) --seed $(SEED) $(TARGET:%=--target %)

powercut: install ## Cut the power CUTS=100 times and look for acknowledged rows that are gone
	@$(BIN)/python -m tests.faults.power --cuts $(CUTS) --seed $(SEED)

bench: install ## Measure speed, growth and footprint beside what else one would use; PARTS="scale looks" for some
	@failed=0; for part in $(PARTS); do $(BIN)/python -m benchmarks.$$part || failed=1; done; exit $$failed

bench-smoke: install ## Count requests, commits and memory: what got dearer fails, however busy the machine is
	@$(BIN)/python -m benchmarks.smoke

lint: install ## ruff, mypy strict, import-linter
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

format: install ## Let ruff mend what it can
	@$(BIN)/ruff check --fix-only .
	@$(BIN)/ruff format .

docs: install ## Write docs/commands.md anew from the table of commands, and docs/licences.md from the lock file
	@$(BIN)/python -m tests.house.commands_page
	@$(BIN)/python -m tests.house.bill --page

sbom: install ## Write the bill of materials, dist/otpdesk.cdx.json (CycloneDX)
	@$(BIN)/python -m tests.house.bill

soak: install ## Keep the desk busy for MINUTES=30 at 10 commands a second, and look for whatever grows
	@$(BIN)/python -m tests.faults.soak --minutes $(MINUTES)

flood: install ## RATE=1000 messages a second of strangers for SECONDS=30, and how long members wait meanwhile
	@$(BIN)/python -m tests.faults.flood --seconds $(SECONDS) --rate $(RATE)

standby: install ## Lose one of two machines that share a lease, with the real etcd and Litestream (both must be installed)
	@$(BIN)/python -m tests.faults.standby

screenshots: install ## Take the pictures in docs/images from the running demo (needs chromium and fonts)
	@$(BIN)/python -m tests.sandbox.screenshots
	@$(BIN)/python -m tests.sandbox.walk

lock: install ## Pin every package anew, by hash and without addresses
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-strip-extras --no-emit-index-url \
		--no-emit-find-links --custom-compile-command "make lock" pyproject.toml -o requirements/run.txt
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-strip-extras --no-emit-index-url \
		--no-emit-find-links --custom-compile-command "make lock" pyproject.toml --group dev -c requirements/run.txt \
		-o requirements/dev.txt
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-strip-extras --no-emit-index-url \
		--no-emit-find-links --custom-compile-command "make lock" --group build -c requirements/dev.txt \
		-o requirements/build.txt

clean: ## Remove what was built or cached
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage .coverage.* htmlcov dist build *.egg-info
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
