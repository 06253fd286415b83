# SPDX-License-Identifier: Apache-2.0
"""The schemas of request bodies and queries.

================= ==========================================================
types             JSON Schema types that several bodies use
bodies            validation of bodies; one schema per microversion range
queries           parsing and validation of query parameters
patterns          regular expressions in filters, portable and bounded
servers           create and update of a server, metadata and tags
server_actions    the actions of a server and of a live migration
interfaces        the attachment of an interface
rebuild           the action rebuild of a server
floating_ips      floating IPs
external_events   the events that other services report
flavors           flavors and extra specs
key_pairs         key pairs
quotas            quota sets and quota class sets
consoles          remote consoles
services          compute services
aggregates        host aggregates
server_groups     server groups
================= ==========================================================

Keys, types and bounds are those of the Compute API reference.
"""
