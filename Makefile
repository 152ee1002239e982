# `make test` is what CI runs, and all that a newcomer needs: it installs what is missing.

CARGO ?= cargo
BIN = $(CARGO) run --locked --quiet --

.PHONY: test tools fmt lint doc unit rules routes audit demo bench

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
	promtool check rules $$(find rules -name '*.rules.yaml')
	promtool test rules $$(find rules/tests -name '*.test.yaml')
	amtool check-config deploy/alertmanager/alertmanager.yml

# The shipped routes.yaml does what its comments say.
routes:
	$(BIN) check --strict --no-secrets routes.yaml
	$(BIN) route --verify oncall,team-slack severity=critical
	$(BIN) route --verify team-slack severity=warning
	$(BIN) route --verify dashboards severity=info
	$(BIN) route --verify team-slack alertname=NoSeverity

audit:
	@.ci/audit

demo:
	$(CARGO) run --release --locked -- demo

bench:
	$(CARGO) bench --locked --bench intake
	$(CARGO) bench --locked --bench routing
