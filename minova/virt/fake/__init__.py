# SPDX-License-Identifier: Apache-2.0
"""The fake hypervisor: guests and disks that are only records.

It behaves as a real one would: guests outlive the compute, a guest moves to
another host in one instant, what was begun and not finished is found so. It
can be told what to break and what to take time over. Tests, simulations and
benchmarks run on it.
"""
