#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs every test and style check through tox; installs missing packages.
#   tools/test.sh                everything
#   tools/test.sh -e functional  one environment; arguments go to tox
#   tools/test.sh -e cloudimage  the tests that take too long for every run
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=tools/install.sh
. tools/install.sh

mapfile -t libvirt < <(libvirt_packages && spice_packages)
install_packages git gcc pkg-config python3-dev python3-venv libvirt-dev \
    libmariadb-dev rabbitmq-server mariadb-server postgresql graphviz \
    "${libvirt[@]}" qemu-system-x86 qemu-utils ovmf swtpm swtpm-tools \
    busybox-static \
    dnsmasq-base iptables mmdebstrap fakeroot e2fsprogs uidmap
make_environment --require-hashes -r tools/locked/tox.txt

# next_run: print the number of stestr's next run.
next_run() { cat .stestr/next-stream 2>/dev/null || echo 0; }

# failed_tests RUN FORMAT: print the failed tests of a run with the subunit
# command FORMAT.
failed_tests() {
    # Each of the three exits with 1 if a test failed.
    "$bin/stestr" history show --subunit "$1" | "$bin/subunit-filter" |
        "$bin/$2" 2>&1 || true
}

# ends_of_failures: reduce the output of subunit2pyunit to the name and the last
# lines of each failed test: the error; the logs of services come before it.
ends_of_failures() {
    awk '
        function flush(  i) {
            if (n > 30) print lines[0]
            for (i = n > 30 ? n - 30 : 0; i < n; i++) print lines[i]
            n = 0
        }
        /^======/ { flush(); failed = 1; next }
        failed { lines[n++] = $0 }
        END { flush() }
    '
}

# print_failures FIRST: print the failures of the runs from FIRST on: the whole
# output, then the last lines, then the names, because readers see the end of a
# long log first.
print_failures() {
    local bin run found names=() ends=()
    bin=$(dirname "$(ls .tox/*/bin/stestr | head -n 1)")
    for run in $(seq "$1" $(($(next_run) - 1))); do
        found=$(failed_tests "$run" subunit-ls)
        [ -n "$found" ] || continue
        names+=("$found")
        found=$(failed_tests "$run" subunit2pyunit)
        printf '%s\n' "$found"
        ends+=("$(ends_of_failures <<<"$found")")
    done
    [ ${#names[@]} -gt 0 ] || return 0
    printf '%s\n' '' 'How they ended:' "${ends[@]}"
    printf '%s\n' '' 'Failed tests:' "${names[@]}"
}

say 'Running tox'
first=$(next_run)
status=0
.venv/bin/tox run "$@" || status=$?
[ "$status" -eq 0 ] || print_failures "$first"
exit "$status"
