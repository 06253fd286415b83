# SPDX-License-Identifier: Apache-2.0
"""A whole cloud in one process, under a virtual clock, with faults to order.

The services are the real ones. What is replaced stands at the three seams:
the clock with its threads (``scheduler``, ``clock``), the message bus
(``network``) and the hypervisors (``hypervisor``); the database is SQLite in
memory (``database``). One thing happens at a time; which one, a seed decides.
Each point at which a process can be cut short has a number, and at any number
something may be ordered to happen (``faults``). Afterwards the invariants are
checked (``invariants``).

Nothing of it is loaded by a service.
"""
