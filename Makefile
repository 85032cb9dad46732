# Two commands for everybody: `make demo` and `make test`. The others are for those who work on the code.
PYTHON ?= python3
.DELETE_ON_ERROR:
.PHONY: demo test part-faults part-devices part-stories part-page part-demo part-others test-long test-faults bench bench-barcodes lint locales lock clean

PIP = bin/pip install --quiet --disable-pip-version-check

demo: .venv-run/ready
	@.venv-run/bin/cartwire demo

# Everything: the parts the tests run on, from Debian; the environment; lint, types, imports; all tests. These in six
# parts at once, as each waits most of the time.
FAULTS = $(addprefix tests/test_,kills.py crash_images.py order.py mutants.py state_machine.py strikes.py links.py troubles.py)
DEVICES = $(addprefix tests/test_,ble.py camera.py cues.py decoder.py hid.py nfc.py nfc_codes.py nfc_restarts.py serialport.py)
STORIES = $(wildcard tests/test_story_*.py)
PAGE = $(wildcard tests/test_page_*.py)
DEMO = $(wildcard tests/test_demo*.py)

test: .venv/ready lint
	@$(MAKE) --no-print-directory --keep-going --jobs 6 --output-sync=line \
	  part-faults part-devices part-stories part-page part-demo part-others

part-faults:
	.venv/bin/python -m pytest $(FAULTS)

part-devices:
	.venv/bin/python -m pytest $(DEVICES)

part-stories:
	.venv/bin/python -m pytest $(STORIES)

part-page:
	.venv/bin/python -m pytest $(PAGE)

part-demo:
	.venv/bin/python -m pytest $(DEMO)

part-others:
	.venv/bin/python -m pytest $(addprefix --ignore=,$(FAULTS) $(DEVICES) $(STORIES) $(PAGE) $(DEMO))

# The mutants and the state machine at length.
test-long: .venv/ready
	CARTWIRE_LONG=1 .venv/bin/python -m pytest -m "long or not long" --timeout 3600

# The fault bench at length: more than 2,000 kills, 10,000 crash images, bad links, bad servers, bad disks; two hours.
test-faults: .venv/ready
	CARTWIRE_FAULTS=1 CARTWIRE_KILLS=400 CARTWIRE_SCANS=100 CARTWIRE_IMAGES=400 \
	  .venv/bin/python -m pytest -s -m faults --timeout 3600

bench: .venv/ready
	.venv/bin/python tests/bench.py
	.venv/bin/python tests/bench_drain.py

# FOLDER: photographs of codes, with a truth.csv (tests/bench_barcodes.py says of what form).
bench-barcodes: .venv/ready
	.venv/bin/python tests/bench_barcodes.py $(FOLDER)

lint: .venv/ready
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy
	.venv/bin/lint-imports

# What the pages say, in their languages: after a change of their scripts or of a .po file.
locales: .venv/ready
	.venv/bin/python tests/locales.py

# The locks name packages, versions and hashes, and no index.
lock:
	uv pip compile -q pyproject.toml --extra broker --group build --universal --python-version 3.11 \
	  --generate-hashes --no-emit-index-url --no-header -o requirements/run.txt
	uv pip compile -q pyproject.toml --extra all --group test --universal --python-version 3.11 \
	  --generate-hashes --no-emit-index-url --no-header -o requirements/test.txt

.venv-run/ready: requirements/run.txt pyproject.toml
	@echo "Making the environment for the demo (about half a minute, once) …"
	$(PYTHON) -m venv --clear .venv-run
	.venv-run/$(PIP) --require-hashes -r requirements/run.txt
	.venv-run/$(PIP) --no-deps --no-build-isolation -e .
	@touch $@

.venv/ready: requirements/test.txt requirements/debian.txt pyproject.toml
	./requirements/install-debian
	@echo "Making the environment for the tests (about a minute, once) …"
	$(PYTHON) -m venv --clear .venv
	.venv/$(PIP) --require-hashes -r requirements/test.txt
	.venv/$(PIP) --no-deps --no-build-isolation -e .
	@touch $@

clean:
	rm -rf .venv .venv-run
