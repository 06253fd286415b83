# SPDX-License-Identifier: Apache-2.0
"""The fake hypervisor: guests and disks that are only records.

It behaves as a real one would: guests outlive the compute, a guest moves to
another host in one instant, what was begun and not finished is found so. It
can be told what to break and what to take time over. Tests, simulations and
benchmarks run on it.

* ``driver``: one host, made of ``host``, ``disks`` and ``moves``
* ``world``: all hosts, and what is done to them from outside
* ``hypervisor``, ``remote``, ``wire``: the same in a process of its own
"""
