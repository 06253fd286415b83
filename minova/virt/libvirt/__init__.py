# SPDX-License-Identifier: Apache-2.0
"""Hosts that are driven through libvirt.

General, for every hypervisor that libvirt knows:

* ``connection``: opening, reopening, events, errors
* ``xml``: what a guest is, in libvirt's language
* ``guests``, ``host``, ``disks``: the parts of a driver
* ``consoles``: what guests say, and where their screens are
* ``driver``: the parts put together

For libvirt's test driver alone, which has no real machines and forgets its
guests with the process:

* ``embedded``: a host that outlives its process
* ``embedded_guests``: its guests, in libvirt and written down
* ``records``: what it keeps, in a directory
* ``passage``: how a guest goes from one such host to another
* ``acted``: live migration between them, acted out

Importing this package does not need libvirt-python; its modules do.
"""
