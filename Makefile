# Each target sets up what it needs; nothing but Python 3.11+ and make is assumed.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
ONCE ?=
N ?= 200
KILLS ?= 10
SEED ?= 1
PIECE ?= 1000
MINUTES ?= 8
TIMES ?= 20
COUNT ?= 20000
REQUESTS ?= 20000
SLOW ?= 500
CARDS ?= 10000
SHOPPERS ?= 1000
CHANGES ?= 1000
# What the images hold.
SHIPPED := app sandbox migrations worker.py
# In a folder of its own: pytest gives its usual one, servers and all, back to itself alone whenever
# another run begins.
SUITE := $(BIN)/python -m pytest -p tests.scheduling -n 3 --dist loadscope --no-loadscope-reorder \
	--basetemp=.tillflow/test

.PHONY: run test chaos crashes bench mutations alterations slow testers fuzz sweep traffic check audit sbom lock picture guide clean help
.DEFAULT_GOAL := help

help:  ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-11s %s\n", $$1, $$2}'

$(READY): requirements.lock pyproject.toml
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Tillflow needs Python 3.11 or newer; say which: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	"$(PYTHON)" -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

run: $(READY)  ## start everything on this machine and place a sample order (ONCE=1: exit when it is fulfilled)
	$(BIN)/tillflow run $(if $(filter 1,$(ONCE)),--once)

test: $(READY)  ## the whole suite, on real parts
	@mkdir -p .tillflow
	$(SUITE)

chaos: $(READY)  ## break everything under load: N payments, KILLS, SEED; a fresh stack for each PIECE, MINUTES of load at most
	$(BIN)/python -m chaos --payments $(N) --kills $(KILLS) --seed $(SEED) --piece $(PIECE) --minutes $(MINUTES)

crashes: $(READY)  ## kill workers at every boundary of the activities of eleven stories, TIMES each
	$(BIN)/python -m chaos.crashes --times $(TIMES)

bench: $(READY)  ## what callbacks wait for their answer, with Temporal and without it
	$(BIN)/python -m bench

mutations: $(READY)  ## send COUNT callbacks that were changed on their way, by SEED: none may be believed
	$(BIN)/python -m tests.doors.mutate --count $(COUNT) --seed $(SEED)

fuzz: $(READY)  ## ask a running API at least REQUESTS times what its description allows and what it forbids, by SEED
	$(BIN)/python -m fuzz --requests $(REQUESTS) --seed $(SEED)

slow: $(READY)  ## what a healthy client waits beside SLOW slow ones: at most twice as long
	$(BIN)/python -m tests.doors.slow_clients --slow $(SLOW)

testers: $(READY)  ## a bot with CARDS stolen cards, beside SHOPPERS who buy: who gets to the gateway
	$(BIN)/python -m tests.doors.card_testing --cards $(CARDS) --shoppers $(SHOPPERS)

alterations: $(READY)  ## change one byte of the audit trail, CHANGES times, by SEED: each must be found
	$(BIN)/python -m tests.db.alter --count $(CHANGES) --seed $(SEED)

sweep: $(READY)  ## send cards in every way there is, and look for them in all that is kept, said or in memory
	$(BIN)/python -m tests.sweep

traffic: $(READY)  ## the suite again, its traffic with the gateway recorded and judged
	@mkdir -p .tillflow && rm -f .tillflow/traffic.jsonl
	SANDBOX_RECORD="$(CURDIR)/.tillflow/traffic.jsonl" $(SUITE)
	$(BIN)/python -m tests.sandbox.judge .tillflow/traffic.jsonl

check: $(READY)  ## lint, types, import floors, lock file, insecure code, known vulnerabilities
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	@mkdir -p .tillflow
	$(BIN)/bandit --quiet --recursive $(SHIPPED) 2> .tillflow/bandit.log || { cat .tillflow/bandit.log; exit 1; }
	$(BIN)/python -m tests.lockfile
	$(BIN)/python -m tests.audit || [ $$? -eq 2 ]

audit: $(READY)  ## known vulnerabilities alone; fails where nobody can be asked, too
	$(BIN)/python -m tests.audit

sbom: $(READY)  ## what the image is made of, as CycloneDX, in tillflow.cdx.json
	$(BIN)/python -m tests.sbom tillflow.cdx.json

lock: $(READY)  ## pin every dependency again, with hashes
	$(BIN)/python -m tests.lockfile --write

picture: $(READY)  ## draw the states in docs/payment.md again
	$(BIN)/python -m tests.picture --write

guide: $(READY)  ## run the requests in docs/api.md and the README, and write down their answers
	$(BIN)/python -m tests.walk.guide --write

clean:  ## remove the environment and the embedded stack's data
	rm -rf $(VENV) .tillflow
