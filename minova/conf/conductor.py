# SPDX-License-Identifier: Apache-2.0
"""[conductor]: minova-conductor, host liveness, sweeps and recovery."""

from oslo_config import cfg

GROUP = 'conductor'

OPTIONS = [
    cfg.FloatOpt(
        'service_down_time',
        default=60,
        min=0.1,
        help="""
Seconds without a heartbeat, by the database's clock, after which a service
counts as down; at least 0.1. The scheduler selects no host that is down, and
pending steps of that host are done without it where this is possible. Set it
to at least three times [DEFAULT] heartbeat_interval, otherwise hosts go down
when a single heartbeat is late.
""",
    ),
    cfg.FloatOpt(
        'sweep_interval',
        default=10,
        min=0.05,
        help="""
Seconds between two sweeps; at least 0.05. A sweep finds steps that no service
has started, hosts that are down and operations that are past their deadline.
One conductor sweeps at a time; see lease_time.
""",
    ),
    cfg.FloatOpt(
        'lease_time',
        default=15,
        min=0.2,
        help="""
Seconds for which one conductor holds the lease of the notification relay or of
the sweeper; at least 0.2. When that conductor dies, another one takes over
after this time, the sweeper after sweep_interval more. The holder renews the
lease when half of it has passed.
""",
    ),
    cfg.StrOpt(
        'host_enrollment',
        default='open',
        choices=[
            ('open', 'the first key that a new host name shows is accepted'),
            ('closed', 'only hosts that an operator has enrolled'),
        ],
        help="""
Whether a compute whose host name is new may register by itself. With
``closed`` run minova-manage host enroll for each host before its first start.
In both cases a host name that has a key gets another one only by minova-manage
host enroll --replace. Set the same value for all conductors.
""",
    ),
    cfg.IntOpt(
        'workers',
        default=1,
        min=1,
        help="""
The number of minova-conductor processes on this host. Each has its own
database connections, at most [database] max_pool_size.
""",
    ),
    cfg.FloatOpt(
        'database_timeout',
        default=15,
        min=1,
        help="""
Seconds for which a conductor waits for a reply of the database; at least 1.
Then the caller gets an error, and compute services retry. The database server
cancels a statement slightly earlier, and an idle transaction after twice this
time. Keep it below [DEFAULT] rpc_response_timeout and below 30 seconds. See
also [api] database_timeout.
""",
    ),
    cfg.IntOpt(
        'resize_confirm_window',
        default=0,
        min=0,
        help="""
Seconds after which a finished resize is confirmed automatically, unless the
user confirms or reverts it before. 0: never; the instance then holds resources
on both hosts until the user acts.
""",
    ),
    cfg.IntOpt(
        'reclaim_instance_interval',
        default=0,
        min=0,
        help="""
Seconds for which a deleted server can be restored. With a value above 0 DELETE
powers the guest off and keeps it with its disks, addresses and claim; users
restore the server with the action restore. A sweep removes it after that time;
see sweep_interval. 0: DELETE removes a server at once, and no sweep removes a
soft-deleted one. Set the same value for the api and all conductors.
""",
    ),
    cfg.IntOpt(
        'shelved_offload_time',
        default=0,
        min=-1,
        help="""
Seconds for which a shelved server stays on its host, with its disks and its
claim. Then a sweep offloads it: its host removes guest and disks, and the
resources are free. 0: as soon as it is shelved. -1: never; administrators
offload it with the action shelveOffload.
""",
    ),
    cfg.StrOpt(
        'unexpected_running_instance_action',
        default='adopt',
        choices=[
            ('adopt', 'set the instance to active'),
            ('stop', 'stop or pause the guest again'),
        ],
        help="""
What happens when a guest runs although its instance is stopped or paused.
``adopt`` assumes that an operator started the guest on purpose.
""",
    ),
    cfg.StrOpt(
        'running_deleted_instance_action',
        default='reap',
        choices=[
            ('reap', 'remove the guest and its disks'),
            ('log', 'log a warning only'),
        ],
        help="""
What happens to a guest whose instance is deleted or belongs to another host,
and that no operation uses. With ``log`` the guest keeps its resources until an
operator removes it.
""",
    ),
]
