# SPDX-License-Identifier: Apache-2.0
"""What every process needs to know about the machine it runs on."""

import socket

from oslo_config import cfg

GROUP = None

OPTIONS = [
    cfg.HostAddressOpt(
        'host',
        default=socket.gethostname(),
        sample_default='<hostname>',
        help="""
The name of this host. A compute service is addressed by it on the message bus
and named by it in the API and in notifications. It must not change while the
host has instances.
""",
    ),
    cfg.HostAddressOpt(
        'my_ip',
        default='127.0.0.1',
        help="""
The address at which other hosts reach this one, for migrations and transfers.
""",
    ),
    cfg.StrOpt(
        'state_path',
        default='/var/lib/minova',
        help="""
The directory in which a service keeps what must outlive it: instance disks,
the embedded hypervisors, the embedded images. One directory a host.
""",
    ),
    cfg.IntOpt(
        'rpc_retry',
        default=2,
        min=0,
        help="""
How often a message is sent again when the broker refuses or is away, before
the sender is told. What matters is in the database, so this is kept short.
""",
    ),
]
