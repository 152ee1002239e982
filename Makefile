# `make test` is what CI runs, and all that a newcomer needs: it installs what is missing.

CARGO ?= cargo
BIN = $(CARGO) run --locked --quiet --

.PHONY: test tools fmt lint doc unit rules routes audit demo bench fuzz

test: tools fmt lint doc unit rules routes audit
	@echo "everything passed"

# The real peers that tests run against, and the audit tool.
tools:
	@.ci/tools

fmt:
	$(CARGO) fmt --check

lint:
	$(CARGO) clippy --locked --all-targets -- -D warnings

doc:
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --no-deps --document-private-items --quiet

unit:
	$(CARGO) test --locked

rules:
	promtool check rules --lint=all --lint-fatal $$(find rules -name '*.rules.yaml')
	promtool test rules $$(find rules/tests -name '*.test.yaml')
	amtool check-config deploy/alertmanager/alertmanager.yml

# The shipped routes.yaml does what its comments say, and knows every alert of the shipped rules.
routes:
	$(BIN) check --strict --no-secrets --rules rules routes.yaml
	$(BIN) test --coverage=100 tests/routes.test.yaml

audit:
	@.ci/audit

demo:
	$(CARGO) run --release --locked -- demo

bench:
	$(CARGO) bench --locked --bench intake
	$(CARGO) bench --locked --bench routing
	$(CARGO) bench --locked --bench rules

# Looks for inputs that break what holds for any input (fuzz/targets.rs). Needs a nightly compiler and cargo-fuzz. What it
# finds on its way stays out of the tree; what fails goes to fuzz/artifacts: mend it, and add it to fuzz/corpus.
FUZZ_SECONDS ?= 60
fuzz:
	@for target in $$(cargo fuzz list); do \
	    mkdir -p target/fuzz/$$target; \
	    cargo +nightly fuzz run $$target target/fuzz/$$target fuzz/corpus/$$target -- -max_total_time=$(FUZZ_SECONDS) -timeout=5 || exit 1; \
	done
