# Two commands for everybody: `make demo` and `make test`. The others are for those who work on the code.
PYTHON ?= python3
# Tests and bench run on the Python that the package runs on.
DEBIAN_PYTHON = /usr/bin/python3
.DELETE_ON_ERROR:
.PHONY: demo test part-faults part-devices part-stories part-page part-demo part-platform part-others test-long test-faults test-machine machine-image machine-stories test-powercut bench bench-peers bench-barcodes lint locales lock wheels wheel deb test-deb clean

PIP = bin/pip install --quiet --disable-pip-version-check

demo: .venv-run/ready
	@.venv-run/bin/cartwire demo

# Everything: the parts the tests run on, from Debian; the environment; lint, types, imports; all tests. These in
# parts, five at once, as each waits most of the time; the longest begin.
FAULTS = $(addprefix tests/test_,kills.py crash_images.py order.py mutants.py state_machine.py strikes.py links.py troubles.py)
DEVICES = $(addprefix tests/test_,ble.py camera.py cues.py decoder.py hid.py nfc.py nfc_codes.py nfc_restarts.py serialport.py)
STORIES = $(wildcard tests/test_story_*.py)
PAGE = $(wildcard tests/test_page_*.py)
DEMO = $(wildcard tests/test_demo*.py)
PLATFORM = $(wildcard $(addprefix tests/test_,line.py remote*.py renewal.py sandbox.py spec*.py tls.py uplink.py verify_platform.py))

test: .venv/ready lint
	@$(MAKE) --no-print-directory --keep-going --jobs 5 --output-sync=line \
	  part-faults part-platform part-page part-stories part-others part-devices part-demo

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

part-platform:
	.venv/bin/python -m pytest $(PLATFORM)

part-others:
	.venv/bin/python -m pytest $(addprefix --ignore=,$(FAULTS) $(DEVICES) $(STORIES) $(PAGE) $(DEMO) $(PLATFORM))

# The mutants and the state machine at length.
test-long: .venv/ready
	CARTWIRE_LONG=1 .venv/bin/python -m pytest -m "long or not long" --timeout 3600

# The fault bench at length: more than 2,000 kills, 10,000 crash images, bad links, bad servers, bad disks; two hours.
test-faults: .venv/ready
	CARTWIRE_FAULTS=1 CARTWIRE_KILLS=400 CARTWIRE_SCANS=100 CARTWIRE_IMAGES=400 \
	  .venv/bin/python -m pytest -s -m faults --timeout 3600

# A whole Debian machine in QEMU, with the package of this release: half an hour without KVM, on machines of two kinds
# at once. `test-powercut` cuts the power of one 20 times.
MACHINE = .venv/bin/python -m pytest -s --timeout 3600
APART = test_power.py test_install.py

test-machine: machine-image
	@$(MAKE) --no-print-directory --keep-going --jobs 2 \
	  machine-stories $(addprefix machine-,$(APART))

machine-image: .venv/ready deb
	./requirements/install-debian requirements/debian-machine.txt
	cd tests && ../.venv/bin/python -m machine.image

# What begins where all was well for the first time, one after the other.
machine-stories:
	$(MACHINE) tests/machine $(addprefix --ignore=tests/machine/,$(APART))

machine-%.py:
	$(MACHINE) tests/machine/$*.py

test-powercut: machine-image
	CARTWIRE_CUTS=20 $(MACHINE) tests/machine/test_power.py

# Ten minutes on a machine that does nothing else; the table and its plots are in dist/bench. BENCH="latency growth":
# these sections alone; BENCH=--quick: each in seconds, while the bench is worked on; BENCH=--markdown: the last table.
bench: .venv/ready
	cd tests && ../.venv/bin/python -m bench $(BENCH)

# The same work by ThingsBoard's gateway, in turn with ours.
bench-peers: .venv/ready .venv-peers/ready
	cd tests && ../.venv/bin/python -m bench $(BENCH) peer

.venv-peers/ready: requirements/bench-peers.txt
	$(DEBIAN_PYTHON) -m venv --clear .venv-peers
	.venv-peers/$(PIP) --require-hashes -r requirements/bench-peers.txt
	@touch $@

# FOLDER: photographs of codes, with a truth.csv (tests/bench/barcodes.py says of what form).
bench-barcodes: .venv/ready
	cd tests && ../.venv/bin/python -m bench.barcodes $(abspath $(FOLDER))

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
	uv pip compile -q pyproject.toml --extra all --constraint requirements/test.txt --universal --python-version 3.11 \
	  --generate-hashes --no-emit-index-url --no-header -o requirements/all.txt
	echo thingsboard-gateway==3.8.5 | uv pip compile -q - --universal --python-version 3.11 \
	  --generate-hashes --no-emit-index-url --no-header -o requirements/bench-peers.txt
	uv pip compile -q --group wheels --constraint requirements/test.txt --universal --python-version 3.11 \
	  --generate-hashes --no-emit-index-url --no-header -o requirements/build.txt

# A release, on Debian's own Python. `make wheels` fills dist/wheels, from which `make deb` makes the package; with
# `make deb WHEELS=DIR`, a copy of that folder, nothing is downloaded.
WHEELS = dist/wheels
FROM_WHEELS = $(if $(filter-out dist/wheels,$(WHEELS)),--no-index --find-links $(WHEELS))

.venv-build/ready: requirements/build.txt requirements/debian-deb.txt
	./requirements/install-debian requirements/debian-deb.txt
	$(DEBIAN_PYTHON) -m venv --clear .venv-build
	.venv-build/$(PIP) $(FROM_WHEELS) --require-hashes -r requirements/build.txt
	@touch $@

wheels: dist/wheels/built.sha256

dist/wheels/built.sha256: requirements/all.txt requirements/build.txt | .venv-build/ready
	@echo "Getting and building the wheels (a minute) …"
	.venv-build/bin/python release/wheels.py collect dist/wheels

%/built.sha256:
	@echo "make deb: WHEELS: $* has no built.sha256; let it be a copy of dist/wheels, which \`make wheels\` fills" >&2; exit 2

wheel: .venv-build/ready
	rm -f dist/cartwire-*.whl
	.venv-build/bin/python -m hatchling build --target wheel

deb: $(WHEELS)/built.sha256 wheel
	rm -f dist/cartwire_*
	release/changelog > debian/changelog
	DEB_RULES_REQUIRES_ROOT=no WHEELS=$(abspath $(WHEELS)) debian/rules clean binary

# The package on a Debian of its own, as root; ten minutes.
test-deb: .venv/ready wheels
	./requirements/install-debian requirements/debian-test-deb.txt
	.venv/bin/python -m pytest -v tests/deb

.venv-run/ready: requirements/run.txt pyproject.toml
	@echo "Making the environment for the demo (about half a minute, once) …"
	$(PYTHON) -m venv --clear .venv-run
	.venv-run/$(PIP) --require-hashes -r requirements/run.txt
	.venv-run/$(PIP) --no-deps --no-build-isolation -e .
	@touch $@

.venv/ready: requirements/test.txt requirements/debian.txt pyproject.toml
	./requirements/install-debian
	@echo "Making the environment for the tests (about a minute, once) …"
	$(DEBIAN_PYTHON) -m venv --clear .venv
	.venv/$(PIP) --require-hashes -r requirements/test.txt
	.venv/$(PIP) --no-deps --no-build-isolation -e .
	@touch $@

clean:
	rm -rf .venv .venv-run .venv-build .venv-peers dist debian/cartwire debian/.debhelper
