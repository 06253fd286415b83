# SPDX-License-Identifier: Apache-2.0
"""Hosts on libvirt's test driver: no real guests, but they survive a restart.

============== ===============================================================
module         what it holds
============== ===============================================================
driver         the driver of a host
host           the host; polls for guests that arrive or leave
host_lock      the lock by which one process runs a host
store          the records of all hosts of a machine
guests         the guests: libvirt's domains and stored records
interfaces     their network interfaces
disks          the disks: plain files
consoles       the consoles: serial ones are simulated
diagnostics    the diagnostics, from the definitions
guest_agent    the refusal of requests to guest agents
snapshots      copies of the disks, for images
live_migration simulated live migration
handover       the handover of a guest from host to host
============== ===============================================================
"""
