# SPDX-License-Identifier: Apache-2.0
"""[libvirt]: connection, guests, live migration and embedded hosts."""

from oslo_config import cfg

GROUP = 'libvirt'

OPTIONS = [
    cfg.StrOpt(
        'connection_uri',
        default='qemu:///system',
        help="""
The connection URI of libvirt. ``test:///`` selects an embedded host: guests of
libvirt's test driver inside the compute process, without a daemon and without
virtual machines, kept below ``embedded_directory``. See also ``virt_type``.
""",
    ),
    cfg.StrOpt(
        'virt_type',
        default='auto',
        choices=[
            ('auto', 'kvm if a test guest runs on it, else qemu'),
            ('kvm', 'hardware virtualization'),
            ('qemu', 'emulated CPUs: slow, works on every host'),
        ],
        help="""
The virtualization type of the guests of a QEMU host. ``auto`` runs a guest of
a few bytes on KVM at each start of the compute service, because an existing
/dev/kvm does not show that KVM works. This takes less than a second, or 20
seconds where KVM hangs; the log reports the result. Live migration needs two
hosts of the same type. Embedded hosts do not use it.
""",
    ),
    cfg.IntOpt(
        'device_detach_attempts',
        default=8,
        min=1,
        max=30,
        help="""
How often a running guest is asked to release a device, such as a network
interface, before its removal fails and the device stays. A guest ignores a
request while it boots. See also ``device_detach_timeout``.
""",
    ),
    cfg.IntOpt(
        'device_detach_timeout',
        default=20,
        min=1,
        max=60,
        help="""
Seconds to wait for a running guest to release a device before it is asked
again. With the defaults, a removal fails after 160 seconds. See also
``device_detach_attempts``.
""",
    ),
    cfg.StrOpt(
        'hw_machine_type',
        default='q35',
        regex=r'^(q35|pc|pc-(q35|i440fx)-[0-9]{1,2}\.[0-9]{1,2})$',
        help="""
The machine type of the guests of a QEMU host, unless the image has the
property ``hw_machine_type``. A running guest keeps its version of the type
until its next start. Where hosts have different versions of QEMU, name a
version that all of them support, such as ``pc-q35-7.2``; otherwise live
migration to an older QEMU fails. Embedded hosts do not use it.
""",
    ),
    cfg.IntOpt(
        'num_pcie_ports',
        default=16,
        min=0,
        max=28,
        help="""
The number of PCIe ports of a guest of the machine type ``q35`` or ``virt``.
Its disks, its first network interfaces and some other devices use about six;
each device that is attached while the guest runs needs a free one. With 0
libvirt chooses, and leaves one or none free. Applies to a guest from its next
hard reboot.
""",
    ),
    cfg.StrOpt(
        'cpu_mode',
        default='auto',
        choices=[
            ('auto', 'host-model with kvm, none with qemu'),
            ('none', "QEMU's default CPU"),
            ('host-model', "libvirt's model nearest to the host's CPU"),
            (
                'host-passthrough',
                "the host's CPU; migrates to equal hosts only",
            ),
            ('custom', 'the model that ``cpu_model`` names'),
        ],
        help="""
The CPU mode of the guests of a QEMU host. Live migration needs a destination
that supports the CPU of the guest; ``custom`` with a common ``cpu_model``
makes this true for different hosts. Embedded hosts do not use it.
""",
    ),
    cfg.StrOpt(
        'cpu_model',
        default='',
        help="""
The CPU model with ``cpu_mode = custom``, by libvirt's name; see ``virsh
cpu-models x86_64``. Choose the oldest model of the hosts between which guests
migrate. Required with ``custom`` and not allowed with another mode.
""",
    ),
    cfg.StrOpt(
        'qemu_group',
        default='auto',
        help="""
The group, by name or number, that may read the disks of guests and the cached
images: the group of QEMU's account. ``auto``: if this service is root and
``connection_uri`` ends with ``/system``, the group that qemu.conf names or
that of the account ``libvirt-qemu`` or ``qemu``; otherwise no group. Empty: no
group, because QEMU has the account of this service. Other accounts cannot read
these files.
""",
    ),
    cfg.StrOpt(
        'swtpm_state_path',
        default='',
        help="""
The directory in which libvirt keeps the states of emulated TPMs. Empty:
``/var/lib/libvirt/swtpm`` if ``connection_uri`` ends with ``/system``,
otherwise ``libvirt/qemu/swtpm`` in the configuration directory of this
account. A host whose service cannot write there gets no guests with a TPM.
""",
    ),
    cfg.StrOpt(
        'swtpm_user',
        default='tss',
        help="""
The account of swtpm, as ``swtpm_user`` in qemu.conf. A service that runs as
root gives the state of a TPM that arrives from another host to this account.
""",
    ),
    cfg.StrOpt(
        'emulator',
        default='',
        help="""
The path of the QEMU binary. Empty: libvirt selects one.
""",
    ),
    cfg.StrOpt(
        'disk_cachemode',
        default='auto',
        choices=[
            ('auto', 'none if the file system supports it, else writeback'),
            ('none', 'no host cache; needs O_DIRECT'),
            ('writeback', 'host cache, flushed when the guest flushes'),
            ('writethrough', 'host cache, each write is flushed'),
            ('directsync', 'no host cache, each write is flushed'),
            ('unsafe', 'host cache, never flushed: for trials only'),
        ],
        help="""
The cache mode of the disks of guests on a QEMU host. A live migration keeps
the mode of the guest, so set the same mode on all hosts where their file
systems differ: tmpfs and some network file systems do not support O_DIRECT,
which ``none`` and ``directsync`` need.
""",
    ),
    cfg.IntOpt(
        'mem_stats_period_seconds',
        default=10,
        min=0,
        help="""
Seconds between two reports of a guest's memory usage by its balloon driver. 0:
no reports.
""",
    ),
    cfg.FloatOpt(
        'connect_timeout',
        default=10,
        min=0.1,
        help="""
Seconds for which a compute waits for a connection to libvirt; at least 0.1. A
connection that is established later is used by the next caller.
""",
    ),
    cfg.BoolOpt(
        'snapshot_compression',
        default=False,
        help="""
Compress the snapshots of servers that are off. The images are smaller, the
copy takes several times as long and keeps one processor busy. QEMU does not
compress the copy of a server that runs.
""",
    ),
    cfg.StrOpt(
        'instances_path',
        default='$state_path/instances',
        help="""
The directory of the instance disks of a QEMU host; each guest has a directory
in it. Hosts that share it migrate guests without copying disks. A file in the
directory shows the hosts that they share it; no option is needed. Such hosts
must also share [compute] image_cache_directory, at the same path.
""",
    ),
    cfg.StrOpt(
        'live_migration_uri',
        default='qemu+tcp://%s/system',
        regex='%s',
        help="""
The URI at which the libvirt of this host reaches the libvirt of the
destination of a live migration; ``%s`` is the destination's
live_migration_inbound_addr. A live migration runs directly between the two, so
each host needs access to the other, for example by TLS (qemu+tls) or SSH
(qemu+ssh). The destination chooses nothing else of the URI.
""",
    ),
    cfg.HostAddressOpt(
        'live_migration_inbound_addr',
        default='$my_ip',
        help="""
The IP address or name at which this host receives guests in a live migration,
and at which the libvirt of the source reaches the libvirt of this host; see
live_migration_uri and live_migration_with_native_tls.
""",
    ),
    cfg.IntOpt(
        'live_migration_bandwidth',
        default=0,
        min=0,
        help="""
The maximum bandwidth of one live migration, in MiB per second. 0: unlimited,
so that a migration can use the whole network.
""",
    ),
    cfg.BoolOpt(
        'live_migration_with_native_tls',
        default=False,
        help="""
Encrypt the memory and the disks of guests in a live migration, by QEMU's TLS.
Both hosts need certificates in the directory that their qemu.conf names
(migrate_tls_x509_cert_dir). False: the data is sent unencrypted.
""",
    ),
    cfg.IntOpt(
        'live_migration_downtime',
        default=500,
        min=1,
        help="""
Milliseconds for which a live migration may pause the guest at its end; at
least 1. The migration starts with a tenth of this time and gets another tenth
every live_migration_downtime_delay seconds while it does not complete. A low
number can keep the migration of a busy guest from completing.
""",
    ),
    cfg.FloatOpt(
        'live_migration_downtime_delay',
        default=10,
        min=0,
        help="""
Seconds between two increases of the downtime of a live migration; see
live_migration_downtime. 0: the whole downtime is allowed at once.
""",
    ),
    cfg.BoolOpt(
        'live_migration_permit_auto_converge',
        default=True,
        help="""
Throttle the CPU of a guest that changes its memory faster than the migration
copies it. False: the migration of such a guest may not complete; see also
[compute] live_migration_timeout.
""",
    ),
    cfg.BoolOpt(
        'live_migration_permit_post_copy',
        default=False,
        help="""
Switch to post-copy when a live migration is forced to complete: the guest
continues on the destination before all of its memory is there. The guest is
lost when one of the hosts or the network fails during that time. False:
force-complete pauses the guest until all of its memory is copied. Needs
userfaultfd (sysctl vm.unprivileged_userfaultfd where QEMU does not run as
root).
""",
    ),
    cfg.StrOpt(
        'tcg_migration_policy',
        default='refuse',
        choices=[
            ('refuse', 'refuse the live migration'),
            ('pause', 'pause the guest during the migration'),
            ('post-copy', 'switch to post-copy after a second'),
            ('trust', 'migrate it like any other guest'),
        ],
        help="""
How guests with emulated CPUs (``virt_type`` qemu) migrate live under a QEMU
older than 10. Such a migration can corrupt the memory of a guest that changes
it at the same time. Guests on KVM are not affected.
""",
    ),
    cfg.StrOpt(
        'embedded_directory',
        default='$state_path/embedded',
        help="""
The directory of the guests and disks of embedded hosts, which outlive the
services there. Each host has a directory in it. Guests migrate only between
hosts that share it.
""",
    ),
    cfg.IntOpt(
        'embedded_vcpus',
        default=64,
        min=1,
        help="""
The number of CPUs that each embedded host reports.
""",
    ),
    cfg.IntOpt(
        'embedded_memory_mb',
        default=262144,
        min=1,
        help="""
The memory that each embedded host reports, in MiB.
""",
    ),
    cfg.IntOpt(
        'embedded_numa_nodes',
        default=1,
        min=1,
        help="""
The number of NUMA cells of each embedded host, which divide its CPUs and its
memory.
""",
    ),
    cfg.IntOpt(
        'embedded_threads_per_core',
        default=1,
        min=1,
        help='The number of CPUs that are threads of one core.',
    ),
    cfg.ListOpt(
        'embedded_huge_pages',
        default=[],
        help="""
The huge pages of each NUMA cell, as KIB:COUNT; 2048:512 has 1 GiB of 2 MiB
pages. The pages are a part of the memory of the cell.
""",
    ),
    cfg.IntOpt(
        'embedded_disk_gb',
        default=2000,
        min=1,
        help="""
The disk space that each embedded host reports, in GiB. Disks are sparse: they
use as much real space as was written to them.
""",
    ),
    cfg.FloatOpt(
        'embedded_migration_seconds',
        default=0.5,
        min=0,
        help="""
Seconds that a live migration between two embedded hosts takes. The duration is
simulated: embedded guests have no memory to copy.
""",
    ),
]
