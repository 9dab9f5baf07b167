#!/usr/bin/env bash
# Runs every test. The tests need the Rust toolchain, a C compiler, a Redis server and Python with
# gRPC's own client, of which this installs what it can: the Python packages below target/. Without
# them, `cargo test` by itself skips what needs them.
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

# python_tools NAME: what tests/tools/NAME-requirements.txt lists, in target/test-tools/NAME.
python_tools() {
  local requirements="tests/tools/$1-requirements.txt" tools="target/test-tools/$1"
  cmp -s "$requirements" "$tools/installed" && return
  rm -rf "$tools"
  # Debian's python3 has the module and not what it needs.
  if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
    command -v apt-get >/dev/null && as_root apt-get update -q &&
      as_root apt-get install -qy --no-install-recommends python3-venv
  fi
  python3 -m venv "$tools"
  "$tools/bin/pip" install --quiet --disable-pip-version-check --only-binary :all: -r "$requirements"
  cp "$requirements" "$tools/installed"
}

install_redis
python_tools grpc
HCS_TEST_REDIS=required HCS_TEST_TOOLS=required cargo test --locked "$@"
