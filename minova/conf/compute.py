# SPDX-License-Identifier: Apache-2.0
"""minova-compute: the hypervisor, what of the host may be promised, times."""

from oslo_config import cfg

GROUP = 'compute'

OPTIONS = [
    cfg.StrOpt(
        'driver',
        default='libvirt',
        choices=[
            ('libvirt', 'libvirt; see the [libvirt] group'),
            ('fake', 'guests that are only records; see the [fake] group'),
        ],
        help='The hypervisor.',
    ),
    cfg.StrOpt(
        'availability_zone',
        default='nova',
        help='The zone that the host lies in; a user may ask for one.',
    ),
    cfg.FloatOpt(
        'cpu_allocation_ratio',
        default=4.0,
        min=0.1,
        help='How many virtual processors are promised for a real one.',
    ),
    cfg.FloatOpt(
        'ram_allocation_ratio',
        default=1.0,
        min=0.1,
        help='How often the host memory is promised.',
    ),
    cfg.FloatOpt(
        'disk_allocation_ratio',
        default=1.0,
        min=0.1,
        help='How often the host disk is promised.',
    ),
    cfg.IntOpt(
        'reserved_host_memory_mb',
        default=512,
        min=0,
        help='Memory, in MiB, that is kept for the host itself.',
    ),
    cfg.IntOpt(
        'reserved_host_disk_gb',
        default=0,
        min=0,
        help='Disk, in GiB, that is kept for the host itself.',
    ),
    cfg.FloatOpt(
        'heartbeat_interval',
        default=10,
        min=0.05,
        help="""
Seconds between two signs of life. The answer to each lists the steps that the
host owes, so this is also how long a lost message can delay an action. Keep
it well below [conductor] service_down_time.
""",
    ),
    cfg.IntOpt(
        'max_concurrent_steps',
        default=32,
        min=1,
        help='How many steps the host works on at the same time.',
    ),
    cfg.HostAddressOpt(
        'transfer_address',
        default='$my_ip',
        help="""
The address at which the host receives disks of guests that are resized or
migrated to it. It listens there, and tells the other host so; see also
``transfer_port``. Embedded and fake hosts do not ask.
""",
    ),
    cfg.PortOpt(
        'transfer_port',
        default=9798,
        help="""
The TCP port at which the host receives disks; other hosts must reach it. 0:
any that is free, and the same again after a restart.
""",
    ),
    cfg.FloatOpt(
        'shutdown_timeout',
        default=60,
        min=0,
        help='Seconds that a guest is given to switch itself off.',
    ),
    cfg.FloatOpt(
        'wait_soft_reboot_seconds',
        default=120,
        min=0,
        help='Seconds that a guest is given to restart itself.',
    ),
    cfg.FloatOpt(
        'sync_power_state_interval',
        default=600,
        help="""
Seconds between two comparisons of all guests with the database. Events of the
hypervisor are acted on at once, this catches what they missed. Not positive:
never.
""",
    ),
    cfg.FloatOpt(
        'event_delay',
        default=3,
        min=0,
        help="""
Seconds between a guest's change and the comparison it leads to: a guest that
reboots stops too, and is running again by then.
""",
    ),
]
