# Aliases, nothing more: each line can be typed as well.

# what CI runs
ci:
    .ci/run

# the example's plan
plan:
    cargo run -- plan examples/acme

test:
    cargo test

lint:
    cargo fmt --check
    cargo clippy --all-targets -- -D warnings

# licences, banned crates, sources
deny:
    .ci/deny licenses bans sources

# moto and Prism, for the tests that are skipped without them
servers:
    tests/servers/install
