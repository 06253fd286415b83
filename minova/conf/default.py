# SPDX-License-Identifier: Apache-2.0
"""[DEFAULT]: the host of a service, its addresses, its heartbeat."""

import socket

from oslo_config import cfg

GROUP = None

OPTIONS = [
    cfg.HostAddressOpt(
        'host',
        default=socket.gethostname(),
        sample_default='<hostname>',
        help="""
The name of this host. The message bus addresses a compute service by this
name, and the API and the notifications show it. Do not change the name while
the host has instances: their records keep the old name.
""",
    ),
    cfg.HostAddressOpt(
        'my_ip',
        default='127.0.0.1',
        help="""
The IP address at which other hosts reach this host. It is the default of
[compute] transfer_address and [libvirt] live_migration_inbound_addr. With
127.0.0.1 no instance can be resized or migrated between hosts.
""",
    ),
    cfg.StrOpt(
        'state_path',
        default='/var/lib/minova',
        help="""
The directory of the data that outlives a service: instance disks, the image
cache, the embedded hypervisors, the embedded identity and image services. Each
host needs a directory of its own, except where a shared one is configured with
[libvirt] instances_path and [compute] image_cache_directory.
""",
    ),
    cfg.FloatOpt(
        'heartbeat_interval',
        default=10,
        min=0.05,
        help="""
Seconds between two heartbeats of a service; at least 0.05. The answer to a
compute's heartbeat lists the steps that are due on its host, so a lost message
delays a step by at most this time. A longer interval means fewer database
writes. Keep it below a third of [conductor] service_down_time.
""",
    ),
    cfg.FloatOpt(
        'worker_timeout',
        default=60,
        min=0,
        help="""
Seconds for which a worker process may not respond to its master process, as
when a thread of it is in C code that does not return. Then the master kills
the worker and starts another, which recovers the work in progress as after a
crash. A frozen worker is not killed. 0: no limit. At the end of a service
graceful_shutdown_timeout applies in any case.
""",
    ),
    cfg.IntOpt(
        'rpc_retry',
        default=2,
        min=0,
        help="""
How many times a message is sent again after the broker refused it or could not
be reached; 0: it is sent once. After the last attempt the sender gets an
error. The database has the state of every operation and a lost message only
delays a step, so a low number is sufficient.
""",
    ),
]
