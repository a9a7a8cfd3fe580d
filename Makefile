# Two environments: .venv holds everything (lab and tests), .venv-demo the runtime alone, as a user installs it.
PYTHON ?= python3
BIN := .venv/bin
DATA ?=
OUTPUT ?= runs/default
RESULTS ?=
PEER ?=
MINUTES ?= 60
STEPS ?= now
# On a small machine threads of two test workers would only fight each other.
export OMP_NUM_THREADS ?= 1

CHROMIUM ?= chromium
.PHONY: help env demo test bench bench-lengths bench-steps soak results systems-page picture train-default clean

help:
	@echo "make demo                     a generated clip, its trace and the report (runtime alone, no torch)"
	@echo "make env                      .venv with the lab and the tests, at the versions of constraints.txt"
	@echo "make test [DATA=DIR]          style, types, imports and tests; DATA adds the tests on real recordings"
	@echo "make bench [DATA=DIR] [PEER=PYTHON]   speed, stages, memory and size; PEER is an interpreter that has fer"
	@echo "make bench-lengths            memory and time over the length of a recording (hours)"
	@echo "make bench-steps STEPS='COMMIT=WHY ...'   the speed of earlier commits, in one run"
	@echo "make soak [MINUTES=60]        faults at random moments, hostile files, long tests, fuzzing: docs/reliability.md"
	@echo "make results DATA=DIR         every figure of docs/results.md, measured again (hours)"
	@echo "make systems-page             the tables of docs/systems.md; RESULTS='FILE ...', results.csv, fills in figures"
	@echo "make picture                  the README's picture of a report (needs Chromium)"
	@echo "make train-default DATA=DIR   train the default bundle again from the corpora"

env: .venv/.installed

.venv/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -q --disable-pip-version-check -c constraints.txt -e '.[train,test,opensmile]'
	@touch $@

# pip would compile 30 MB of tests and tools that nobody imports; Python compiles what it uses.
.venv-demo/.installed: pyproject.toml constraints.txt $(shell find src -type f -not -name '*.pyc')
	$(PYTHON) -m venv .venv-demo
	.venv-demo/bin/pip install -q --disable-pip-version-check --no-compile -c constraints.txt .
	@touch $@

demo: .venv-demo/.installed
	.venv-demo/bin/emotrace demo

test: env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -n 2 $(if $(DATA),'--data=$(DATA)') tests

bench: env .venv-demo/.installed
	env -u OMP_NUM_THREADS $(BIN)/python -m benchmarks.bench --runtime .venv-demo $(if $(DATA),--data '$(DATA)') \
		$(if $(PEER),--peer '$(PEER)')

bench-lengths: env .venv-demo/.installed
	env -u OMP_NUM_THREADS $(BIN)/python -m benchmarks.lengths --runtime .venv-demo --large-minutes 5 30 120

bench-steps: env .venv-demo/.installed
	env -u OMP_NUM_THREADS $(BIN)/python -m benchmarks.steps --runtime .venv-demo $(STEPS)

# The page is written also where the soak found something.
soak: env
	$(BIN)/pip install -q --disable-pip-version-check -c constraints.txt atheris || echo 'no fuzzing: atheris is not there'
	status=0; $(BIN)/python -m benchmarks.soak --minutes $(MINUTES) --report runs/soak.json || status=$$?; \
		$(BIN)/python -m benchmarks.reliability runs/soak.json && exit $$status

results: env
	@test -n '$(DATA)' || { echo 'make results needs DATA=DIR, the folder with ferplus, ravdess, nemo and emogator'; exit 2; }
	$(BIN)/python benchmarks/results.py --data '$(DATA)' --runs runs/results

systems-page: env
	$(BIN)/python -m benchmarks.systems $(if $(RESULTS),--results $(RESULTS))

picture: demo
	$(CHROMIUM) --headless --no-sandbox --hide-scrollbars --window-size=1400,1330 --virtual-time-budget=5000 \
		--screenshot=docs/images/report.png 'file://$(CURDIR)/emotrace-demo/demo.html'

train-default: env
	@test -n '$(DATA)' || { echo 'make train-default needs DATA=DIR, the folder with ferplus, ravdess and nemo'; exit 2; }
	env -u OMP_NUM_THREADS $(BIN)/emotrace train default --data '$(DATA)' --output '$(OUTPUT)'

clean:
	rm -rf .venv .venv-demo
