# SPDX-License-Identifier: Apache-2.0
"""minova-conductor: who is taken to be alive, what is swept up, and when."""

from oslo_config import cfg

GROUP = 'conductor'

OPTIONS = [
    cfg.FloatOpt(
        'service_down_time',
        default=60,
        min=0.1,
        help="""
Seconds of silence, by the database's clock, after which a service is taken to
be down: nothing is placed on its host and what it owes is done without it
where that is possible.
""",
    ),
    cfg.FloatOpt(
        'sweep_interval',
        default=10,
        min=0.05,
        help="""
Seconds between two looks for steps that nobody has taken, hosts that are down
and operations that are late.
""",
    ),
    cfg.FloatOpt(
        'lease_time',
        default=15,
        min=0.2,
        help="""
Seconds for which one of several conductors holds the relay of notifications
or the sweeping. When it dies another one goes on after that long.
""",
    ),
    cfg.IntOpt(
        'workers',
        default=1,
        min=1,
        help='How many processes minova-conductor runs.',
    ),
    cfg.FloatOpt(
        'database_timeout',
        default=15,
        min=1,
        help="""
Seconds for which a conductor waits for an answer of the database before it
tells whoever asked that the database is away; computes then ask again. The
database itself gives up a statement a little earlier, and a transaction that
was left alone for twice as long. Keep it below [DEFAULT]
rpc_response_timeout and half a minute. See also [api] database_timeout.
""",
    ),
    cfg.IntOpt(
        'resize_confirm_window',
        default=0,
        min=0,
        help="""
Seconds after which a resize that nobody has confirmed or reverted is
confirmed. 0: never.
""",
    ),
    cfg.StrOpt(
        'unexpected_running_instance_action',
        default='adopt',
        choices=[
            ('adopt', 'call it active: somebody started it on purpose'),
            ('stop', 'stop or pause it again'),
        ],
        help="""
What is done about a guest that runs although its instance is stopped or
paused.
""",
    ),
    cfg.StrOpt(
        'running_deleted_instance_action',
        default='reap',
        choices=[
            ('reap', 'remove it and its disks'),
            ('log', 'only say so'),
        ],
        help="""
What is done about a guest on a host whose instance is deleted or belongs to
another host, and that no operation accounts for.
""",
    ),
]
