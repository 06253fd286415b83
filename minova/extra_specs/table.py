# SPDX-License-Identifier: Apache-2.0
"""Every wish that is known: its name, what it takes, what it becomes.

The documentation's tables are made of this one. ``field`` is the attribute
of ``reading.Wishes`` or a part of one: ``cpu.sockets`` is the part
``sockets`` of the topology. What can only be as it is anyway has none.
"""

from typing import Final
from typing import NamedTuple

from minova.extra_specs.value_types import Choice
from minova.extra_specs.value_types import Flag
from minova.extra_specs.value_types import Number
from minova.extra_specs.value_types import PageSize
from minova.extra_specs.value_types import Text
from minova.extra_specs.value_types import ValueType


class ExtraSpec(NamedTuple):
    """A name, what it takes, and what it becomes."""

    name: str
    field: str
    value_type: ValueType
    description: str
    effect: str


#: Extra specs of these namespaces are ours: others than those below are
#: refused.
NAMESPACES: Final = (
    'hw',
    'hw_rng',
    'hw_video',
    'os',
    'pci_passthrough',
    'quota',
)

_PINNING: Final = (
    'is not offered in this release: which processors of a host are taken '
    'is not recorded, so no guest could be promised its own. Use shared.'
)
_POLICY: Final = Choice(
    ('shared',), (('dedicated', _PINNING), ('mixed', _PINNING))
)
_UEFI: Final = (
    'is not offered in this release: the variables of the firmware would not '
    'move with the guest. Use an image that boots with bios.'
)
_FIRMWARE: Final = Choice(
    ('bios',),
    (('uefi', _UEFI),),
)
_WATCHDOG: Final = Choice(('disabled', 'reset', 'poweroff', 'pause', 'none'))
_CPUS: Final = Number(1, 65535)
_RATE: Final = Number(1, (1 << 32) - 1)
_AMOUNT: Final = Number(1, 10**15)
#: KiB: tc counts the bytes of a burst in 32 bits, and libvirt 11 refuses more.
_BURST: Final = Number(1, (1 << 22) - 1)
_MACHINE: Final = Text(
    '``q35``, ``pc``, or one of a version, such as ``pc-q35-7.2``',
    r'q35|pc|pc-(q35|i440fx)-[0-9]{1,2}\.[0-9]{1,2}',
)
_COMMAND_LINE: Final = Text(
    'one line of plain text', r'[ -~]*', max_length=2000
)
_ID: Final = Text('the id of an image', '[0-9A-Za-z-]{1,64}')


def _disk_limits() -> tuple[ExtraSpec, ...]:
    """Return the limits of disks: of each kind, and for a moment."""
    whats = {
        'bytes': ('bytes', 'a second'),
        'iops': ('requests', 'a second'),
    }
    ways = {'read': 'read', 'write': 'written', 'total': 'read and written'}
    return tuple(
        ExtraSpec(
            f'quota:disk_{way}_{what}_sec{suffix}',
            f'disk.{way}_{what}_sec{suffix}',
            _AMOUNT,
            f'{whats[what][0].capitalize()} that each disk has {words} '
            f'{whats[what][1]}{" for a moment" if suffix else ""} at most.',
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
        'average': 'KiB a second {} the guest, in the long run.',
        'peak': 'KiB a second {} the guest, for a moment.',
        'burst': 'KiB {} the guest that may go at the peak.',
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
#: What a flavor may ask for.
EXTRA_SPECS: Final = (
    ExtraSpec('hw:cpu_policy',       'policy',         _POLICY,                           'Whether processors are shared with other guests.', 'nothing: they are'),
    ExtraSpec('hw:cpu_sockets',      'cpu.sockets',    _CPUS,                             'Sockets that the guest sees. What is given must multiply to its processors.', '``cpu/topology`` ``@sockets``'),
    ExtraSpec('hw:cpu_cores',        'cpu.cores',      _CPUS,                             'Cores that each socket has.', '``cpu/topology`` ``@cores``'),
    ExtraSpec('hw:cpu_threads',      'cpu.threads',    _CPUS,                             'Threads that each core has.', '``cpu/topology`` ``@threads``'),
    ExtraSpec('hw:cpu_max_sockets',  'most.sockets',   _CPUS,                             'Sockets at most; an image may not ask for more either.', 'a bound of the topology'),
    ExtraSpec('hw:cpu_max_cores',    'most.cores',     _CPUS,                             'Cores of a socket at most.', 'a bound of the topology'),
    ExtraSpec('hw:cpu_max_threads',  'most.threads',   _CPUS,                             'Threads of a core at most.', 'a bound of the topology'),
    ExtraSpec('hw:mem_page_size',    'pages',          PageSize(),                        'Pages that hold the memory. ``small``: usual ones, ``large``: the huge ones of the host; ``any``: what the image asks for, else usual ones.', '``memoryBacking/hugepages``'),
    ExtraSpec('hw:watchdog_action',  'watchdog',       _WATCHDOG,                         'What is done when the guest does not feed its watchdog; ``disabled``: it has none.', '``watchdog`` (i6300esb) ``@action``'),
    ExtraSpec('hw:boot_menu',        'boot_menu',      Flag(),                            'Whether the firmware offers a menu on the console.', '``os/bootmenu``'),
    ExtraSpec('hw_rng:allowed',      'rng',            Flag(),                            'Whether the guest gets random numbers of the host; yes, if nothing is said.', '``rng``'),
    ExtraSpec('hw_rng:rate_bytes',   'rng_bytes',      Number(1, (1 << 31) - 1),          'Random bytes in a period at most.', '``rng/rate`` ``@bytes``'),
    ExtraSpec('hw_rng:rate_period',  'rng_period',     Number(1, (1 << 31) - 1),          'That period, in milliseconds; 1000, if nothing is said.', '``rng/rate`` ``@period``'),
    ExtraSpec('quota:cpu_shares',    'cpu_shares',     Number(2, 10000),                  'Weight of the guest where guests compete for processors.', '``cputune/shares``'),
    ExtraSpec('quota:cpu_period',    'cpu_period',     Number(1000, 1000000),             'Microseconds over which ``quota:cpu_quota`` counts.', '``cputune/period``'),
    ExtraSpec('quota:cpu_quota',     'cpu_quota',      Number(1000, 17592186044415, -1),  'Microseconds that each processor of the guest may run in a period; -1: as many as there are.', '``cputune/quota``'),
    *_disk_limits(),
    *_interface_limits(),
)

#: What an image may ask for. Where a flavor says the same the image is heard,
#: within what the flavor allows.
IMAGE_PROPERTIES: Final = (
    ExtraSpec('hw_machine_type',     'machine',        _MACHINE,                                              'The machine that is emulated; else ``[libvirt] hw_machine_type``.', '``os/type`` ``@machine``'),
    ExtraSpec('hw_firmware_type',    'firmware',       _FIRMWARE,                                             'What boots the guest.', 'nothing: it is the BIOS'),
    ExtraSpec('hw_cpu_policy',       'policy',         _POLICY,                                               'As ``hw:cpu_policy``.', 'nothing: they are shared'),
    ExtraSpec('hw_cpu_sockets',      'cpu.sockets',    _CPUS,                                                 'As ``hw:cpu_sockets``.', '``cpu/topology`` ``@sockets``'),
    ExtraSpec('hw_cpu_cores',        'cpu.cores',      _CPUS,                                                 'As ``hw:cpu_cores``.', '``cpu/topology`` ``@cores``'),
    ExtraSpec('hw_cpu_threads',      'cpu.threads',    _CPUS,                                                 'As ``hw:cpu_threads``.', '``cpu/topology`` ``@threads``'),
    ExtraSpec('hw_cpu_max_sockets',  'most.sockets',   _CPUS,                                                 'As ``hw:cpu_max_sockets``; the smaller one counts.', 'a bound of the topology'),
    ExtraSpec('hw_cpu_max_cores',    'most.cores',     _CPUS,                                                 'As ``hw:cpu_max_cores``.', 'a bound of the topology'),
    ExtraSpec('hw_cpu_max_threads',  'most.threads',   _CPUS,                                                 'As ``hw:cpu_max_threads``.', 'a bound of the topology'),
    ExtraSpec('hw_mem_page_size',    'pages',          PageSize(),                                            'As ``hw:mem_page_size``; only with a flavor that says ``large`` or ``any``.', '``memoryBacking/hugepages``'),
    ExtraSpec('hw_disk_bus',         'disk_bus',       Choice(('virtio', 'scsi', 'sata', 'usb')),             'How disks are attached; ``virtio``, if nothing is said.', '``disk/target`` ``@bus``'),
    ExtraSpec('hw_scsi_model',       'scsi_model',     Choice(('virtio-scsi', 'lsilogic', 'lsisas1068')),     'The controller of disks at ``scsi``; ``virtio-scsi``, if nothing is said.', '``controller`` ``@model``'),
    ExtraSpec('hw_vif_model',        'vif_model',      Choice(('virtio', 'e1000', 'e1000e', 'rtl8139', 'vmxnet3')), 'Network adapters; ``virtio``, if nothing is said.', '``interface/model`` ``@type``'),
    ExtraSpec('hw_video_model',      'video_model',    Choice(('virtio', 'vga', 'cirrus', 'qxl', 'bochs', 'none')), 'The graphics adapter; ``virtio``, if nothing is said.', '``video/model`` ``@type``'),
    ExtraSpec('hw_qemu_guest_agent', 'agent',          Flag(),                                                'Whether there is a channel for the guest agent; yes, if nothing is said: unused it costs nothing.', '``channel`` org.qemu.guest_agent.0'),
    ExtraSpec('hw_rng_model',        'rng_model',      Choice(('virtio',)),                                   'How random numbers come in.', '``rng`` ``@model``'),
    ExtraSpec('hw_watchdog_action',  'watchdog',       _WATCHDOG,                                             'As ``hw:watchdog_action``.', '``watchdog`` (i6300esb) ``@action``'),
    ExtraSpec('hw_boot_menu',        'boot_menu',      Flag(),                                                'As ``hw:boot_menu``.', '``os/bootmenu``'),
    ExtraSpec('kernel_id',           'kernel_id',      _ID,                                                   'The image that is the kernel, which the host starts itself.', '``os/kernel``'),
    ExtraSpec('ramdisk_id',          'ramdisk_id',     _ID,                                                   'The image that is the first ramdisk of that kernel.', '``os/initrd``'),
    ExtraSpec('os_command_line',     'command_line',   _COMMAND_LINE,                                                 'What that kernel is told; ``root=/dev/vda console=tty0 console=ttyS0``, if nothing is said.', '``os/cmdline``'),
)
# fmt: on
