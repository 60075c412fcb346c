# The commands of every day. `just` lists them; `verify` never changes a file, `fix` does.

[private]
default:
    @just --list

# Check formatting, lints, tests and documentation
verify:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets --locked -- -D warnings
    cargo test --workspace --locked
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked

# Format, and apply what the lints suggest
fix:
    cargo fmt --all
    cargo clippy --workspace --all-targets --fix --allow-dirty --allow-staged

# Run the tests whose names contain FILTER
test *FILTER:
    cargo test --workspace -- {{ FILTER }}

# Hold N random lives of a log against its model; a failing seed is printed
model-cases N='100000':
    TIDELOG_CASES={{ N }} cargo test --release -p tidelog-tests log_model

# End N random lives of a log by crashes; a failing seed is printed
crash-seeds N='100000':
    TIDELOG_CRASH_SEEDS={{ N }} cargo test --release -p tidelog-tests crash_seeds

# Time single operations, with criterion; FILTER picks some
bench *FILTER:
    cargo bench -p tidelog-benches --locked --bench codec --bench log -- {{ FILTER }}

# Measure what this machine can do and what Tidelog reaches of it; `--help` lists the ARGS
limits *ARGS:
    cargo run --release --locked -p tidelog-benches --bin limits -- {{ ARGS }}

# Measure records through the client to a broker process and back, beside what disk and gRPC alone can do
end-to-end *ARGS:
    cargo build --release --locked -p tidelog -p tidelog-benches
    "${CARGO_TARGET_DIR:-target}/release/end-to-end" {{ ARGS }}

# Keep a broker under a steady load of many clients, then idle, and tell what it uses
soak *ARGS:
    cargo build --release --locked -p tidelog -p tidelog-benches
    "${CARGO_TARGET_DIR:-target}/release/soak" {{ ARGS }}

# Run everything that a change must pass before it is merged
ci:
    .ci/run

# Check licences and sources of all dependencies, and whether one of them has a known weakness
deny:
    cargo deny check

# Write the listing of the published API anew, after a change that is meant
api-listing:
    TIDELOG_UPDATE_LISTING=1 cargo test -p tidelog-proto the_published_api_is_as_listed
