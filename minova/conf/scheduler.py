# SPDX-License-Identifier: Apache-2.0
"""Where instances go."""

from oslo_config import cfg

GROUP = 'scheduler'

OPTIONS = [
    cfg.IntOpt(
        'max_attempts',
        default=3,
        min=1,
        help='How many hosts are tried for a new or a moved instance.',
    ),
    cfg.BoolOpt(
        'allow_resize_to_same_host',
        default=False,
        help='Let a resize choose the host on which the instance is.',
    ),
    cfg.FloatOpt(
        'ram_weight_multiplier',
        default=1.0,
        help="""
How much free memory counts when a host is chosen. Positive spreads instances
over the hosts, negative fills one host after the other.
""",
    ),
    cfg.FloatOpt(
        'cpu_weight_multiplier',
        default=1.0,
        help='How much free virtual processors count; as above.',
    ),
    cfg.FloatOpt(
        'disk_weight_multiplier',
        default=1.0,
        help='How much free disk counts; as above.',
    ),
    cfg.IntOpt(
        'max_live_migration_candidates',
        default=5,
        min=1,
        help='How many hosts are asked before a live migration is refused.',
    ),
    cfg.FloatOpt(
        'host_state_max_age',
        default=1.0,
        min=0,
        help="""
How old the list of hosts may be that a conductor chooses from. Claims are
checked against the database in any case.
""",
    ),
]
