#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Demonstrates Minova with the stock client. Installs missing packages, leaves
# no process and no data behind, exits with 0.
#   tools/demo.sh [--embedded] [--keep DIR]
# Migrates a real guest between two libvirt hosts of this machine. With
# --embedded, or if this machine cannot run such hosts, the demo uses a cloud in
# one process with hosts of libvirt's test driver. Logs and data stay in DIR.
set -euo pipefail
called_from=$PWD
cd "$(dirname "$0")/.."
# shellcheck source=tools/install.sh
. tools/install.sh

variant=real
keep=''
while [ $# -gt 0 ]; do
    case $1 in
    --embedded) variant=embedded ;;
    --keep) shift && keep=${1:?give a directory after --keep} ;;
    *) die "unknown argument $1; the options are --embedded and --keep DIR" ;;
    esac
    shift
done

mapfile -t real_packages < <(libvirt_packages)
real_packages+=(qemu-system-x86 qemu-utils busybox-static rabbitmq-server
    postgresql)
# Time limit in seconds of a demo step and of the start and stop of a service.
limit=300
patience=120

# cannot WHY...: switch to the embedded demo and print the reason.
cannot() {
    variant=embedded
    printf '\033[1;33m%s\033[0m\n' \
        "No real guests here: $*. The demo is that of one process instead."
}

# have_packages: install the Debian packages that real guests need.
have_packages() {
    if [ "$(id -u)" -eq 0 ]; then
        install_packages "${real_packages[@]}" ||
            cannot "not all of these can be installed: ${real_packages[*]}"
        return
    fi
    local missing
    missing=$(missing_packages "${real_packages[@]}")
    [ -z "$missing" ] || cannot 'these Debian packages are missing, and only' \
        "root can install them: ${missing//$'\n'/ }"
}

# have_namespaces: check the namespaces that minova/rig/hosts.py creates.
have_namespaces() {
    local said
    said=$(unshare --user --map-root-user --mount --uts sh -c 'set -e
        hostname host1
        mount --bind /etc/passwd /etc/passwd
        exec unshare --user --map-user=1000 --map-group=1000 true' 2>&1) ||
        cannot "namespaces are not allowed (${said##*$'\n'};" \
            'see "sysctl -a | grep -e userns -e namespaces")'
}

# have_guests: find or fetch a QEMU that migrates guests without corruption and
# a kernel for the guest.
have_guests() {
    if ! with_progress 'QEMU 10, from the backports if need be' \
        minova-rig qemu || ! with_progress 'A kernel and a ramdisk for guests' \
        minova-rig guest; then
        cannot 'a QEMU of version 10 or a kernel for guests is not available'
        return
    fi
    # Both exist now; these commands only print the paths.
    emulator=$(minova-rig qemu)
    guest=$(minova-rig guest)
}

install_packages gcc pkg-config python3-dev python3-venv libvirt-dev
[ $variant = embedded ] || have_namespaces
[ $variant = embedded ] || have_packages
python_packages=(-e '.[libvirt]' 'python-openstackclient>=10.0.0')
if [ $variant = real ]; then
    # The fixtures of the tests start RabbitMQ and PostgreSQL.
    python_packages=(-e '.[libvirt,mysql,postgresql]' fixtures testtools
        'python-openstackclient>=10.0.0')
fi
make_environment -c tools/locked/demo.txt "${python_packages[@]}"
PATH=$PWD/.venv/bin:$PATH
[ $variant = embedded ] || have_guests

# The path is short because sockets lie below it. Other accounts may traverse
# it: RabbitMQ and PostgreSQL run under their own.
work=$(mktemp -d /tmp/minova.XXXXXX)
chmod 711 "$work"
logs=$work/logs
[ -z "$keep" ] || logs=$(cd "$called_from" && realpath -m "$keep")
mkdir -p "$logs"
[ -z "$(ls -A "$logs")" ] || die "$logs is not empty"
# Remove the settings of other clouds from the environment.
unset "${!OS_@}"

# Each demo defines its own; it may be called twice.
take_down() {
    true
}

finish() {
    local code=$?
    trap - EXIT
    trap '' INT TERM HUP PIPE
    # Continue after errors, such as a write to a closed terminal.
    set +e
    if [ $code -ne 0 ] && [ $code -ne 130 ]; then
        echo 'The demo failed. The server, and the ends of the logs:' >&2
        limit=30
        [ -z "${OS_AUTH_URL:-}${OS_CLOUD:-}" ] ||
            openstack server show web -c status -c fault >&2 || true
        tail -n 30 "$logs"/*.log "$logs"/*.out >&2
    fi
    take_down || [ $code -ne 0 ] || code=1
    rm -rf "$work"
    exit $code
}
trap finish EXIT
trap 'exit 130' INT TERM HUP PIPE

# bounded COMMAND...: run a program with the time limit.
bounded() {
    local status=0
    timeout --foreground -k 10 "$limit" "$@" || status=$?
    [ $status -ne 124 ] || echo "Not done within $limit s: $*" >&2
    return $status
}

# openstack ARGUMENT...: the client's --wait has no time limit of its own.
openstack() {
    bounded openstack "$@"
}

# run COMMAND...: print the command, then run it.
run() {
    printf '\n\033[36m$ %s\033[0m\n' "$*"
    bounded "$@"
}

# wait_for STATUS SERVER: poll the server until it has the status.
wait_for() {
    local status
    for _ in $(seq 60); do
        status=$(openstack server show "$2" -f value -c status)
        [ "$status" = "$1" ] && return
        [ "$status" = ERROR ] && break
        sleep 0.5
    done
    die "server $2 is $status, not $1"
}

# start NAME COMMAND...: run in the background with an own log.
start() {
    "${@:2}" >"$logs/$1.out" 2>"$logs/$1.log" &
    pids[$1]=$!
}

# wait_for_output NAME TEXT: wait until the output or log contains the text.
wait_for_output() {
    local until=$((SECONDS + patience))
    until grep -q "$2" "$logs/$1.out" "$logs/$1.log"; do
        kill -0 "${pids[$1]}" 2>/dev/null || die "$1 did not start"
        [ $SECONDS -lt $until ] || die "$1 does not print '$2' within" \
            "$patience s; it said last:" \
            "$(tail -q -n 1 "$logs/$1.log" "$logs/$1.out")"
        sleep 0.05
    done
}

# stop NAME...: terminate the processes concurrently and wait for them.
stop() {
    local name code=0 until=$((SECONDS + patience))
    for name in "$@"; do
        [ -z "${pids[$name]:-}" ] ||
            kill -TERM "${pids[$name]}" 2>/dev/null || true
    done
    for name in "$@"; do
        while [ -n "${pids[$name]:-}" ] && kill -0 "${pids[$name]}" \
            2>/dev/null; do
            if [ $SECONDS -ge $until ]; then
                echo "$name has not ended within $patience s" >&2
                kill -KILL "${pids[$name]}" 2>/dev/null
                break
            fi
            sleep 0.05
        done
        [ -z "${pids[$name]:-}" ] || wait "${pids[$name]}" || code=$?
        unset "pids[$name]"
    done
    return $code
}

declare -A pids=()
began=$(date +%s%N)
# shellcheck source=tools/demo_real.sh
# shellcheck source=tools/demo_embedded.sh
. "tools/demo_$variant.sh"
say "The demo is over, after $((($(date +%s%N) - began) / 1000000000)) s."
