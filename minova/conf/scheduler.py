# SPDX-License-Identifier: Apache-2.0
"""[scheduler]: how a conductor selects a host."""

from oslo_config import cfg

GROUP = 'scheduler'

OPTIONS = [
    cfg.IntOpt(
        'max_attempts',
        default=3,
        min=1,
        help="""
The number of hosts that are tried for a build, a resize or a cold migration;
at least 1. Then the operation fails. 1: a failure on the first host is not
retried.
""",
    ),
    cfg.BoolOpt(
        'allow_resize_to_same_host',
        default=False,
        help="""
Allow a resize to select the host on which the instance is. The host needs the
resources of both flavors until the resize is confirmed or reverted. A cloud
with one host needs this option for a resize.
""",
    ),
    cfg.FloatOpt(
        'ram_weight_multiplier',
        default=1.0,
        help="""
The weight of free memory in the selection of a host. A positive number spreads
instances over the hosts, a negative number fills one host after the other, 0
ignores memory. See also cpu_weight_multiplier and disk_weight_multiplier.
""",
    ),
    cfg.FloatOpt(
        'cpu_weight_multiplier',
        default=1.0,
        help="""
The weight of free vCPUs in the selection of a host; see ram_weight_multiplier.
""",
    ),
    cfg.FloatOpt(
        'disk_weight_multiplier',
        default=1.0,
        help="""
The weight of free disk space in the selection of a host; see
ram_weight_multiplier.
""",
    ),
    cfg.IntOpt(
        'max_live_migration_candidates',
        default=5,
        min=1,
        help="""
The number of hosts that are checked as destination of a live migration, and
the number of hosts that may fail to prepare for the guest; at least 1. When
none of them can receive the guest, the migration fails with no valid host.
""",
    ),
    cfg.FloatOpt(
        'host_state_max_age',
        default=1.0,
        min=0,
        help="""
Seconds for which a conductor uses the host states it has read before it reads
them again. 0: it reads them for each selection. A claim is checked against the
database in any case, so old host states cause retries but no overcommit.
""",
    ),
]
