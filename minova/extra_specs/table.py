# SPDX-License-Identifier: Apache-2.0
"""All extra specs and image properties: name, values and effect.

The documentation generates its tables from this one. ``field`` is an attribute
of GuestRequirements or a part of one: ``cpu.sockets`` is the part ``sockets``
of the topology. An extra spec with a single supported value has no attribute.
"""

from typing import Final
from typing import NamedTuple

from minova.extra_specs.value_types import Choice
from minova.extra_specs.value_types import CpuSet
from minova.extra_specs.value_types import Flag
from minova.extra_specs.value_types import Name
from minova.extra_specs.value_types import Number
from minova.extra_specs.value_types import Off
from minova.extra_specs.value_types import PageSize
from minova.extra_specs.value_types import Text
from minova.extra_specs.value_types import ValueType


class ExtraSpec(NamedTuple):
    """An extra spec or image property: name, values and effect."""

    name: str
    field: str
    value_type: ValueType
    description: str
    effect: str


#: The namespaces in which other extra specs than those below are rejected.
NAMESPACES: Final = (
    'hw',
    'hw_rng',
    'hw_video',
    'os',
    'pci_passthrough',
    'quota',
)

_MIXED: Final = (
    'is not supported: a guest has either processors of its own, or none. Use '
    'dedicated or shared.'
)
_POLICY: Final = Choice(('dedicated', 'shared'), (('mixed', _MIXED),))
_THREAD_POLICY: Final = Choice(('prefer', 'isolate', 'require'))
_EMULATOR_POLICY: Final = Choice(('isolate', 'share'))
_REALTIME: Final = Off(
    'is not supported: a guest with realtime vCPUs can stop its host. Use '
    'hw:cpu_policy=dedicated.'
)
_MEMORY_ENCRYPTION: Final = Off(
    'is not supported: an encrypted guest cannot migrate, and no host here '
    'reports memory encryption. Remove it.'
)
_FIRMWARE: Final = Choice(('bios', 'uefi'))
_SECURE_BOOT: Final = Choice(('required', 'optional', 'disabled'))
_TPM_VERSION: Final = Choice(('1.2', '2.0'))
_TPM_MODEL: Final = Choice(('tpm-tis', 'tpm-crb'))
_WATCHDOG: Final = Choice(('disabled', 'reset', 'poweroff', 'pause', 'none'))
_CPUS: Final = Number(1, 65535)
_CELL_MEMORY: Final = Number(1, (1 << 31) - 1)
_RATE: Final = Number(1, (1 << 32) - 1)
_AMOUNT: Final = Number(1, 10**15)
#: KiB: tc counts the bytes of a burst in 32 bits, and libvirt 11 refuses more.
_BURST: Final = Number(1, (1 << 22) - 1)
_MACHINE: Final = Text(
    '``q35``, ``pc``, or one with a version, such as ``pc-q35-7.2``',
    r'q35|pc|pc-(q35|i440fx)-[0-9]{1,2}\.[0-9]{1,2}',
)
_ARCHITECTURE: Final = Name(
    (
        *('x86_64', 'i686', 'aarch64', 'armv7l', 'loongarch64', 'mips'),
        *('mipsel', 'mips64', 'mips64el', 'ppc', 'ppc64', 'ppc64le'),
        *('riscv32', 'riscv64', 's390x', 'sparc', 'sparc64'),
    ),
    (
        *(('amd64', 'x86_64'), ('x86-64', 'x86_64'), ('x86', 'i686')),
        *(('i386', 'i686'), ('i486', 'i686'), ('i586', 'i686')),
        *(('arm64', 'aarch64'), ('armhf', 'armv7l'), ('ppc64el', 'ppc64le')),
    ),
)
_HYPERVISOR: Final = Name(
    (
        *('kvm', 'qemu', 'baremetal', 'bhyve', 'fake', 'hyperv', 'ironic'),
        *('lxc', 'lxd', 'openvz', 'parallels', 'phyp', 'powervm', 'test'),
        *('uml', 'virtuozzo', 'vmware', 'xen', 'zvm'),
    ),
    (('xapi', 'xen'),),
)
_VM_MODE: Final = Name(
    ('hvm', 'xen', 'uml', 'exe'),
    (('hv', 'hvm'), ('baremetal', 'hvm'), ('pv', 'xen')),
)
_COMMAND_LINE: Final = Text(
    'one line of plain text', r'[ -~]*', max_length=2000
)
_ID: Final = Text('the id of an image', '[0-9A-Za-z-]{1,64}')


def _disk_limits() -> tuple[ExtraSpec, ...]:
    """Return the limits of disks: sustained, and for bursts."""
    whats = {
        'bytes': 'bytes',
        'iops': 'requests',
    }
    ways = {'read': 'read', 'write': 'written', 'total': 'read and written'}
    return tuple(
        ExtraSpec(
            f'quota:disk_{way}_{what}_sec{suffix}',
            f'disk.{way}_{what}_sec{suffix}',
            _AMOUNT,
            f'Maximum {whats[what]} per second that each disk has {words}'
            f'{", in a burst" if suffix else ""}.',
            f'``disk/iotune/{way}_{what}_sec{suffix}``',
        )
        for suffix in ('', '_max')
        for way, words in ways.items()
        for what in whats
    )


def _interface_limits() -> tuple[ExtraSpec, ...]:
    """Return the limits of interfaces."""
    ways = {'inbound': 'to', 'outbound': 'from'}
    parts = {
        'average': 'Average KiB per second {} the guest.',
        'peak': 'Maximum KiB per second {} the guest in a burst.',
        'burst': 'KiB {} the guest that a burst at the peak may have.',
    }
    return tuple(
        ExtraSpec(
            f'quota:vif_{way}_{part}',
            f'{way}.{part}',
            _BURST if part == 'burst' else _RATE,
            text.format(direction),
            f'``interface/bandwidth/{way}`` ``@{part}``',
        )
        for way, direction in ways.items()
        for part, text in parts.items()
    )


# fmt: off
#: The extra specs of flavors.
EXTRA_SPECS: Final = (
    ExtraSpec('hw:cpu_policy',       'cpu_policy',     _POLICY,                           '``dedicated``: each vCPU has a processor of the host for itself, of ``[compute] cpu_dedicated_set``; ``shared``: those of ``cpu_shared_set``.', 'selects the host; ``cputune/vcpupin``'),
    ExtraSpec('hw:cpu_thread_policy', 'cpu_thread_policy', _THREAD_POLICY,               'Threads of dedicated processors. ``prefer``: those of the same core where they are free; ``require``: only those; ``isolate``: hosts whose cores have one thread.', 'selects the host; ``cputune/vcpupin``'),
    ExtraSpec('hw:emulator_threads_policy', 'emulator_threads', _EMULATOR_POLICY,        'Threads of the emulator of a dedicated guest. ``isolate``: a processor more, only for them; ``share``: those of ``[compute] cpu_shared_set``. Default: the processors of the guest.', '``cputune/emulatorpin``'),
    ExtraSpec('hw:cpu_realtime',     'realtime',       _REALTIME,                         'Realtime priority of vCPUs.', 'none'),
    ExtraSpec('hw:numa_nodes',       'numa_nodes',     Number(1, 64),                     'NUMA cells of the guest, each in another cell of the host.', 'selects the host; ``cpu/numa``, ``numatune``'),
    ExtraSpec('hw:numa_cpus.N',      'numa_cpus',      CpuSet(),                          'The vCPUs of cell N, from 0. Default: equal cells.', '``cpu/numa/cell`` ``@cpus``'),
    ExtraSpec('hw:numa_mem.N',       'numa_mem',       _CELL_MEMORY,                      'The MiB of cell N. Default: equal cells.', '``cpu/numa/cell`` ``@memory``'),
    ExtraSpec('hw:mem_encryption',   'encryption',     _MEMORY_ENCRYPTION,                'Encryption of the memory of the guest.', 'none'),
    ExtraSpec('hw:cpu_sockets',      'cpu.sockets',    _CPUS,                             'Sockets. The product of sockets, cores and threads must be the number of vCPUs.', '``cpu/topology`` ``@sockets``'),
    ExtraSpec('hw:cpu_cores',        'cpu.cores',      _CPUS,                             'Cores per socket.', '``cpu/topology`` ``@cores``'),
    ExtraSpec('hw:cpu_threads',      'cpu.threads',    _CPUS,                             'Threads per core.', '``cpu/topology`` ``@threads``'),
    ExtraSpec('hw:cpu_max_sockets',  'max.sockets',   _CPUS,                             'Maximum sockets, for images as well.', 'limits the topology'),
    ExtraSpec('hw:cpu_max_cores',    'max.cores',     _CPUS,                             'Maximum cores per socket.', 'limits the topology'),
    ExtraSpec('hw:cpu_max_threads',  'max.threads',   _CPUS,                             'Maximum threads per core.', 'limits the topology'),
    ExtraSpec('hw:mem_page_size',    'pages',          PageSize(),                        'Memory pages. ``small``: normal pages; ``large``: huge pages of the host; ``any``: the choice of the image, otherwise normal pages.', 'selects the host; ``memoryBacking/hugepages``'),
    ExtraSpec('hw:watchdog_action',  'watchdog',       _WATCHDOG,                         'Action when the guest does not reset its watchdog; ``disabled``: no watchdog.', '``watchdog`` (i6300esb) ``@action``'),
    ExtraSpec('hw:vif_multiqueue_enabled', 'multiqueue', Flag(),                          'Whether a virtio network adapter has a queue for each vCPU, on bridges and networks of the host.', '``interface/driver`` ``@queues``'),
    ExtraSpec('hw_video:ram_max_mb', 'video.max',     Number(1, 1 << 16),                'Maximum MiB of video memory, for ``hw_video_ram`` of images.', 'limits ``hw_video_ram``'),
    ExtraSpec('hw:boot_menu',        'boot_menu',      Flag(),                            'Whether the firmware shows a boot menu.', '``os/bootmenu``'),
    ExtraSpec('hw:tpm_version',      'tpm_version',    _TPM_VERSION,                      'Version of the emulated TPM. Default: no TPM.', 'selects the host; ``tpm/backend`` ``@version``'),
    ExtraSpec('hw:tpm_model',        'tpm_model',      _TPM_MODEL,                        'Interface of the TPM; default ``tpm-tis``. ``tpm-crb`` needs version 2.0.', 'selects the host; ``tpm`` ``@model``'),
    ExtraSpec('os:secure_boot',      'secure_boot',    _SECURE_BOOT,                      'Secure Boot of an image with UEFI. ``optional``: where the host supports it. Default ``disabled``.', '``required`` selects the host; ``os/loader`` ``@secure``'),
    ExtraSpec('hw_rng:allowed',      'rng',            Flag(),                            'Whether the guest has a random number generator; default yes.', '``rng``'),
    ExtraSpec('hw_rng:rate_bytes',   'rng_bytes',      Number(1, (1 << 31) - 1),          'Maximum random bytes per period.', '``rng/rate`` ``@bytes``'),
    ExtraSpec('hw_rng:rate_period',  'rng_period',     Number(1, (1 << 31) - 1),          'The period in milliseconds; default 1000.', '``rng/rate`` ``@period``'),
    ExtraSpec('quota:cpu_shares',    'cpu_shares',     Number(2, 10000),                  'Weight of the guest when guests compete for processors.', '``cputune/shares``'),
    ExtraSpec('quota:cpu_period',    'cpu_period',     Number(1000, 1000000),             'Period of ``quota:cpu_quota`` in microseconds.', '``cputune/period``'),
    ExtraSpec('quota:cpu_quota',     'cpu_quota',      Number(1000, 17592186044415, -1),  'Microseconds that each vCPU may run per period; -1: no limit.', '``cputune/quota``'),
    *_disk_limits(),
    *_interface_limits(),
)

#: The properties of images. A property overrides the extra spec of the flavor,
#: within the limits of the flavor.
IMAGE_PROPERTIES: Final = (
    # Where two rows have the same field, the later one counts.
    ExtraSpec('architecture',        'architecture',   _ARCHITECTURE,                                         'Older name of ``hw_architecture``.', 'selects the host; ``os/type`` ``@arch``'),
    ExtraSpec('hw_architecture',     'architecture',   _ARCHITECTURE,                                         'Processor architecture; default that of the host.', 'selects the host; ``os/type`` ``@arch``'),
    ExtraSpec('hw_emulation_architecture', 'architecture', _ARCHITECTURE,                                     'As ``hw_architecture``, which it replaces.', 'selects the host; ``os/type`` ``@arch``'),
    ExtraSpec('hypervisor_type',     'hypervisor',     _HYPERVISOR,                                           'Older name of ``img_hv_type``.', 'selects the host'),
    ExtraSpec('img_hv_type',         'hypervisor',     _HYPERVISOR,                                           'Type of the hypervisor.', 'selects the host'),
    ExtraSpec('vm_mode',             'vm_mode',        _VM_MODE,                                              'Older name of ``hw_vm_mode``.', 'selects the host'),
    ExtraSpec('hw_vm_mode',          'vm_mode',        _VM_MODE,                                              'Type of the virtual machine.', 'selects the host'),
    ExtraSpec('hw_machine_type',     'machine',        _MACHINE,                                              'Machine type; default ``[libvirt] hw_machine_type``.', '``os/type`` ``@machine``'),
    ExtraSpec('hw_firmware_type',    'firmware',       _FIRMWARE,                                             'Firmware. Default: that of the machine type.', '``uefi`` selects the host; ``os/loader``, ``os/nvram``'),
    ExtraSpec('os_secure_boot',      'secure_boot',    _SECURE_BOOT,                                          'As ``os:secure_boot``, which it must not contradict.', '``required`` selects the host; ``os/loader`` ``@secure``'),
    ExtraSpec('hw_tpm_version',      'tpm_version',    _TPM_VERSION,                                          'As ``hw:tpm_version``, which it must not contradict.', 'selects the host; ``tpm/backend`` ``@version``'),
    ExtraSpec('hw_tpm_model',        'tpm_model',      _TPM_MODEL,                                            'As ``hw:tpm_model``, which it must not contradict.', 'selects the host; ``tpm`` ``@model``'),
    ExtraSpec('hw_cpu_policy',       'cpu_policy',     _POLICY,                                               'As ``hw:cpu_policy``, which counts when both are set.', 'selects the host; ``cputune/vcpupin``'),
    ExtraSpec('hw_cpu_thread_policy', 'cpu_thread_policy', _THREAD_POLICY,                                    'As ``hw:cpu_thread_policy``.', 'selects the host; ``cputune/vcpupin``'),
    ExtraSpec('hw_emulator_threads_policy', 'emulator_threads', _EMULATOR_POLICY,                             'As ``hw:emulator_threads_policy``.', '``cputune/emulatorpin``'),
    ExtraSpec('hw_numa_nodes',       'numa_nodes',     Number(1, 64),                                         'As ``hw:numa_nodes``; for flavors without ``hw:numa_*``.', 'selects the host; ``cpu/numa``, ``numatune``'),
    ExtraSpec('hw_numa_cpus.N',      'numa_cpus',      CpuSet(),                                              'As ``hw:numa_cpus.N``.', '``cpu/numa/cell`` ``@cpus``'),
    ExtraSpec('hw_numa_mem.N',       'numa_mem',       _CELL_MEMORY,                                          'As ``hw:numa_mem.N``.', '``cpu/numa/cell`` ``@memory``'),
    ExtraSpec('hw_mem_encryption',   'encryption',     _MEMORY_ENCRYPTION,                                    'As ``hw:mem_encryption``.', 'none'),
    ExtraSpec('hw_cpu_sockets',      'cpu.sockets',    _CPUS,                                                 'As ``hw:cpu_sockets``.', '``cpu/topology`` ``@sockets``'),
    ExtraSpec('hw_cpu_cores',        'cpu.cores',      _CPUS,                                                 'As ``hw:cpu_cores``.', '``cpu/topology`` ``@cores``'),
    ExtraSpec('hw_cpu_threads',      'cpu.threads',    _CPUS,                                                 'As ``hw:cpu_threads``.', '``cpu/topology`` ``@threads``'),
    ExtraSpec('hw_cpu_max_sockets',  'max.sockets',   _CPUS,                                                 'As ``hw:cpu_max_sockets``; the smaller value counts.', 'limits the topology'),
    ExtraSpec('hw_cpu_max_cores',    'max.cores',     _CPUS,                                                 'As ``hw:cpu_max_cores``.', 'limits the topology'),
    ExtraSpec('hw_cpu_max_threads',  'max.threads',   _CPUS,                                                 'As ``hw:cpu_max_threads``.', 'limits the topology'),
    ExtraSpec('hw_mem_page_size',    'pages',          PageSize(),                                            'As ``hw:mem_page_size``; needs a flavor with ``large`` or ``any``.', 'selects the host; ``memoryBacking/hugepages``'),
    ExtraSpec('hw_disk_bus',         'disk_bus',       Choice(('virtio', 'scsi', 'sata', 'usb')),             'Bus of the disks; default ``virtio``.', '``disk/target`` ``@bus``'),
    ExtraSpec('hw_scsi_model',       'scsi_model',     Choice(('virtio-scsi', 'lsilogic', 'lsisas1068', 'lsisas1078')),     'Controller of the bus ``scsi``; default ``virtio-scsi``.', '``controller`` ``@model``'),
    ExtraSpec('hw_vif_model',        'vif_model',      Choice(('virtio', 'e1000', 'e1000e', 'rtl8139', 'vmxnet3', 'ne2k_pci', 'pcnet')), 'Model of network adapters; default ``virtio``.', '``interface/model`` ``@type``'),
    ExtraSpec('hw_video_model',      'video_model',    Choice(('virtio', 'vga', 'cirrus', 'qxl', 'bochs', 'vmvga', 'none')), 'Model of the graphics adapter; default ``virtio``.', '``video/model`` ``@type``'),
    ExtraSpec('hw_video_ram',        'video.ram',      Number(1, 1 << 16),                                    'MiB of video memory; needs ``hw_video:ram_max_mb`` of the flavor, and a model with video memory.', '``video/model`` ``@vram``'),
    ExtraSpec('hw_vif_multiqueue_enabled', 'multiqueue', Flag(),                                             'As ``hw:vif_multiqueue_enabled``.', '``interface/driver`` ``@queues``'),
    ExtraSpec('hw_input_bus',        'input_bus',      Choice(('usb', 'virtio')),                             'Bus of a tablet and a keyboard.', '``input`` ``@bus``'),
    ExtraSpec('hw_pointer_model',    'pointer_model',  Choice(('usbtablet',)),                                'A tablet, whose pointer follows that of a console.', '``input`` ``@type``'),
    ExtraSpec('hw_qemu_guest_agent', 'agent',          Flag(),                                                'Whether there is a channel for the guest agent; default yes.', '``channel`` org.qemu.guest_agent.0'),
    ExtraSpec('hw_rng_model',        'rng_model',      Choice(('virtio',)),                                   'Model of the random number generator.', '``rng`` ``@model``'),
    ExtraSpec('hw_watchdog_action',  'watchdog',       _WATCHDOG,                                             'As ``hw:watchdog_action``.', '``watchdog`` (i6300esb) ``@action``'),
    ExtraSpec('hw_boot_menu',        'boot_menu',      Flag(),                                                'As ``hw:boot_menu``.', '``os/bootmenu``'),
    ExtraSpec('kernel_id',           'kernel_id',      _ID,                                                   'Image with the kernel that the host boots directly.', '``os/kernel``'),
    ExtraSpec('ramdisk_id',          'ramdisk_id',     _ID,                                                   'Image with the ramdisk of that kernel.', '``os/initrd``'),
    ExtraSpec('os_command_line',     'command_line',   _COMMAND_LINE,                                                 'Command line of that kernel; default ``root=/dev/vda console=tty0 console=ttyS0``.', '``os/cmdline``'),
)
# fmt: on
