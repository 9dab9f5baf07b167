#!/usr/bin/env bash
# Installs below target/test-tools the tools of the tests besides Rust and Redis: gRPC's own client,
# kubernetes-validate, checkov, a PromQL parser and aepp from PyPI, kustomize where kubectl does not have it,
# Prometheus's promtool, and the schemas of the custom resources in deploy/. Builds the example clients of proto/README.md, with the commands of that page; so it
# installs Go, a JDK, Maven, Node.js and npm where they are missing. What exists already is kept.
set -euo pipefail
cd "$(dirname "$0")/../.."

readonly KUSTOMIZE_VERSION=v5.7.1
readonly TOOLS="$PWD/target/test-tools"

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi; }

# python NAME [OPTION]: installs the packages of NAME-requirements.txt in an environment of that name.
python() {
  local requirements="tests/tools/$1-requirements.txt" environment="$TOOLS/$1"
  cmp -s "$requirements" "$environment/installed" && return
  # Debian's python3 has the module without its dependencies.
  if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
    packages python3 python3-venv
  fi
  python3 -m venv --clear "$environment"
  "$environment/bin/pip" install --quiet --disable-pip-version-check --prefer-binary "${@:2}" -r "$requirements"
  # Last, so that an interrupted installation is not mistaken for a complete one.
  cp "$requirements" "$environment/installed"
}

packages() {
  as_root apt-get update -q
  as_root apt-get install -qy --no-install-recommends "$@"
}

go_toolchain() {
  # An older Go cannot fetch the toolchain that kustomize and the example ask for.
  go version 2>/dev/null | grep -qE 'go1\.(2[5-9]|[3-9][0-9])' && return
  python go
  PATH="$TOOLS/go/bin:$PATH"
}

# block HEADING: the first shell commands of proto/README.md below a heading.
block() {
  awk -v heading="$1" '$0 == heading { found = 1 } !found { next }
    /^```sh$/ { inside = 1; next } inside && /^```$/ { exit } inside' proto/README.md
}

# example HEADING DIRECTORY: does what proto/README.md says, but for the last line, which runs the program.
example() {
  local directory="$TOOLS/examples/$2" commands
  commands="$(block '## Generate a client' | grep -v '^CHECKOUT=')
$(block "### $1" | sed '$d')"
  if [ "$2" = go ]; then
    # The contract tests.
    commands+=$'\ngo vet .'
  fi
  local inputs
  inputs=$(printf '%s\n' "$commands" | cat - <(find "proto/examples/$2" proto/hubspot_connection deploy/clients \
    -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum) | sha256sum)
  [ "$(cat "$directory/installed" 2>/dev/null)" = "$inputs" ] && return
  rm -rf "$directory"
  mkdir -p "$directory"
  (export CHECKOUT="$PWD" && cd "$directory" && bash -euc "$commands")
  # Last, as above.
  printf '%s\n' "$inputs" >"$directory/installed"
}

examples() {
  # Debian's npm brings Node.js.
  command -v npm >/dev/null || packages npm
  if ! command -v mvn >/dev/null || ! command -v javac >/dev/null; then packages maven default-jdk-headless; fi
  go_toolchain
  example Go go
  example Java java
  example Python python
  example TypeScript typescript
}

kustomize() {
  grep -qs "$KUSTOMIZE_VERSION" "$TOOLS/render" && "$TOOLS/render" deploy/base >/dev/null && return
  local render="exec kubectl kustomize \"\$1\""
  if ! kubectl version --client 2>/dev/null | grep -q '^Kustomize Version: v[5-9]'; then
    go_toolchain
    GOBIN="$TOOLS" GOFLAGS=-mod=mod go install "sigs.k8s.io/kustomize/kustomize/v5@$KUSTOMIZE_VERSION"
    render="exec \"\$(dirname \"\$0\")/kustomize\" build \"\$1\""
  fi
  printf '#!/bin/sh\n# kubectl, or kustomize %s\n%s\n' "$KUSTOMIZE_VERSION" "$render" >"$TOOLS/render"
  chmod +x "$TOOLS/render"
}

# MODULE@VERSION FILE…: the definitions of custom resources, which their projects ship in their Go modules.
readonly CRDS='github.com/cert-manager/cert-manager@v1.21.2 deploy/crds/cert-manager.io_*.yaml
github.com/cert-manager/approver-policy@v0.28.0 deploy/crds/*.yaml
github.com/prometheus-operator/prometheus-operator@v0.85.0 example/prometheus-operator-crd/*_prometheusrules.yaml example/prometheus-operator-crd/*_servicemonitors.yaml
sigs.k8s.io/gateway-api@v1.4.1 config/crd/standard/*_grpcroutes.yaml'

crds() {
  printf '%s\n' "$CRDS" | cmp -s - "$TOOLS/crds/installed" && return
  go_toolchain
  rm -rf "$TOOLS/crds"
  mkdir "$TOOLS/crds"
  local module files source
  while read -r module files; do
    # Outside of any module, so that nothing else is downloaded. A module for a newer Go is an error, but it is there.
    source=$(cd "$TOOLS/crds" && (go mod download -json "$module" || true) | sed -n 's/^.*"Dir": "\(.*\)".*$/\1/p')
    # shellcheck disable=SC2086 # a pattern
    (cd "$source" && cp $files "$TOOLS/crds/")
  done <<<"$CRDS"
  # The module cache is read-only, and so are copies from it.
  chmod u+w "$TOOLS"/crds/*
  # Last, as above.
  printf '%s\n' "$CRDS" >"$TOOLS/crds/installed"
}

# Debian's package has it. Its server is not installed: it would be started.
promtool() {
  "$TOOLS/promtool" --version >/dev/null 2>&1 && return
  local found
  if ! found=$(type -P promtool); then
    as_root apt-get update -q
    rm -rf "$TOOLS/prometheus"
    mkdir "$TOOLS/prometheus"
    (cd "$TOOLS/prometheus" && apt-get download -qq prometheus && dpkg-deb --extract prometheus_*.deb .)
    found="$TOOLS/prometheus/usr/bin/promtool"
  fi
  ln -sf "$found" "$TOOLS/promtool"
}

mkdir -p "$TOOLS"
python grpc
python manifests
# The list is complete.
python aepp --no-deps
kustomize
crds
promtool
examples
