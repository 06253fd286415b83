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
        default='auto',
        choices=[
            ('auto', 'kvm if it works: a tiny guest is run to find out'),
            ('kvm', "the host's processors; the host must really have KVM"),
            ('qemu', 'emulated processors: works everywhere, slow'),
        ],
        help="""
What the guests of a QEMU host run on. That /dev/kvm exists does not say that
KVM works, and so ``auto`` looks whether a guest of a few bytes runs on it,
each time a compute starts; this takes less than a second, and 20 seconds where
it hangs. The log says what was found. Guests move live only between hosts that
have the same. Embedded hosts do not ask.
""",
    ),
    cfg.StrOpt(
        'hw_machine_type',
        default='q35',
        regex=r'^(q35|pc|pc-(q35|i440fx)-[0-9]{1,2}\.[0-9]{1,2})$',
        help="""
The machine that the guests of a QEMU host get, unless their image says
otherwise (``hw_machine_type``). A guest keeps the version it was started with
until it is started anew: where hosts have different versions of QEMU name one
that all of them know, such as ``pc-q35-7.2``. Embedded hosts do not ask.
""",
    ),
    cfg.StrOpt(
        'cpu_mode',
        default='auto',
        choices=[
            ('auto', 'host-model with kvm, none with qemu'),
            ('none', 'what QEMU gives by default'),
            ('host-model', "like the host's, as far as libvirt can name it"),
            ('host-passthrough', "the host's own; guests move only to equals"),
            ('custom', 'the one of ``cpu_model``'),
        ],
        help="""
The processors that the guests of a QEMU host see. Guests move only to hosts
that can give them the same. Embedded hosts do not ask.
""",
    ),
    cfg.StrOpt(
        'cpu_model',
        default='',
        help="""
The model of the processors with ``cpu_mode = custom``, by libvirt's name; see
``virsh cpu-models x86_64``. The oldest one of the hosts between which guests
move is a good choice.
""",
    ),
    cfg.StrOpt(
        'emulator',
        default='',
        help="""
The path of the QEMU that guests run on. Empty: the one that libvirt chooses.
""",
    ),
    cfg.StrOpt(
        'disk_cachemode',
        default='auto',
        choices=[
            ('auto', 'none where the file system can, else writeback'),
            ('none', "beside the host's cache, which needs O_DIRECT"),
            ('writeback', 'through it; flushed when the guest says so'),
            ('writethrough', 'through it; each write is flushed'),
            ('directsync', 'beside it, each write is flushed'),
            ('unsafe', 'through it, never flushed: for trials only'),
        ],
        help="""
How the host caches what the guests of a QEMU host write. A guest is moved live
with the mode it has, so where the hosts have different file systems (tmpfs and
some network file systems know no O_DIRECT) set the same for all.
""",
    ),
    cfg.IntOpt(
        'mem_stats_period_seconds',
        default=10,
        min=0,
        help="""
Seconds between two looks at how much of its memory a guest uses, which its
balloon driver tells. 0: it is not asked.
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
        'instances_path',
        default='$state_path/instances',
        help="""
Where a QEMU host keeps the disks of its guests, a directory each. Hosts that
have it in common, which is found out by a file and not believed, move guests
without copying disks; they must have [compute] image_cache_directory in common
too, at the same path.
""",
    ),
    cfg.StrOpt(
        'live_migration_uri',
        default='qemu+tcp://$my_ip/system',
        help="""
How the libvirt of this host is reached by those of others, which send guests
to it: live migration is always from libvirt to libvirt.
""",
    ),
    cfg.HostAddressOpt(
        'live_migration_inbound_addr',
        default='$my_ip',
        help='The address at which guests that move to this host arrive.',
    ),
    cfg.IntOpt(
        'live_migration_bandwidth',
        default=0,
        min=0,
        help="""
MiB a second that a guest may use while it moves. 0: whatever there is.
""",
    ),
    cfg.BoolOpt(
        'live_migration_with_native_tls',
        default=False,
        help="""
Encrypt what is sent of guests that move, their memory and their disks. Both
hosts need certificates where their qemu.conf says (migrate_tls_x509_cert_dir).
""",
    ),
    cfg.IntOpt(
        'live_migration_downtime',
        default=500,
        min=1,
        help="""
Milliseconds for which a guest may stand still at the end of a live migration.
It begins with a tenth of that, and is given more while it does not get done;
see live_migration_downtime_delay.
""",
    ),
    cfg.FloatOpt(
        'live_migration_downtime_delay',
        default=10,
        min=0,
        help="""
Seconds between two such tenths.
""",
    ),
    cfg.BoolOpt(
        'live_migration_permit_auto_converge',
        default=True,
        help="""
Slow a guest down that changes its memory faster than it is copied.
""",
    ),
    cfg.BoolOpt(
        'live_migration_permit_post_copy',
        default=False,
        help="""
Let a live migration that is forced to its end go on at the destination before
all memory is there. When one of the hosts fails then, the guest is lost; it
does not stand still otherwise. Needs userfaultfd (sysctl
vm.unprivileged_userfaultfd where QEMU is not root's). If not, a migration that
is forced pauses the guest.
""",
    ),
    cfg.StrOpt(
        'tcg_migration_policy',
        default='refuse',
        choices=[
            ('refuse', 'such a guest is not moved while it runs'),
            ('pause', 'it stands still while it is moved'),
            ('post-copy', 'it goes on at the destination a second later'),
            ('trust', 'moved like any other'),
        ],
        help="""
What becomes of live migrations of guests with emulated processors (virt_type
qemu) under a QEMU older than 10: these were seen to corrupt the memory of a
guest that changes it meanwhile. Guests on KVM are not affected.
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
