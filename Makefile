# `make test` is what CI runs, and all that a newcomer needs: it installs what is missing.

CARGO ?= cargo
BIN = $(CARGO) run --locked --quiet --

.PHONY: test tools fmt lint doc unit rules routes deploy package audit release sbom dist demo stack recording bench fuzz slow

test: tools fmt lint doc unit rules routes deploy package audit
	@echo "everything passed"

# The real peers that tests run against, and the tools that look at what is shipped and at what it depends on.
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
	promtool check rules --lint=all --lint-fatal $$(find rules deploy/stack -name '*.rules.yaml')
	promtool test rules $$(find rules/tests deploy/stack -name '*.test.yaml')
	amtool check-config deploy/alertmanager/alertmanager.yml

# The shipped routes.yaml does what its comments say, and knows every alert of the shipped rules.
routes:
	$(BIN) check --strict --no-secrets --rules rules routes.yaml
	$(BIN) test --coverage=100 tests/routes.test.yaml

# The unit, the Dockerfile and the manifests for Kubernetes, read by systemd-analyze, hadolint and the schemas of Kubernetes.
deploy:
	@.ci/deploy

# The archive and the Debian package, of the debug binary; the package installed into a folder, upgraded and purged.
package:
	@.ci/package

audit:
	@.ci/audit

# A binary that does not name the folder in which it was built.
release:
	@.ci/release

# What the release binary is made of: target/alertrouter.cdx.json (CycloneDX).
sbom:
	@.ci/sbom

# What is for others, in target/dist: archive, Debian package, SBOM, checksums.
dist:
	@.ci/dist

demo:
	$(CARGO) run --release --locked -- demo

# The whole chain with Debian's Prometheus and a pair of Alertmanagers, from a metric that misbehaves to one message, and how
# long each leg took. `make unit` runs it as well, and shows nothing.
stack:
	$(CARGO) test --locked --quiet --test it stack::an_alert_travels -- --nocapture

# The tests with a disk, a network and a scheduler that are slow at random (tests/slow.c): before CI finds a day on which they
# are.
slow:
	@.ci/slow

# README's recording of the demo. A test says when it is out of date.
recording:
	$(BIN) demo --once | .readme/record >.readme/demo.svg

# What it takes and how fast (README, "Figures"): intake, under siege, routing, rule packs.
bench:
	$(CARGO) bench --locked --bench intake
	$(CARGO) bench --locked --bench siege
	$(CARGO) bench --locked --bench routing
	$(CARGO) bench --locked --bench rules

# Looks for inputs that break what holds for any input (fuzz/targets/), for so many seconds in each of FUZZ_TARGETS. Needs a
# nightly compiler and cargo-fuzz (`rustup toolchain install nightly`, `cargo install cargo-fuzz`); `make test` needs neither,
# and runs fuzz/corpus. What it finds on its way stays out of the tree (target/fuzz); what fails goes to fuzz/artifacts: mend
# it, and add it to fuzz/corpus.
FUZZ_SECONDS ?= 60
FUZZ_TARGETS ?= $$(cargo fuzz list)
fuzz:
	@for target in $(FUZZ_TARGETS); do \
	    mkdir -p target/fuzz/$$target; \
	    cargo +nightly fuzz run $$target target/fuzz/$$target fuzz/corpus/$$target -- \
	        -max_total_time=$(FUZZ_SECONDS) -timeout=30 -rss_limit_mb=1024 || exit 1; \
	done
