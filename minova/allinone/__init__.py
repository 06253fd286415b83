# SPDX-License-Identifier: Apache-2.0
"""minova-allinone: a cloud in one process, without broker or database server.

================ ===========================================================
service          the services of the all-in-one: start and stop
settings         the options that differ from the defaults
hosts            the compute hosts: fake, embedded, or with QEMU
default_flavors  the flavors of an empty cloud
default_network  the network of an empty cloud
================ ===========================================================

The services are the real ones. The in-memory bus, SQLite, embedded hypervisors
and the embedded identity and image services replace the rest of a cloud. One
data directory contains everything; the next start uses it again.
"""
