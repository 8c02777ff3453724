# The two commands: `make evaluate` and `make test`. `make help` lists the rest.
# Everything is installed into .venv, once: the stamp files below say what is there, so a second call installs nothing.

VENV ?= .venv
PY := $(VENV)/bin/python
# cpu or default. Remembered in the environment, so that it is said once.
TORCH ?= $(shell cat $(VENV)/torch-build 2>/dev/null || echo default)
# yes: the exact versions of the lock files. no: the newest that the ranges of requirements.txt allow. Remembered, too.
LOCK ?= $(shell cat $(VENV)/lock 2>/dev/null || echo yes)
# Processes of the tests; 0 runs them in one. Empty: 3 for the product's, of which a quarter of the time is spent waiting, else 2.
WORKERS ?=
# Further options, for local_evaluation.py or pytest.
ARGS ?=

# The environment that builds the documentation site.
DOCS := build/docs
CPU_INDEX := https://download.pytorch.org/whl/cpu
NEEDED := $(if $(filter yes,$(LOCK)),requirements.lock,requirements.txt)
PIP := $(PY) -m pip install --disable-pip-version-check --quiet --progress-bar off
# pip is silent while it works, for minutes where the download is large; this says every 15 s that it goes on. sleep keeps no
# descriptor of ours, so that a pipe behind make ends when make does.
define install
@( seconds=0; while sleep 15 >/dev/null 2>&1; do seconds=$$((seconds + 15)); echo "... still installing, $$seconds s so far"; done ) & \
  beat=$$!; $(PIP) $(1); status=$$?; kill $$beat 2>/dev/null; exit $$status
endef

# Tests of benchmarks/ and experiments/ are not tests of the product; what repeats one thing for long is left to make test-all.
PRODUCT := --ignore=tests/benchmarks --ignore=tests/experiments -m "not endurance"
# One thread per process: the tests start processes of their own, and their clocks should not wait for each other.
# Where coverage is asked for: Python 3.12 brought a way to count lines that costs far less, before it there is only the old way.
PYTEST = OMP_NUM_THREADS=1 COVERAGE_CORE=$$($(PY) -c 'import sys; print("sysmon" if sys.version_info >= (3, 12) else "ctrace")') \
  $(PY) -m pytest -n $(or $(WORKERS),$(AT_ONCE),2) --dist loadfile --no-loadscope-reorder

.PHONY: help evaluate debug validate test test-all fresh coverage durations attacks lint format data card picture docs docs-serve lock clean \
  environment development agree
.DEFAULT_GOAL := help

help:
	@echo "make evaluate      set up, make the data, judge my_submission over the five pairs, write results/"
	@echo "make test          set up, run the tests of the product"
	@echo "make test-all      all tests, endurance tests and those of benchmarks/ and experiments/ too, and make fresh"
	@echo "make lint          ruff (rules and format) and mypy (types)"
	@echo "make format        let ruff lay out the code and mend what it can"
	@echo "make fresh         are the committed pages of results those that their cells give?"
	@echo "make coverage      the tests of the product, and a table of the lines that they run"
	@echo "make durations     write tests/durations.txt, the 30 longest tests, from the times of the last make test-all"
	@echo "make attacks       run the suite of attacks on every isolation tier that works here, write docs/attacks.md"
	@echo "make debug         the whole flow on a handful of images, within a minute"
	@echo "make validate      is my_submission fit to submit? everything that is wrong, at once"
	@echo "make data          make the data of the profile quick, where it is not there"
	@echo "make card          write data/README.md with counts, frequencies and contact sheets"
	@echo "make picture       draw the newest result into docs/images/result.svg; ARGS=--again draws the same run anew"
	@echo "make docs          build the documentation site into build/site/html, and check its links"
	@echo "make docs-serve    the same, then show it at http://127.0.0.1:8000"
	@echo "make lock          write the lock files anew from requirements.txt and requirements-dev.txt"
	@echo "make clean         remove the environment and caches; data/ and results/ stay"
	@echo
	@echo "TORCH=cpu          take torch's CPU build from PyTorch's own index: a far smaller download, no CUDA"
	@echo "LOCK=no            take the newest versions that the ranges allow, not those of the lock files"
	@echo "PYTHON=python3.12  make the environment with this interpreter"
	@echo "ARGS=\"--seeds 3\"   further options for local_evaluation.py, or for pytest"
	@echo "WORKERS=0          run the tests in one process (default: 3 for test, else 2)"

evaluate: environment
	$(PY) local_evaluation.py $(ARGS)

debug: environment
	$(PY) local_evaluation.py --profile debug --fresh $(ARGS)

validate: environment
	$(PY) -m evaluator validate $(if $(ARGS),$(ARGS),my_submission)

test: AT_ONCE := 3
test: development
	$(PYTEST) $(PRODUCT) $(ARGS)

test-all: development
	$(PYTEST) --junitxml=build/tests.xml $(ARGS)
	@$(MAKE) --no-print-directory fresh

# A page that is out of date is no fault of the product, so this is a check of its own; it says which command writes the page anew.
fresh: development
	$(PY) -m experiments --check

coverage: development
	$(PYTEST) $(PRODUCT) --cov --cov-report=term $(ARGS)

durations: development
	$(PY) -m tests.durations build/tests.xml

attacks: development
	OMP_NUM_THREADS=1 $(PY) -m tests.hostile --table docs/attacks.md $(ARGS)

lint: development
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

format: development
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

data: | environment
	@test -e data/quick || $(PY) -m evaluator data make --profile quick

card: data
	$(PY) -m evaluator data card data/quick

picture: environment
	$(PY) -m docs.make_picture $(ARGS)

# The site is built in an environment of its own: it needs no torch, and the kit nothing of it.
docs: $(DOCS)/.installed
	$(DOCS)/bin/python -m docs.make_site

docs-serve: docs
	$(DOCS)/bin/python -m http.server --bind 127.0.0.1 --directory build/site/html 8000

$(DOCS)/.installed: requirements-docs.txt | $(PY)
	@echo "installing what builds the documentation site into $(DOCS), once."
	@$(PY) -m venv --clear $(DOCS)
	@$(DOCS)/bin/python -m pip install --disable-pip-version-check --quiet --progress-bar off --only-binary :all: -r $<
	@touch $@

# -- environment -----------------------------------------------------------------------------------------------------------

# Another build of torch cannot be laid over the one that is there; another set of versions can.
environment: agree $(VENV)/.installed-$(LOCK)
development: agree $(VENV)/.installed-$(LOCK)-dev

agree:
	@case "$(TORCH)" in cpu|default) ;; *) echo "error: TORCH=$(TORCH); write TORCH=cpu, or leave it out"; exit 1;; esac
	@case "$(LOCK)" in yes|no) ;; *) echo "error: LOCK=$(LOCK); write LOCK=no, or leave it out"; exit 1;; esac
	@if [ -e $(VENV)/torch-build ] && [ "$$(cat $(VENV)/torch-build)" != "$(TORCH)" ]; then \
	  echo "error: $(VENV) holds the $$(cat $(VENV)/torch-build) build of torch, not $(TORCH); run make clean first"; exit 1; \
	fi

$(PY):
	@for python in $(or $(PYTHON),python3.13 python3.12 python3.11 python3); do \
	  if $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then found=$$python; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
	  echo "error: no Python of 3.11 or newer was found (tried: $(or $(PYTHON),python3.13 python3.12 python3.11 python3))."; \
	  echo "Install one, or name it: make evaluate PYTHON=/path/to/python3.12"; exit 1; \
	fi; \
	if ! $$found -c 'import venv, ensurepip' 2>/dev/null; then \
	  echo "error: $$found cannot make an environment, its parts venv and ensurepip are missing."; \
	  echo "On Debian and Ubuntu: apt-get install python3-venv"; exit 1; \
	fi; \
	echo "environment: $(VENV), made with $$($$found --version)"; \
	$$found -m venv --clear $(VENV)

# With TORCH=cpu torch comes first and alone, from the one index that has CPU builds. Its version (2.15.0+cpu) then meets the
# requirement (2.15.0), so the second step leaves it as it is; the CUDA packages of the lock file are left out.
$(VENV)/.installed-$(LOCK): requirements.txt requirements.lock | agree $(PY)
	@rm -f $(VENV)/.installed-*
ifeq ($(TORCH),cpu)
	@echo "installing into $(VENV), once: torch without CUDA, and what $(NEEDED) names. This takes minutes."
	$(call install,--no-deps --index-url $(CPU_INDEX) $$(grep -E '^(torch|torchvision)[=<>!]' $(NEEDED)))
	@grep -vE '^(nvidia-|cuda-|triton=)' $(NEEDED) > $(VENV)/needed.txt
	$(call install,-r $(VENV)/needed.txt)
else
	@echo "installing into $(VENV), once: about 2.6 GB to download, nearly all of it CUDA. This takes minutes."
	@echo "Without an NVIDIA GPU: press Ctrl-C, then make clean, and add TORCH=cpu to your command; that is far smaller."
	$(call install,-r $(NEEDED))
endif
	@echo "installed."
	@echo $(TORCH) > $(VENV)/torch-build
	@echo $(LOCK) > $(VENV)/lock
	@touch $@

# What both lists hold is there by now, so this adds the tools alone; the CUDA packages must not come back with them.
$(VENV)/.installed-$(LOCK)-dev: requirements-dev.txt requirements-dev.lock $(VENV)/.installed-$(LOCK)
	@echo "installing the tools of the tests into $(VENV), once."
ifeq ($(LOCK),yes)
	@grep -vE '^(nvidia-|cuda-|triton=)' requirements-dev.lock > $(VENV)/needed-dev.txt
	$(call install,-r $(VENV)/needed-dev.txt)
else
	$(call install,-r requirements-dev.txt)
endif
	@touch $@

lock: | $(PY)
	$(PY) -m venv build/lock
	build/lock/bin/python -m pip install --disable-pip-version-check --quiet uv
	build/lock/bin/uv pip compile --quiet --universal --upgrade --python-version 3.11 --no-annotate \
	  --custom-compile-command "make lock" requirements.txt -o requirements.lock
	build/lock/bin/uv pip compile --quiet --universal --upgrade --python-version 3.11 --no-annotate \
	  --custom-compile-command "make lock" -c requirements.lock requirements.txt requirements-dev.txt -o requirements-dev.lock

clean:
	rm -rf $(VENV) build .pytest_cache .ruff_cache .mypy_cache .hypothesis data/.cache
	find . -name __pycache__ -type d -not -path './data/*' -prune -exec rm -rf {} +
