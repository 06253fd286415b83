# SPDX-License-Identifier: Apache-2.0
"""Several libvirt hosts on one machine, for tests, demonstrations and trials.

Not for operation: the hosts share the machine's memory and disks. ``hosts``
brings them up and takes them down, ``guest`` makes a tiny guest to boot.
"""
