# SPDX-License-Identifier: Apache-2.0
"""minova-compute: the hypervisor, what of the host may be promised, times."""

from oslo_config import cfg

GROUP = 'compute'

OPTIONS = [
    cfg.StrOpt(
        'compute_driver',
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
    cfg.BoolOpt(
        'force_config_drive',
        default=False,
        help="""
Give each instance that is created on this host a config drive, whether its
user asked for one or not. It keeps it wherever it goes.
""",
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
    cfg.StrOpt(
        'image_cache_directory',
        default='$state_path/image-cache',
        help="""
Where the images are kept that disks are made from. Disks of QEMU hosts hold
only what differs from them: hosts that share [libvirt] instances_path
must share this too, at the same path.
""",
    ),
    cfg.FloatOpt(
        'live_migration_timeout',
        default=0,
        min=0,
        help="""
Seconds after which a live migration that is still under way is ended as
live_migration_timeout_action says; the option of the source counts. What the
destination makes ready before is not in them, and a restart of the compute of
the source begins them anew. 0: only the deadline of the operation ends it.
""",
    ),
    cfg.StrOpt(
        'live_migration_timeout_action',
        default='abort',
        choices=[
            ('abort', 'the guest stays where it is'),
            ('force_complete', 'it is moved even if it stands still for that'),
        ],
        help='How a live migration ends that takes too long.',
    ),
    cfg.IntOpt(
        'max_concurrent_steps',
        default=32,
        min=1,
        help='How many steps the host works on at the same time.',
    ),
    cfg.IntOpt(
        'image_cache_max_age',
        default=86400,
        min=0,
        help="""
Seconds after its last use at which an image is removed from the host's image
cache. One is in use as long as a disk is made on it. 0: images are never
removed.
""",
    ),
    cfg.FloatOpt(
        'image_cache_manager_interval',
        default=3600,
        min=1,
        help="""
Seconds between two looks for images that may be removed from the image cache,
and for what crashes have left there.
""",
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
        'lifecycle_event_delay',
        default=3,
        min=0,
        help="""
Seconds between a guest's change and the comparison it leads to: a guest that
reboots stops too, and is running again by then.
""",
    ),
]
