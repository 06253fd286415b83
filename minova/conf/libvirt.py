# SPDX-License-Identifier: Apache-2.0
"""libvirt: where it is reached, what guests get, the embedded hosts."""

from oslo_config import cfg

GROUP = 'libvirt'

OPTIONS = [
    cfg.StrOpt(
        'connection_uri',
        default='qemu:///system',
        help="""
How libvirt is reached. ``test:///`` stands for an embedded host: guests of
libvirt's own test driver, without a daemon and without real machines, kept
below ``embedded_directory``. See also ``virt_type``.
""",
    ),
    cfg.StrOpt(
        'virt_type',
        default='qemu',
        choices=[
            ('qemu', 'emulated processors: works everywhere, slow'),
            ('kvm', "the host's processors; the host must really have KVM"),
        ],
        help="""
What the guests of a QEMU host run on. That /dev/kvm exists does not say that
KVM works: choose ``kvm`` when a guest has been seen to boot with it. Embedded
hosts do not ask.
""",
    ),
    cfg.FloatOpt(
        'connect_timeout',
        default=10,
        min=0.1,
        help="""
Seconds that libvirt is given to accept a connection. One that comes later is
used by whoever asks next.
""",
    ),
    cfg.HostAddressOpt(
        'vnc_listen',
        default='127.0.0.1',
        help="""
The address of the host at which the screens of its guests are reached by VNC.
Whoever reaches it sees them: VNC asks for no password.
""",
    ),
    cfg.StrOpt(
        'embedded_directory',
        default='$state_path/embedded',
        help="""
Where the embedded hosts of a machine keep their guests and disks, a directory
each, so that these outlive the services. Guests move only between hosts that
have it in common.
""",
    ),
    cfg.IntOpt(
        'embedded_vcpus',
        default=64,
        min=1,
        help='Processors that each embedded host says it has.',
    ),
    cfg.IntOpt(
        'embedded_memory_mb',
        default=262144,
        min=1,
        help='Memory, in MiB, that each embedded host says it has.',
    ),
    cfg.IntOpt(
        'embedded_disk_gb',
        default=2000,
        min=1,
        help="""
Disk, in GiB, that each embedded host says it has. Disks take as much of the
real one as was written to them.
""",
    ),
    cfg.FloatOpt(
        'embedded_migration_seconds',
        default=0.5,
        min=0,
        help="""
How long a live migration between two embedded hosts takes. It is acted out:
there is no memory to move.
""",
    ),
]
