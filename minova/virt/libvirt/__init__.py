# SPDX-License-Identifier: Apache-2.0
"""Hosts that are driven through libvirt.

General, for every hypervisor that libvirt knows:

* ``connection``: opening, reopening, events, errors
* ``xml``: what a guest is, in libvirt's language; ``hardware``, ``elements``:
  parts of it
* ``guests``, ``host``: the guests and the host as a driver is asked for them
* ``disks``: files in a directory a guest; ``owned``: whose a directory is;
  ``backing``: what a disk is over, by its header
* ``consoles``: what guests say, and where their screens are
* ``driver``: the parts put together

For QEMU, with real machines:

* ``qemu``: the driver of a host; ``site``: what a host is by its options;
  ``acceleration``: whether KVM works there
* ``profiles``: what its guests are like by the options; ``emulators``: which
  QEMU runs them
* ``qemu_disks``: its disks; of these ``qcow2`` makes and grows files,
  ``overlays`` checks what they stand on, ``remote`` hands them to other hosts
* ``moves``: live migration; ``sharing``: whether two hosts see one directory
* ``networks``: what guests are plugged into

For libvirt's test driver alone, which has no real machines and forgets its
guests with the process:

* ``embedded``: a host that outlives its process
* ``embedded_guests``: its guests, in libvirt and written down
* ``records``: what it keeps, in a directory
* ``passage``: how a guest goes from one such host to another
* ``acted``: live migration between them, acted out

Importing this package does not need libvirt-python; its modules do.
"""
