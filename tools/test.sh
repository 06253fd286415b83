#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs every test and style check through tox; installs what is missing.
#   tools/test.sh                everything
#   tools/test.sh -e functional  one environment; arguments go to tox
#   tools/test.sh -e cloudimage  what takes too long to be among everything
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=tools/install.sh
. tools/install.sh

install_packages git gcc pkg-config python3-dev python3-venv libvirt-dev \
    libmariadb-dev rabbitmq-server mariadb-server postgresql graphviz \
    libvirt-daemon qemu-system-x86 qemu-utils busybox-static \
    dnsmasq-base iptables mmdebstrap fakeroot e2fsprogs uidmap
make_environment 'tox>=4.11' tox-uv
say 'Running tox'
.venv/bin/tox run "$@"
