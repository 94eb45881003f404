# make run   shows the whole line at work: make run ARGS="--for 30s --outage 10s"
# make test  installs what the tests need and runs them all
# make lint  ruff and mypy        make long   the long fault runs
# make all   what CI runs         make bench  speed, into benchmarks/result.json
# make deb   dist/zerobus-collector_VERSION_amd64.deb; make deb ARCH=arm64 for a Raspberry Pi
# make sbom  dist/zerobus-collector.cdx.json: what the package brings along, as CycloneDX
# make bench-http  the station over HTTP against a service that keeps nothing; apt-get install wrk
# make backlog  what ten million records cost: make backlog ARGS="--records 100000"

PYTHON ?= python3
# Most tests wait for processes: two at a time, a file each, take half of the time.
WORKERS ?= 2
ARCH ?= amd64
BIN := .venv/bin
# Debian keeps mosquitto where the PATH of a plain user doesn't look.
export PATH := $(PATH):/usr/local/sbin:/usr/sbin

.PHONY: all run test lint bench bench-mapping bench-http backlog long deb sbom clean
.DEFAULT_GOAL := all

all: lint test

run: .venv/demo
	@$(BIN)/collector demo $(ARGS)

test: .venv/dev mosquitto
	$(BIN)/pytest -m "not long" -n $(WORKERS) --dist loadfile $(ARGS)

long: .venv/dev mosquitto
	$(BIN)/pytest -m long $(ARGS)

lint: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: .venv/dev mosquitto
	@command -v cc >/dev/null || { echo "a C compiler is needed: apt-get install gcc" >&2; exit 1; }
	$(BIN)/python benchmarks/run.py $(ARGS) > benchmarks/result.new
	mv benchmarks/result.new benchmarks/result.json
	cat benchmarks/result.json

bench-mapping: .venv/dev
	$(BIN)/python benchmarks/mapping.py $(ARGS)

bench-http: .venv/dev mosquitto
	@command -v wrk >/dev/null || { echo "wrk is needed: apt-get install wrk" >&2; exit 1; }
	$(BIN)/python benchmarks/over_http.py $(ARGS)

backlog: .venv/dev
	$(BIN)/python benchmarks/backlog.py $(ARGS)

deb: .venv/package
	packaging/build $(ARCH)

sbom: deb
	$(BIN)/cyclonedx-py environment --output-reproducible --output-file dist/zerobus-collector.cdx.json \
		build/deb-$(ARCH)/opt/collector/bin/python3

clean:
	rm -rf .venv build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache

# The code is used where it lies, so that only a change of what is installed installs anew.
.venv/demo .venv/dev .venv/package: .venv/%: pyproject.toml | $(BIN)/pip
	$(BIN)/pip install --quiet --editable '.[$*]'
	@touch $@

$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or newer is needed: make PYTHON=python3.12 ..." >&2; exit 1; }
	$(PYTHON) -m venv .venv

# Tests of the real thing need a real broker, openssl for its certificates, a systemd to boot with the
# kill by which it reloads, promtool, strace to see what is started, a browser for the page, and curl
# for the calls of scripts.
.PHONY: mosquitto
mosquitto:
	@[ "$$(id -u)" = 0 ] && sudo= || sudo=sudo; \
	set -- ; \
	command -v mosquitto >/dev/null || set -- "$$@" mosquitto; \
	command -v mosquitto_pub >/dev/null || set -- "$$@" mosquitto-clients; \
	command -v openssl >/dev/null || set -- "$$@" openssl; \
	command -v debootstrap >/dev/null || set -- "$$@" debootstrap; \
	command -v systemd-analyze >/dev/null || set -- "$$@" systemd; \
	command -v promtool >/dev/null || set -- "$$@" prometheus; \
	[ -x /bin/kill ] || set -- "$$@" procps; \
	command -v strace >/dev/null || set -- "$$@" strace; \
	command -v chromium >/dev/null || set -- "$$@" chromium; \
	command -v curl >/dev/null || set -- "$$@" curl; \
	[ $$# = 0 ] || { $$sudo apt-get update \
		&& $$sudo apt-get install --yes --no-install-recommends "$$@"; }
