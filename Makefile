# Everything from a fresh clone: `make demo`, `make test`. See `make help`.

# Outside the clone, so that CTranslate2 is compiled once for all clones; one profile (release) for everything.
export CARGO_TARGET_DIR ?= $(HOME)/.cache/sidetone/target
export PATH := $(HOME)/.cargo/bin:$(PATH)

SIDETONE = $(CARGO_TARGET_DIR)/release/sidetone
# The tests share the build's features and profile. `backend` writes the file this reads, hence the nested makes.
FEATURES = $(if $(filter onednn,$(shell cat $(CARGO_TARGET_DIR)/backend 2>/dev/null)),--features sidetone/onednn)

.PHONY: help setup setup-npm setup-tests backend build model models-test demo test lint clean-cache
.DEFAULT_GOAL := help

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | column -t -s '|' 2>/dev/null \
		|| sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1  \2/p' $(MAKEFILE_LIST)

setup: ## install what building needs (Debian; does nothing when it is there)
	@scripts/setup.sh

setup-npm:
	@scripts/setup.sh npm

# The store is tested against a PostgreSQL server that the tests start and end themselves.
setup-tests:
	@scripts/setup.sh tests

# Which matrix library CTranslate2 is built with: oneDNN where its wheels can be fetched, else ruy.
backend: setup
	@mkdir -p $(CARGO_TARGET_DIR)
	@scripts/onednn.sh > $(CARGO_TARGET_DIR)/backend
	@echo "backend: $$(cat $(CARGO_TARGET_DIR)/backend)"

build: backend ## build the program (about ten minutes the first time)
	$(MAKE) --no-print-directory compile

.PHONY: compile
compile:
	cargo build --release --locked $(FEATURES)
	@echo "built: $(SIDETONE)"

model: build ## fetch the default speech model (tiny.en, 71 MB)
	$(SIDETONE) models get tiny.en

# The French scenario is tested with real speech too, and needs a model that hears French; what measures answering
# machines hears them twice.
models-test: setup-npm model
	$(SIDETONE) models get base
	$(SIDETONE) models get base.en
	$(SIDETONE) models get small

demo: model ## 20 simulated calls with real Whisper
	$(SIDETONE) demo

test: setup-tests models-test ## everything that is tested
	$(MAKE) --no-print-directory run-tests

# Most of the integration tests wait: calls take the time that calls take.
.PHONY: run-tests
run-tests: export RUST_TEST_THREADS ?= 4
run-tests:
	cargo test --release --locked --workspace $(FEATURES)

lint: backend ## formatting, clippy, licences and advisories (where cargo-deny is installed)
	cargo fmt --all --check
	$(MAKE) --no-print-directory clippy
	@if command -v cargo-deny >/dev/null; then cargo deny check; else echo "cargo-deny is not installed: skipped"; fi

.PHONY: clippy
clippy:
	cargo clippy --release --locked --workspace --all-targets $(FEATURES) -- -D warnings

clean-cache: ## delete the build cache and oneDNN outside the clone (not the models)
	rm -rf $(CARGO_TARGET_DIR) $${XDG_CACHE_HOME:-$(HOME)/.cache}/sidetone/onednn
	@if grep -qs 'Written by scripts/onednn.sh' .cargo/config.toml; then rm .cargo/config.toml; fi
