# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Sourced by demo.sh: two libvirt hosts with QEMU, RabbitMQ, PostgreSQL, each
# service a process, and a guest that counts.

rig=$work/rig
record=$logs/counts
# Shared by all services; each compute adds a file with its own options.
conf=$logs/minova.conf

take_down() {
    local code=0
    stop moving watch api conductor host1 host2 || code=$?
    stop servers || code=$?
    bounded minova-rig --directory "$rig" down >/dev/null || code=$?
    return $code
}

# write_configuration: write the shared file with the servers' addresses.
write_configuration() {
    cat >"$conf" <<END
[DEFAULT]
$(grep transport_url "$logs/servers.out")
state_path = $logs/data
[database]
$(grep connection "$logs/servers.out")
[api]
auth_strategy = embedded
osapi_compute_listen_port = 0
[image]
service = embedded
[compute]
compute_driver = libvirt
transfer_port = 0
shutdown_timeout = 20
[libvirt]
emulator = $emulator
END
}

# write_host NAME ADDRESS URI PEER_URI: write the options of one compute, from
# the output of minova-rig.
write_host() {
    cat >"$logs/$1.conf" <<END
[DEFAULT]
host = $1
my_ip = $2
[compute]
image_cache_directory = $rig/$1/images
[libvirt]
connection_uri = $3
live_migration_uri = $4
virt_type = qemu
instances_path = $rig/$1/disks
END
}

# counted [SERVER]: print the last counter line from a guest's console log.
counted() {
    openstack console log show "${1:-web}" | grep -a '^COUNT' | tail -n 1
}

# short: shorten the tokens in lines of the console.
short() {
    sed -E 's/=([0-9a-f]{8})[-0-9a-f]+/=\1/g'
}

# token NAME LINE: print one token of a console line.
token() {
    grep -o "$1=[^ ]*" <<<"$2"
}

# wait_for_count OTHER [SERVER]: wait for a counter line that lacks OTHER.
wait_for_count() {
    for _ in $(seq 60); do
        line=$(counted "${2:-web}") && [[ $line != *"$1"* ]] && return
        sleep 0.5
    done
    die 'the guest does not count'
}

# compare BEFORE AFTER SAME OTHER: check two lines: the tokens SAME must be
# equal, the tokens OTHER must differ.
compare() {
    local name
    short <<<"before  $1"
    short <<<"after   $2"
    for name in $3 $4; do
        [ "$(token "$name" "$2")" != "$name=none" ] ||
            die "the guest has no $name"
    done
    for name in $3; do
        [ "$(token "$name" "$1")" = "$(token "$name" "$2")" ] ||
            die "the guest has another $name"
        echo "The same $name."
    done
    for name in $4; do
        [ "$(token "$name" "$1")" != "$(token "$name" "$2")" ] ||
            die "the guest has the same $name"
        echo "Another $name."
    done
}

say 'Two libvirt hosts on this machine, separated by namespaces'
start servers env TMPDIR="$work" python tools/demo_servers.py
run minova-rig --directory "$rig" up --hosts 2
echo "Guests run on $emulator"

say 'RabbitMQ, PostgreSQL, api, conductor, two computes: one process each'
wait_for_output servers connection
write_configuration
minova-rig --directory "$rig" status |
    awk '/ up, /      { host = $1; address = $NF }
         /^  here /      { uri = $NF }
         /^  for others/ { print host, address, uri, $NF }' \
        >"$logs/hosts"
while read -r name address uri peer_uri; do
    write_host "$name" "$address" "$uri" "$peer_uri"
done <"$logs/hosts"
bounded minova-manage --config-file "$conf" db sync >/dev/null
start conductor minova-conductor --config-file "$conf"
start api minova-api --config-file "$conf"
for host in host1 host2; do
    start $host minova-compute --config-file "$conf" \
        --config-file "$logs/$host.conf"
done
for name in conductor api host1 host2; do
    wait_for_output $name 'is ready'
done
url=$(grep -oh -m 1 'http://[^/ ]*' "$logs/api.out" "$logs/api.log")
echo "Ready after $((($(date +%s%N) - began) / 1000000)) ms, at $url."
export OS_AUTH_URL=$url/identity/v3 OS_IDENTITY_API_VERSION=3 \
    OS_USERNAME=admin OS_PROJECT_NAME=admin OS_USER_DOMAIN_NAME=Default \
    OS_PROJECT_DOMAIN_NAME=Default
OS_PASSWORD=$(cat "$logs/data/identity/admin-password")
export OS_PASSWORD

say 'A guest that counts: a kernel, a ramdisk, an empty disk'
run openstack hypervisor list
run openstack flavor create --ram 96 --disk 1 -c name -c ram counter
run openstack flavor create --ram 128 --disk 2 -c name -c ram larger
for part in kernel ramdisk; do
    file=$(awk -v part=$part '$1 == part { print $2 }' <<<"$guest")
    run openstack image create --disk-format raw --container-format bare \
        --file "$file" -c name -c size $part
done
command_line=$(sed -n 's/^command line  *//p' <<<"$guest")
kernel=$(openstack image show kernel -f value -c id)
ramdisk=$(openstack image show ramdisk -f value -c id)
truncate -s 1M "$work/empty"
run openstack image create --disk-format raw --container-format bare \
    --file "$work/empty" -c name -c size \
    --property kernel_id="$kernel" \
    --property ramdisk_id="$ramdisk" \
    --property os_command_line="$command_line" counter
start watch python tools/demo_counts.py watch "$record" \
    host1="$rig/host1/disks" host2="$rig/host2/disks"
run openstack server create --image counter --flavor counter --wait \
    -c id -c status -c OS-EXT-SRV-ATTR:host web
id=$(openstack server show web -f value -c id)
wait_for_count nothing
run openstack console log show --lines 3 web

say 'Live migration of the counting guest to the other host'
printf '\n\033[36m$ %s\033[0m\n' \
    'openstack server migrate --live-migration --wait web'
start moving timeout -k 10 "$limit" \
    openstack server migrate --live-migration --wait web
while kill -0 "${pids[moving]}" 2>/dev/null; do
    tail -n 1 "$record" | short
    sleep 1
done
wait "${pids[moving]}" ||
    die "not migrated within $limit s: $(cat "$logs/moving.log")"
unset 'pids[moving]'
wait_for_count nothing
stop watch
run openstack server show web -c OS-EXT-SRV-ATTR:host -c status
run openstack server migration list --server web \
    -c 'Source Compute' -c 'Dest Compute' -c Status -c Type

say 'Counter lines of both consoles, by time'
run python tools/demo_counts.py report "$record"

say 'Resize to the other host, with its disk; the guest boots there'
before=$(counted)
run openstack server resize --flavor larger --wait web
run openstack server show web -c flavor -c OS-EXT-SRV-ATTR:host -c status
wait_for_count "$(token boot "$before")"
compare "$before" "$line" disk 'boot memory'
run openstack server resize confirm web
wait_for ACTIVE web

say 'Suspend and resume: the memory is saved and restored'
before=$(counted)
run openstack server suspend web
wait_for SUSPENDED web
run openstack server resume web
wait_for ACTIVE web
wait_for_count "$before"
compare "$before" "$line" 'boot memory disk' ''

say 'Reboot'
before=$line
run openstack server reboot --hard --wait web
wait_for_count "$(token boot "$before")"
compare "$before" "$line" disk 'boot memory'

say 'Snapshot of the running guest; another server boots from it'
before=$line
run openstack server image create --name counter-copy --wait \
    -c name -c size -c status web
run openstack server create --image counter-copy --flavor larger --wait \
    -c status -c OS-EXT-SRV-ATTR:host copy
wait_for_count nothing copy
compare "$before" "$line" disk 'boot memory'
run openstack server delete --wait copy

say 'Rebuild: the same server with a new disk'
before=$(counted)
run openstack server rebuild --image counter --wait -c id web
wait_for_count "$(token boot "$before")"
compare "$before" "$line" '' 'disk boot memory'

say 'Timeline, from the records of operations and notifications'
run openstack server event list web
run minova-manage --config-file "$conf" timeline "$id" --kind live_migrate

say 'Deleted: no guest, no file, no process is left'
run openstack server delete --wait web
run openstack server list
run minova-rig --directory "$rig" status
left=$(find "$rig"/host*/disks -mindepth 1 ! -name '.probe-*')
[ -z "$left" ] || die "these files are left: $left"
minova-rig --directory "$rig" status | grep -c ' up, 0 guests' |
    grep -q -x 2 || die 'guests are left'
take_down
left=$(pgrep -f "$work/" || true)
[ -z "$left" ] || die "these processes are left: $left"
