# SPDX-License-Identifier: Apache-2.0
"""Hypervisor drivers: the interface and its implementations.

A driver is called and never calls back; it knows no operations and no
database. A caller may repeat every method after a crash at any point: each
method reads the state first and does what is missing.

================= ============================================================
module            what it holds
================= ============================================================
driver            the interface of all drivers, and its data classes
spec              the GuestSpec of an instance
loader            the choice of the driver, by the configuration
libvirt           QEMU hosts, and embedded hosts without real guests
fake              hosts and guests that are only records
transfer          the transfer of disks from host to host
configdrive       the disk that tells a guest its configuration
host_contents     what a host holds: guests, disks, reserved addresses
simulated_time    the time of simulated migrations, as records store it
simulated_console the serial console of a simulated guest
record_store      small JSON records, in memory or in a directory
qemu_version      the version of a QEMU program
================= ============================================================
"""
