# Needs only Python ≥ 3.11 and make; every target creates .venv if it is missing.
PYTHON ?= python3
TORCH_INDEX ?=
BIN := .venv/bin
PIP := $(BIN)/pip --disable-pip-version-check install --constraint constraints.txt
BENCH_PIP := .venv-bench/bin/pip --disable-pip-version-check install --constraint constraints.txt --constraint benchmarks/constraints.txt
# audiomentations wants an older soxr than constraints.txt has
SOUND_PIP := .venv-bench/bin/pip --disable-pip-version-check install --constraint benchmarks/constraints.txt
TF_PIP := .venv-tf/bin/pip --disable-pip-version-check install --constraint benchmarks/constraints-tf.txt

.PHONY: help demo evidence serve test test-slow soak check format golden statistics bench docs dist clean

help:
	@echo "make demo    train on digits augmented by a local server (about 5 minutes, installation included)"
	@echo "make evidence  tune, then measure the accuracy gain seed by seed, resumable; writes docs/trainer.md"
	@echo "make serve   start a development server on http://127.0.0.1:8000"
	@echo "make test    run the test suite"
	@echo "make soak    random faults, MINUTES=10 from SEED=0; compares every epoch with an undisturbed run"
	@echo "make check   lint, types, import layers, minimum versions of dependencies"
	@echo "make format  format the code and apply lint fixes"
	@echo "make golden  regenerate the golden values and the generated documentation, after a deliberate change"
	@echo "make bench   compare with Kornia, torchvision, Albumentations, DALI, OpenCV and tf.data service; writes docs/benchmarks.md (20 minutes)"
	@echo "make docs    build the documentation site, _site/docs/index.html"
	@echo "make dist    build and check the wheels and source distributions, in dist/"
	@echo "make statistics  refit the statistics of the built-in datasets, after a deliberate change"

demo: .venv/run.stamp
	@echo "training on digits, with and without augmentation, through a local server: about a minute"
	$(BIN)/python examples/demo.py

evidence: .venv/run.stamp
	$(BIN)/python examples/evidence.py

serve: .venv/run.stamp
	$(BIN)/augsvc serve

# three workers for two cores: two kept them busy for 65 % of the time, because tests wait for servers, timeouts and browsers
test: .venv/dev.stamp
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder -m "not slow"

test-slow: .venv/dev.stamp
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m slow

# other load on the machine is welcome: it makes more faults
MINUTES ?= 10
SEED ?= 0
soak: .venv/dev.stamp
	$(BIN)/python -m tests.faults.soak --minutes $(MINUTES) --seed $(SEED)

check: .venv/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tests.min_versions

format: .venv/dev.stamp
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

golden: .venv/dev.stamp
	$(BIN)/python -m tests.regenerate

statistics: .venv/dev.stamp
	for name in digits photos shapes textures; do \
		$(BIN)/augsvc fit $$name/train --out augsvc/data/builtin/fitted/$$name.json || exit 1; done

docs: .venv/dev.stamp
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet -c docs . _site

dist: .venv/dev.stamp
	rm -rf dist
	$(BIN)/python -m build --no-isolation --outdir dist client
	$(BIN)/python -m build --no-isolation --outdir dist .
	$(BIN)/python -m twine check --strict dist/*

# other load on the machine distorts the results
bench: .venv-bench/stamp .venv-tf/stamp
	.venv-bench/bin/python -W ignore -m benchmarks

clean:
	rm -rf .venv .venv-bench .venv-tf demo-out dist _site

# torch first and separately: the constraint names the tested version, TORCH_INDEX the index to install it from
.venv/torch.stamp: constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "augsvc needs Python 3.11 or newer: make PYTHON=python3.12 ...")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "1/2 installing torch into .venv: some minutes the first time"
	$(PIP) $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) torch
	touch $@

.venv/run.stamp: .venv/torch.stamp pyproject.toml client/pyproject.toml
	@echo "2/2 installing augsvc, the client and their other dependencies into .venv: a minute or two the first time"
	$(PIP) --quiet --editable 'client[train]' --editable .
	touch $@

.venv/dev.stamp: .venv/run.stamp
	@echo "installing what tests, checks and documentation need into .venv: some minutes the first time"
	$(PIP) --quiet --editable 'client[train]' --editable '.[dev]'
	touch $@

# A separate environment, so that the peers cannot change the tested versions. Peers that cannot be installed are skipped, and the table says so.
PEERS := torchvision albumentations nvidia-dali-cuda120 torch-audiomentations
.venv-bench/stamp: constraints.txt benchmarks/constraints.txt pyproject.toml client/pyproject.toml
	test -x .venv-bench/bin/python || $(PYTHON) -m venv .venv-bench
	@echo "installing the peers into .venv-bench: some minutes and 3 GB the first time"
	$(BENCH_PIP) $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) torch
	$(BENCH_PIP) --quiet --editable 'client[train]' --editable '.[cuda,ray]'
	test $$(uname) != Linux || $(BENCH_PIP) --quiet nvidia-cuda-nvcc nvidia-cuda-nvdisasm
	for peer in $(PEERS); do $(BENCH_PIP) --quiet $$peer || echo "skipped: $$peer cannot be installed here"; done
	# torch-audiomentations imports torchaudio, whose extension needs CUDA's libraries; it uses nothing of it
	.venv-bench/bin/python -W ignore -c "import torchaudio" 2>/dev/null || rm -f .venv-bench/lib/python3*/site-packages/torchaudio/lib/_torchaudio.so
	$(SOUND_PIP) --quiet 'audiomentations>=0.43' 'librosa>=0.11' || echo "skipped: audiomentations cannot be installed here"
	$(SOUND_PIP) --quiet loudness numpy-audio-limiter || echo "skipped: audiomentations' limiter and loudness"
	touch $@

# TensorFlow pins other versions. If it cannot be installed, its rows are skipped; the stamp avoids another attempt.
.venv-tf/stamp: benchmarks/constraints-tf.txt
	test -x .venv-tf/bin/python || $(PYTHON) -m venv .venv-tf
	@echo "installing TensorFlow into .venv-tf: 1.6 GB the first time"
	$(TF_PIP) --quiet tensorflow-cpu || echo "skipped: TensorFlow cannot be installed here"
	touch $@
