#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Several libvirt hosts with QEMU on this machine: installs what is missing,
# then runs minova-rig.
#   tools/rig.sh up --hosts 2    bring them up; status and down do the rest
#   tools/rig.sh guest           make a tiny guest that counts on its console
#   tools/rig.sh image           make an image of Debian with cloud-init
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=tools/install.sh
. tools/install.sh

mapfile -t libvirt < <(libvirt_packages)
install_packages gcc pkg-config python3-dev python3-venv libvirt-dev \
    "${libvirt[@]}" qemu-system-x86 qemu-utils busybox-static \
    mmdebstrap fakeroot e2fsprogs uidmap
make_environment -e '.[libvirt]'
exec .venv/bin/minova-rig "$@"
