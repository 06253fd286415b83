#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs minova-rig, which creates libvirt hosts with QEMU on this machine;
# installs missing packages.
#   tools/rig.sh up --hosts 2    start hosts; see also status and down
#   tools/rig.sh guest           build a small guest that counts on its console
#   tools/rig.sh image           build an image of Debian with cloud-init
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=tools/install.sh
. tools/install.sh

mapfile -t libvirt < <(libvirt_packages)
install_packages gcc pkg-config python3-dev python3-venv libvirt-dev \
    "${libvirt[@]}" qemu-system-x86 qemu-utils busybox-static \
    mmdebstrap fakeroot e2fsprogs uidmap
make_environment -c tools/locked/demo.txt -e '.[libvirt]'
exec .venv/bin/minova-rig "$@"
