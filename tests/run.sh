#!/usr/bin/env bash
# Runs every test. The tests need the Rust toolchain, a C compiler and a Redis server, which this
# installs where it can. Without one, `cargo test` by itself skips what needs it.
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
HCS_TEST_REDIS=required cargo test --locked "$@"
