# SPDX-License-Identifier: Apache-2.0
"""The fake hypervisor: hosts and guests that are only records.

Tests and simulations use it, in one process or as a process of its own. It
runs the same contract tests as the real drivers and can inject faults and
delays.

============== ===============================================================
module         what it holds
============== ===============================================================
world          all fake hosts, and what happens to them from outside
host           a fake host: its records, faults and delays
interfaces     the network interfaces of its guests
disks          its disks
snapshots      copies of its disks, for images
live_migration its live migrations
driver         its driver
protocol       the messages between a compute service and the hypervisor
hypervisor     the hypervisor as a process of its own
remote         the driver that talks to that process
============== ===============================================================
"""
