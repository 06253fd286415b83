# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Sourced by demo.sh, rig.sh and test.sh: installs missing packages on Debian 12
# and 13. Debian packages need root, and apt verifies them. Python packages go
# into .venv of the checkout only; pip and uv compare each file with the sha256
# in tools/locked and install nothing that differs.

# Time limit in seconds of one installer command.
install_limit=1800
# Seconds between two progress lines if the output is not a terminal.
progress_interval=15
os_release=/etc/os-release
# uv, also that of tox, uses the installed Pythons and downloads none.
export UV_PYTHON_DOWNLOADS=never

say() { printf '\033[1m%s\033[0m\n' "$*"; }

die() {
    printf '%s: %s\n' "$(basename "$0")" "$*" >&2
    exit 1
}

# libvirt_packages: print the packages of libvirtd for QEMU guests. Debian 13
# packages libvirt's drivers separately; Debian 12 has them in the daemon's.
libvirt_packages() {
    local release
    # shellcheck source=/dev/null
    release=$(. "$os_release" && echo "${VERSION_ID:-13}")
    printf '%s\n' libvirt-daemon libvirt-daemon-driver-qemu
    [ "${release%%.*}" -lt 13 ] ||
        printf 'libvirt-daemon-driver-%s\n' network nwfilter
}

# spice_packages: print the package of QEMU's SPICE, which Debian 12 has in
# qemu-system-common.
spice_packages() {
    local release
    # shellcheck source=/dev/null
    release=$(. "$os_release" && echo "${VERSION_ID:-13}")
    [ "${release%%.*}" -lt 13 ] || printf '%s\n' qemu-system-modules-spice
}

# missing_packages PACKAGE...: print the Debian packages that are missing.
missing_packages() {
    local package
    for package in "$@"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null |
            grep -q 'ok installed' || printf '%s\n' "$package"
    done
}

# show_progress LOG: print the elapsed time and the last line of LOG until
# killed: as one updated line on a terminal, else as periodic lines.
show_progress() {
    local began=$SECONDS took columns line
    columns=$(tput cols 2>/dev/null || echo 80)
    while kill -0 $$ 2>/dev/null; do
        # The sleep may outlive this process for a second; it must hold no pipe.
        sleep 1 >/dev/null 2>&1
        took=$((SECONDS - began))
        [ -t 2 ] || [ $((took % progress_interval)) -eq 0 ] || continue
        line=$(tail -n 1 "$1" | tr -d '\r\033')
        line=$(printf '  %3d s  %s' $took "$line")
        if [ -t 2 ]; then
            printf '\r%s\033[K' "${line:0:columns-1}" >&2
        else
            printf '%s\n' "$line" >&2
        fi
    done
}

# with_progress WHAT COMMAND...: run a program; print its duration to stderr,
# and its output only on failure or after install_limit.
with_progress() {
    local what=$1 began=$SECONDS log ticker status=0
    shift
    log=$(mktemp)
    say "$what" >&2
    show_progress "$log" &
    ticker=$!
    timeout --foreground -k 10 "$install_limit" "$@" >"$log" 2>&1 ||
        status=$?
    kill "$ticker" 2>/dev/null || true
    wait "$ticker" 2>/dev/null || true
    [ ! -t 2 ] || printf '\r\033[K' >&2
    if [ $status -eq 0 ]; then
        printf '  done after %d s\n' $((SECONDS - began)) >&2
    else
        cat "$log" >&2
        [ $status -ne 124 ] ||
            printf 'It has not ended within %d s.\n' "$install_limit" >&2
        printf 'failed after %d s: %s\n' $((SECONDS - began)) "$*" >&2
    fi
    rm -f "$log"
    return $status
}

# install_packages PACKAGE...: install the missing Debian packages.
install_packages() {
    local missing
    mapfile -t missing < <(missing_packages "$@")
    [ ${#missing[@]} -eq 0 ] && return
    [ "$(id -u)" -eq 0 ] ||
        die "install these Debian packages first (as root): ${missing[*]}"
    # A subshell, so that its trap removes the policy file on every exit.
    (
        # Do not start the installed servers as system services.
        policy=/usr/sbin/policy-rc.d
        if [ ! -e "$policy" ]; then
            trap 'rm -f "$policy"' EXIT
            printf '#!/bin/sh\nexit 101\n' >"$policy"
            chmod 755 "$policy"
        fi
        export DEBIAN_FRONTEND=noninteractive
        with_progress 'Updating the lists of Debian packages' \
            apt-get -q update &&
            with_progress "Installing Debian packages: ${missing[*]}" \
                apt-get -q -y -o DPkg::Lock::Timeout=300 \
                install --no-install-recommends "${missing[@]}"
    )
}

# make_environment PACKAGE...: create .venv with uv and these packages, which
# are arguments of uv: -r LOCKED, or -c LOCKED PACKAGE....
make_environment() {
    if [ ! -x .venv/bin/python ]; then
        with_progress 'Making .venv' python3 -m venv .venv
    fi
    [ -x .venv/bin/uv ] || with_progress 'Installing uv into .venv' \
        .venv/bin/pip install --progress-bar off --require-hashes \
        -r tools/locked/uv.txt
    # uv leaves files in its temporary directory.
    mkdir -p .venv/tmp
    with_progress "Installing Python packages into .venv: $*" \
        env TMPDIR="$PWD/.venv/tmp" .venv/bin/uv pip install \
        --compile-bytecode --python .venv/bin/python "$@"
}
