# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Sourced by demo.sh: a cloud in one process, with hosts of libvirt's test
# driver.

take_down() {
    stop allinone
}

say 'A cloud in one process: api, conductor, two computes'
data=$logs/data
start allinone minova-allinone --data-dir "$data" --port 0
wait_for_output allinone 'is ready'
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

say 'Live migration to the other host'
run openstack server migrate --live-migration --wait web
run openstack server show web -c OS-EXT-SRV-ATTR:host -c status
run openstack server migration list --server web

say 'Resize and revert; resize and confirm'
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

say 'Snapshot and rebuild'
run openstack server image create --name web-copy --wait -c name -c status web
run openstack server rebuild --image web-copy --wait -c id web

say 'Errors name the reason'
run openstack server resize --flavor m1.small web 2>&1 || true
run openstack server start web 2>&1 || true
run openstack server show nosuch 2>&1 || true

say 'Timeline, from the records of operations and notifications'
run openstack server event list web
id=$(openstack server show web -f value -c id)
run minova-manage --config-file "$data/minova.conf" timeline "$id" \
    --kind live_migrate --kind resize --kind confirm_resize

say 'Delete'
run openstack server delete --wait web
run openstack server list
take_down
