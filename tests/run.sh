#!/usr/bin/env bash
# Runs every test. The tests need the Rust toolchain, a C compiler, a Redis server, gRPC's own client for
# Python, the tools that check manifests, and those of the example clients. This script installs what it can, below
# target/ or with apt. Without them, plain `cargo test` skips the tests that need them.
set -euo pipefail
cd "$(dirname "$0")/.."

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi; }

install_redis() {
  command -v redis-server >/dev/null && return
  command -v apt-get >/dev/null && as_root apt-get update -q &&
    as_root apt-get install -qy --no-install-recommends redis-server && return
  echo 'tests/run.sh: redis-server is missing and cannot be installed: install Redis 5 or later' >&2
  exit 1
}

install_redis
# Runs while the tests are compiled, because it waits for the network and they do not.
tests/tools/install.sh &
installing=$!
trap 'kill "$installing" 2>/dev/null || true' EXIT
cargo test --locked --no-run "$@"
# One of the tests runs it. With a filter such as --test it is not built.
cargo build --locked --quiet --example hubspot-client
wait "$installing"
# Many tests wait for a time limit, which takes no core.
RUST_TEST_THREADS=${RUST_TEST_THREADS:-$((2 * $(nproc)))}
export RUST_TEST_THREADS
HCS_TEST_REDIS=required HCS_TEST_TOOLS=required cargo test --locked "$@"
