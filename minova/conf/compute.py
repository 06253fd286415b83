# SPDX-License-Identifier: Apache-2.0
"""[compute]: minova-compute, its driver, capacity and intervals."""

from oslo_config import cfg

GROUP = 'compute'

OPTIONS = [
    cfg.StrOpt(
        'compute_driver',
        default='libvirt',
        choices=[
            ('libvirt', 'QEMU or embedded hosts; see the [libvirt] group'),
            ('fake', 'guests that are records only; see the [fake] group'),
        ],
        help='The hypervisor driver of this host.',
    ),
    cfg.StrOpt(
        'availability_zone',
        default='nova',
        help="""
The availability zone of this host. A request that names a zone gets a host of
that zone only.
""",
    ),
    cfg.StrOpt(
        'cpu_dedicated_set',
        help="""
The host CPUs that guests with hw:cpu_policy=dedicated get, each for one vCPU,
as in 4-12,^8,15. When it is not set, such guests get no place on this host.
CPUs in neither this option nor cpu_shared_set run no guests. A change has an
effect on guests that are created or moved later, or rebooted hard.
""",
    ),
    cfg.StrOpt(
        'cpu_shared_set',
        help="""
The host CPUs that all other guests share, as in 0-3. When it is not set, these
guests share all CPUs; with cpu_dedicated_set alone they get no place on this
host. The sets must not overlap. See also cpu_allocation_ratio, which counts
these CPUs.
""",
    ),
    cfg.FloatOpt(
        'cpu_allocation_ratio',
        default=4.0,
        min=0.1,
        help="""
CPU overcommit ratio: the number of vCPUs that the scheduler allocates for each
host CPU; at least 0.1. A high ratio places more instances, which then share
CPU time.
""",
    ),
    cfg.FloatOpt(
        'ram_allocation_ratio',
        default=1.0,
        min=0.1,
        help="""
RAM overcommit ratio: the scheduler allocates the host's memory, without
reserved_host_memory_mb, times this number; at least 0.1. With a ratio above
1.0 the host needs enough swap.
""",
    ),
    cfg.FloatOpt(
        'disk_allocation_ratio',
        default=1.0,
        min=0.1,
        help="""
Disk overcommit ratio: the scheduler allocates the host's disk space, without
reserved_host_disk_gb, times this number; at least 0.1. Instance disks are
sparse, but with a ratio above 1.0 they can fill the file system.
""",
    ),
    cfg.IntOpt(
        'reserved_host_memory_mb',
        default=512,
        min=0,
        help="""
Memory of the host, in MiB, that the scheduler does not allocate to instances.
Increase it where other services run on the host.
""",
    ),
    cfg.IntOpt(
        'reserved_host_disk_gb',
        default=0,
        min=0,
        help="""
Disk space of the host, in GiB, that the scheduler does not allocate to
instances. The image cache needs space besides the instance disks.
""",
    ),
    cfg.BoolOpt(
        'force_config_drive',
        default=False,
        help="""
Attach a config drive to every instance that is created on this host, even if
the user does not request it. The instance keeps its config drive when it moves
to a host without this option.
""",
    ),
    cfg.StrOpt(
        'enrollment_token_file',
        default='$state_path/enrollment-token',
        help="""
The file with the token that minova-manage host enroll has printed for this
host. The compute service reads it with each attempt to enroll, so that no
restart is needed, and removes it afterwards. See also [conductor]
host_enrollment.
""",
    ),
    cfg.StrOpt(
        'image_cache_directory',
        default='$state_path/image-cache',
        help="""
The directory of cached images. The disk of an instance on a QEMU host is an
overlay over a cached image, so hosts that share [libvirt] instances_path must
also share this directory, at the same path. See also image_cache_max_age.
""",
    ),
    cfg.FloatOpt(
        'live_migration_timeout',
        default=0,
        min=0,
        help="""
Seconds after which a live migration that is still in progress ends as
live_migration_timeout_action says. The option of the source host counts. The
preparation on the destination is not counted, and a restart of the source's
compute service restarts the count. 0: only the deadline of the operation ends
the migration.
""",
    ),
    cfg.StrOpt(
        'live_migration_timeout_action',
        default='abort',
        choices=[
            ('abort', 'the guest stays on the source'),
            ('force_complete', 'pause the guest, or switch to post-copy'),
        ],
        help="""
What happens to a live migration that exceeds live_migration_timeout. See also
[libvirt] live_migration_permit_post_copy.
""",
    ),
    cfg.IntOpt(
        'max_concurrent_steps',
        default=32,
        min=1,
        help="""
The number of steps that the host runs at the same time; at least 1. Further
steps wait. As many steps that delete servers run beside them, so that a delete
does not wait for the steps that it ends.
""",
    ),
    cfg.IntOpt(
        'image_cache_max_age',
        default=86400,
        min=0,
        help="""
Seconds after its last use at which an image is removed from the host's image
cache. An image is in use while an instance disk is an overlay over it. 0:
images are never removed. See also image_cache_manager_interval.
""",
    ),
    cfg.FloatOpt(
        'image_cache_manager_interval',
        default=3600,
        min=1,
        help="""
Seconds between two runs of the image cache manager, which removes images that
are older than image_cache_max_age and temporary files of crashed downloads; at
least 1.
""",
    ),
    cfg.HostAddressOpt(
        'transfer_address',
        default='$my_ip',
        help="""
The address at which this host receives the disks of instances that are resized
or migrated to it. The host listens there and sends the address to the other
host. See also transfer_port. Embedded and fake hosts do not use it.
""",
    ),
    cfg.PortOpt(
        'transfer_port',
        default=9798,
        help="""
The TCP port at which this host receives disks; open it between the hosts. 0: a
free port, which the host uses again after a restart. See also
transfer_address.
""",
    ),
    cfg.FloatOpt(
        'shutdown_timeout',
        default=60,
        min=0,
        help="""
Seconds that a guest gets to shut down cleanly before it is powered off. 0:
every guest is powered off at once.
""",
    ),
    cfg.FloatOpt(
        'wait_soft_reboot_seconds',
        default=120,
        min=0,
        help="""
Seconds that a guest gets to restart itself on a soft reboot before it is
rebooted hard.
""",
    ),
    cfg.FloatOpt(
        'sync_power_state_interval',
        default=600,
        help="""
Seconds between two power synchronizations, which compare all guests of the
host with the database. Events of the hypervisor are handled at once; this run
finds the changes whose event was lost. 0 or less: never.
""",
    ),
    cfg.FloatOpt(
        'lifecycle_event_delay',
        default=3,
        min=0,
        help="""
Seconds between a lifecycle event of a guest and the power synchronization of
that guest. A guest that reboots stops for a moment; the delay keeps this from
being recorded as a stop.
""",
    ),
]
