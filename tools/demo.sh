#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Shows the main job, driven by the stock client. Installs what is missing,
# leaves no process and no data behind, exits 0.
#   tools/demo.sh [--embedded] [--keep DIR]
# Real guests are moved between two libvirt hosts of this machine. Where it
# cannot have those, or with --embedded, it is a cloud in one process with
# hosts of libvirt's test driver. What the services log and know stays in DIR.
set -euo pipefail
called_from=$PWD
cd "$(dirname "$0")/.."
# shellcheck source=tools/install.sh
. tools/install.sh

story=real
keep=''
while [ $# -gt 0 ]; do
    case $1 in
    --embedded) story=embedded ;;
    --keep) shift && keep=${1:?give a directory after --keep} ;;
    *) die "unknown: $1; it takes --embedded and --keep DIR" ;;
    esac
    shift
done

mapfile -t real_packages < <(libvirt_packages)
real_packages+=(qemu-system-x86 qemu-utils busybox-static rabbitmq-server
    postgresql)
# Seconds that a step of the story may take, and for which a service that
# starts or ends is waited for.
limit=300
patience=120

# cannot WHY...: tell the other story, and say why.
cannot() {
    story=embedded
    printf '\033[1;33m%s\033[0m\n' \
        "No real guests here: $*. The demo is that of one process instead."
}

# have_packages: what real guests need beside what anything needs.
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

# have_namespaces: hosts are told apart by them, as minova/rig/hosts.py does.
have_namespaces() {
    local said
    said=$(unshare --user --map-root-user --mount --uts sh -c 'set -e
        hostname host1
        mount --bind /etc/passwd /etc/passwd
        exec unshare --user --map-user=1000 --map-group=1000 true' 2>&1) ||
        cannot "namespaces are not allowed (${said##*$'\n'};" \
            'see "sysctl -a | grep -e userns -e namespaces")'
}

# have_guests: a QEMU that may be trusted with moving them, and something that
# runs in them. Fetched when they are not there.
have_guests() {
    if ! with_progress 'QEMU 10, from the backports if need be' \
        minova-rig qemu || ! with_progress 'A kernel and a ramdisk for guests' \
        minova-rig guest; then
        cannot 'a QEMU of version 10 or a kernel for guests cannot be had'
        return
    fi
    # They are there: it only says where.
    emulator=$(minova-rig qemu)
    guest=$(minova-rig guest)
}

install_packages gcc pkg-config python3-dev python3-venv libvirt-dev
[ $story = embedded ] || have_namespaces
[ $story = embedded ] || have_packages
python_packages=(-e '.[libvirt]' 'python-openstackclient>=10.0.0')
if [ $story = real ]; then
    # For the servers, which are those of the tests.
    python_packages=(-e '.[libvirt,mysql,postgresql]' fixtures testtools
        'python-openstackclient>=10.0.0')
fi
make_environment "${python_packages[@]}"
PATH=$PWD/.venv/bin:$PATH
[ $story = embedded ] || have_guests

# Short: sockets are below it. Others may pass, as the servers of root do,
# which have accounts of their own.
work=$(mktemp -d /tmp/minova.XXXXXX)
chmod 711 "$work"
logs=$work/logs
[ -z "$keep" ] || logs=$(cd "$called_from" && realpath -m "$keep")
mkdir -p "$logs"
[ -z "$(ls -A "$logs")" ] || die "$logs is not empty"
# Of all that the user's shell has for other clouds.
unset "${!OS_@}"

# Each story has its own, which may be called twice.
take_down() {
    true
}

finish() {
    local code=$?
    trap - EXIT
    trap '' INT TERM HUP PIPE
    # Whatever fails now, as to write to a terminal that is gone.
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

# bounded COMMAND...: run a program, which has to end within the limit.
bounded() {
    local status=0
    timeout --foreground -k 10 "$limit" "$@" || status=$?
    [ $status -ne 124 ] || echo "Not done within $limit s: $*" >&2
    return $status
}

# openstack WORDS...: what waits for a server waits for ever by itself.
openstack() {
    bounded openstack "$@"
}

# run COMMAND...: show it, then do it.
run() {
    printf '\n\033[36m$ %s\033[0m\n' "$*"
    bounded "$@"
}

# wait_for STATUS SERVER: as a user would, by asking.
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

# start NAME COMMAND...: in the background, with a log of its own.
start() {
    "${@:2}" >"$logs/$1.out" 2>"$logs/$1.log" &
    pids[$1]=$!
}

# wait_until_said NAME WORDS: wait until what was started says so.
wait_until_said() {
    local until=$((SECONDS + patience))
    until grep -q "$2" "$logs/$1.out" "$logs/$1.log"; do
        kill -0 "${pids[$1]}" 2>/dev/null || die "$1 did not start"
        [ $SECONDS -lt $until ] || die "$1 does not say '$2' within" \
            "$patience s; it said last:" \
            "$(tail -q -n 1 "$logs/$1.log" "$logs/$1.out")"
        sleep 0.05
    done
}

# stop NAME...: let what was started end in good order, side by side.
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
. "tools/demo_$story.sh"
say "The demo is over, after $((($(date +%s%N) - began) / 1000000000)) s."
