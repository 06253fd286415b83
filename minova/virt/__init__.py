# SPDX-License-Identifier: Apache-2.0
"""The hypervisors: what can be asked of one, and those that answer.

A driver is asked; it never calls back, knows no operation and no database.
Whatever it does may be asked again after a crash at any point inside: each
method looks first and does what is missing.

* ``driver``: what can be asked; ``spec``: what it is told of a guest
* ``load``: which driver a host has, by its options
* ``libvirt/``: QEMU hosts, and embedded ones without real machines
* ``fake/``: guests that are only records
* ``transfer/``, ``configdrive/``: disks on their way between hosts, and the
  one by which a guest learns what it is
* ``shelf``, ``stock``: records on a disk; what a host says that it has
"""
