# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Sourced by demo.sh and test.sh: brings in what a fresh Debian 12 lacks.
# Installs Debian packages only as root and only those that are missing; what
# comes from PyPI goes into .venv in the checkout and nowhere else.

say() { printf '\033[1m%s\033[0m\n' "$*"; }

die() {
    printf '%s: %s\n' "$(basename "$0")" "$*" >&2
    exit 1
}

# missing_packages PACKAGE...: say which of the Debian packages are not there.
missing_packages() {
    local package
    for package in "$@"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null |
            grep -q 'ok installed' || printf '%s\n' "$package"
    done
}

# install_packages PACKAGE...: the Debian packages that are not there yet.
install_packages() {
    local missing
    mapfile -t missing < <(missing_packages "$@")
    [ ${#missing[@]} -eq 0 ] && return
    [ "$(id -u)" -eq 0 ] ||
        die "install these Debian packages first (as root): ${missing[*]}"
    say "Installing Debian packages: ${missing[*]}"
    # In a shell of its own, which takes back what it did whatever happens
    # and whatever its caller does at its own end.
    (
        # Servers that are started for a test alone need not run for everybody.
        policy=/usr/sbin/policy-rc.d
        if [ ! -e "$policy" ]; then
            trap 'rm -f "$policy"' EXIT
            printf '#!/bin/sh\nexit 101\n' >"$policy"
            chmod 755 "$policy"
        fi
        export DEBIAN_FRONTEND=noninteractive
        apt-get update -q -q && apt-get install -q -q -y \
            --no-install-recommends "${missing[@]}" >/dev/null
    )
}

# make_environment PACKAGE...: .venv with uv and these Python packages.
make_environment() {
    if [ ! -x .venv/bin/python ]; then
        say 'Making .venv'
        python3 -m venv .venv
    fi
    [ -x .venv/bin/uv ] || .venv/bin/pip install -q uv
    # It leaves files where its temporary ones are.
    mkdir -p .venv/tmp
    TMPDIR=$PWD/.venv/tmp .venv/bin/uv pip install -q --compile-bytecode \
        --python .venv/bin/python "$@"
}
