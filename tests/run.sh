#!/usr/bin/env bash
# Runs every test. The tests need nothing but the Rust toolchain and a C compiler.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo test --locked "$@"
