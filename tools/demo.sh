#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Shows the main job: a cloud in one process, driven by the stock client.
# Installs what is missing, leaves no process and no data behind, exits 0.
#   tools/demo.sh [--keep DIR]   keep the data in DIR
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=tools/install.sh
. tools/install.sh

data=''
if [ "${1:-}" = --keep ]; then
    data=${2:?give a directory after --keep}
fi

install_packages gcc pkg-config python3-dev python3-venv libvirt-dev
make_environment -e '.[libvirt]' 'python-openstackclient>=10.0.0'
PATH=$PWD/.venv/bin:$PATH

work=$(mktemp -d)
data=${data:-$work/data}
cloud=''

finish() {
    local code=$?
    trap - EXIT
    if [ -n "$cloud" ] && kill -TERM "$cloud" 2>/dev/null; then
        wait "$cloud" || true
    fi
    if [ $code -ne 0 ] && [ -f "$work/log" ]; then
        echo "The demo failed; the end of the log:" >&2
        tail -n 30 "$work/log" >&2
    fi
    rm -rf "$work"
    exit $code
}
trap finish EXIT
trap 'exit 130' INT TERM

# run COMMAND...: show it, then do it.
run() {
    printf '\n\033[36m$ %s\033[0m\n' "$*"
    "$@"
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

say 'A cloud in one process: api, conductor, two computes'
began=$(date +%s%N)
minova-allinone --data-dir "$data" --port 0 >"$work/out" 2>"$work/log" &
cloud=$!
until grep -q 'is ready' "$work/out"; do
    kill -0 "$cloud" 2>/dev/null || die 'minova-allinone did not start'
    sleep 0.05
done
echo "Ready after $((($(date +%s%N) - began) / 1000000)) ms."
export OS_CLIENT_CONFIG_FILE=$data/clouds.yaml OS_CLOUD=minova

say 'The stock client'
run openstack compute service list
run openstack hypervisor list
head -c 1048576 /dev/zero >"$work/image.raw"
run openstack image create --disk-format raw --container-format bare \
    --file "$work/image.raw" -c id -c name -c status -c size tiny
run openstack server create --image tiny --flavor m1.tiny --wait \
    -c id -c status -c OS-EXT-SRV-ATTR:host web
run openstack server list --long -c Name -c Status -c 'Power State' -c Host

say 'To another host, while it runs'
run openstack server migrate --live-migration --wait web
run openstack server show web -c OS-EXT-SRV-ATTR:host -c status
run openstack server migration list --server web

say 'To another size, and back; to another size, and stay'
run openstack server resize --flavor m1.small --wait web
run openstack server show web -c flavor -c status
run openstack server resize revert web
wait_for ACTIVE web
run openstack server resize --flavor m1.small --wait web
run openstack server resize confirm web
wait_for ACTIVE web

say 'Reboot, stop, start'
run openstack server reboot --soft --wait web
run openstack server reboot --hard --wait web
run openstack server stop web
wait_for SHUTOFF web
run openstack server start web
wait_for ACTIVE web

say 'What cannot be is said'
run openstack server resize --flavor m1.small web 2>&1 || true
run openstack server start web 2>&1 || true
run openstack server show nosuch 2>&1 || true

say 'What happened, and why: from the records of operations and notifications'
run openstack server event list web
id=$(openstack server show web -f value -c id)
run minova-manage --config-file "$data/minova.conf" timeline "$id" \
    --kind live_migrate --kind resize --kind confirm_resize

say 'Gone'
run openstack server delete --wait web
run openstack server list
say 'The demo is over.'
