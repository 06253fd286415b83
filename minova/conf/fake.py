# SPDX-License-Identifier: Apache-2.0
"""The fake hypervisor: guests that are only records."""

from oslo_config import cfg

GROUP = 'fake'

OPTIONS = [
    cfg.StrOpt(
        'directory',
        help="""
Where the fake hosts keep their guests, so that these outlive the services.
All hosts of a cluster share it. By default ``fake`` in the state_path.
With a ``socket`` it is minova-fake-hypervisor that keeps them there; it keeps
them in its memory when this is not set.
""",
    ),
    cfg.StrOpt(
        'socket',
        help="""
The Unix socket at which minova-fake-hypervisor answers for all fake hosts. By
default every compute keeps its host itself, in ``directory``.
""",
    ),
    cfg.IntOpt('vcpus', default=1000, min=1, help='Processors of each host.'),
    cfg.IntOpt(
        'memory_mb', default=8000000, min=1, help='Memory of each host, MiB.'
    ),
    cfg.IntOpt(
        'disk_gb', default=600000, min=1, help='Disk of each host, GiB.'
    ),
    cfg.FloatOpt(
        'shutdown_seconds',
        default=0,
        min=0,
        help='How long a guest takes to switch itself off.',
    ),
    cfg.FloatOpt(
        'migration_seconds',
        default=0,
        min=0,
        help='How long a live migration takes.',
    ),
]
