# Everything a fresh machine needs is set up by these targets: Python 3.11 or newer, with venv, is enough.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DEVREADY := $(VENV)/.ready-dev

.PHONY: demo test check format soak fuzz bench serve clean

demo: $(READY)
	@$(BIN)/gateway demo

# The pure modules by their own tests, every branch; then everything.
PURE := $(addprefix tests/,test_text.py test_phone.py test_worktime.py test_clocks.py test_words.py test_model.py \
	test_payouts.py roster/test_reading.py feeds test_sheets.py test_config.py test_settings.py test_hall.py test_tomlfile.py \
	test_templates.py)

# Compiled once: the tests start some hundreds of processes, which would each do it again where nothing may be kept.
test: $(DEVREADY)
	@$(BIN)/python -m compileall -q -j 0 gateway tests
	@$(BIN)/python -m pytest -q $(PURE) --cov=gateway --cov-config=tests/pure.coveragerc
	@$(BIN)/python -m pytest $(PYTEST)

check: $(DEVREADY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(MAKE) --no-print-directory test

format: $(DEVREADY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

soak: $(DEVREADY)
	$(BIN)/python -m tests.kill.soak $(SOAK)

# A million mutated frames per codec; the tests take ten thousand.
fuzz: $(DEVREADY)
	FUZZ=1000000 $(BIN)/python -m pytest tests/carriers/test_mutations.py tests/carriers/test_gsm_pdu.py -k mutat

bench: $(DEVREADY)
	$(BIN)/python -m benchmarks.outbox $(BENCH)

serve: $(READY)
	$(BIN)/gateway serve

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)

$(READY): $(VENV)/bin/python pyproject.toml constraints.txt
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	@touch $@

$(DEVREADY): $(READY)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage htmlcov
