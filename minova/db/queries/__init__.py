# SPDX-License-Identifier: Apache-2.0
"""Queries: every statement the product sends, one module per entity.

=============== ==============================================================
instances       instances and their faults, with the fence of every update
instance_tags   the tags of instances
operations      operations and their steps
migrations      migration records
hosts           services, hosts, claims and allocations
placements      the NUMA cells of guests, a part of allocations
host_usage      what projects and instances have allocated on hosts
message_keys    the keys that sign messages, and messages of one use
host_removal    what still uses a host, and the removal of a service
aggregates      host aggregates, and the zones that they give to hosts
server_groups   server groups, and the hosts that their policies allow
networks        networks
ports           ports: the addresses of instances
flavors         flavors
key_pairs       key pairs
quota_limits    limits of projects, users and quota classes
quota_usage     the usage of a project, and the lock for counting it
tenant_usage    the servers of projects in a period
usage_audits    the audits of the usage of instances, by period
console_tokens  console tokens
leases          leases among equal services
server_queries  servers as the API shows, filters and lists them
api_history     migrations and actions as the API lists them
paging          pages after a marker
outbox          notifications to publish
ledger          the outbox and its archive, read as one
archive         archiving and purging of finished rows
audit_snapshot  the rows that an audit compares
=============== ==============================================================

A function takes an open connection and runs in the transaction of its caller.
"""
