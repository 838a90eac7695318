# The two commands of the README are `make demo` and `make test`; both set up everything they need.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# The core is built again when a source changes, the environment when its description does.
RUST := $(shell find rust/src -name '*.rs') Cargo.toml

.PHONY: demo test lint docs bench paper paper-quick wheel clean

demo: $(VENV)/.built
	$(BIN)/python -m clusterwhy.demo --output output

test: $(VENV)/.built
	cargo test --quiet
	$(BIN)/python -m pytest -q --numprocesses auto --dist worksteal
	$(BIN)/python -m pytest -q --doctest-modules python

lint: $(VENV)/.built $(VENV)/.lint
	cargo fmt --check
	cargo clippy --quiet --all-targets --features python -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --quiet --no-deps --document-private-items
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	MYPYPATH=python $(BIN)/stubtest clusterwhy._core --ignore-missing-stub
	$(BIN)/python rust/third_party_licenses.py --check

# The site, in docs/_build; every warning and every reference that leads nowhere is an error.
docs: $(VENV)/.docs
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --nitpicky --fresh-env --quiet docs docs/_build

# Everything that the README's table says, in one run; quiet cores make honest figures.
bench: $(VENV)/.built .bench-venv/.built
	cargo bench --quiet --bench machine
	cargo bench --quiet --bench aggregation
	cargo bench --quiet --bench kernels
	$(BIN)/python benches/compare.py --published .bench-venv/bin/python
	$(BIN)/python benches/overhead.py

# The source's figures and tables, measured again (hours; goes on from where it stopped), and in minutes.
paper: $(VENV)/.built .bench-venv/.built
	$(BIN)/python benches/paper --published .bench-venv/bin/python

paper-quick: $(VENV)/.built
	$(BIN)/python benches/paper --quick --output output/paper-quick

# The published library, in an environment of its own.
.bench-venv/.built:
	$(PYTHON) -m venv .bench-venv
	.bench-venv/bin/pip install --quiet clusterloco==0.1.0
	touch $@

wheel: $(VENV)/.built
	$(BIN)/maturin build --release --out dist

clean:
	rm -rf $(VENV) target dist output docs/_build docs/api/generated

$(VENV)/.env: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet "maturin>=1.16,<2"
	touch $@

# One command installs the package, in place, with the extras that the demo and the tests need.
$(VENV)/.built: $(VENV)/.env $(RUST)
	. $(BIN)/activate && maturin develop --release --quiet --extras test
	touch $@

$(VENV)/.lint: $(VENV)/.env
	$(BIN)/pip install --quiet "ruff>=0.12" "mypy>=1.15" pandas-stubs scipy-stubs
	touch $@

$(VENV)/.docs: $(VENV)/.env | $(VENV)/.built
	. $(BIN)/activate && maturin develop --release --quiet --extras docs
	touch $@
