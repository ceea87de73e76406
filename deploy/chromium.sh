#!/usr/bin/env bash
# Prints where Chromium is, for the tests of the web front end: CHROMIUM, or the machine's own, which is installed by apt where
# that is possible.
set -euo pipefail

find_one() {
    local name
    for name in ${CHROMIUM:+"$CHROMIUM"} chromium chromium-browser google-chrome google-chrome-stable; do
        if command -v "$name"; then return 0; fi
    done
    return 1
}

if find_one; then exit 0; fi
as_root=()
if [ "$(id -u)" != 0 ]; then as_root=(sudo -n); fi
if command -v apt-get >/dev/null && { [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null; }; then
    echo 'chromium: installing it by apt' >&2
    "${as_root[@]}" apt-get update -qq >&2
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >&2
fi
find_one || {
    echo 'chromium: the tests of the web front end need it: install Chromium or Chrome, or say where it is in CHROMIUM' >&2
    exit 1
}
