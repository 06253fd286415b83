# SPDX-License-Identifier: Apache-2.0
"""Each extra spec in a definition, valid in libvirt's schema."""

import dataclasses
from xml.etree import ElementTree

import hypothesis
from hypothesis import strategies
import libvirt

from minova.extra_specs import parser
from minova.extra_specs import table
from minova.extra_specs.value_types import Choice
from minova.extra_specs.value_types import Flag
from minova.extra_specs.value_types import Name
from minova.extra_specs.value_types import Number
from minova.extra_specs.value_types import Off
from minova.extra_specs.value_types import PageSize
from minova.virt.libvirt import xml
from minova.virt.libvirt import xml_devices
from minova.virt.libvirt.firmware import Firmware
from tests import base
from tests.unit.virt.rigs import spec

DISKS = (
    xml.Disk('/hosts/a/disk', 'qcow2', 'vda'),
    xml.Disk('/hosts/a/disk.swap', 'raw', 'vdb'),
)
NICS = (
    {'mac': 'fa:16:3e:00:00:01', 'bridge': 'br-int', 'mtu': 1450},
    {'mac': 'fa:16:3e:00:00:02'},
)
#: The firmware of Debian's package ovmf.
FIRMWARES = (
    Firmware(
        '/usr/share/OVMF/OVMF_CODE_4M.ms.fd',
        '/usr/share/OVMF/OVMF_VARS_4M.ms.fd',
        'x86_64',
        ('pc-q35-*',),
        is_secure=True,
        needs_smm=True,
    ),
    Firmware(
        '/usr/share/OVMF/OVMF_CODE_4M.fd',
        '/usr/share/OVMF/OVMF_VARS_4M.fd',
        'x86_64',
        ('pc-i440fx-*', 'pc-q35-*'),
    ),
)
#: An extra spec that has an effect only together with another one.
BESIDE = {
    'hw_rng:rate_period': {'hw_rng:rate_bytes': '10'},
    **{
        f'quota:vif_{way}_{part}': {f'quota:vif_{way}_average': '10'}
        for way in ('inbound', 'outbound')
        for part in ('peak', 'burst')
    },
    **{
        f'quota:disk_{way}_{what}_sec_max': {
            f'quota:disk_{way}_{what}_sec': '1'
        }
        for way in ('read', 'write', 'total')
        for what in ('bytes', 'iops')
    },
    **{
        f'hw{sign}{name}': {f'hw{sign}cpu_policy': 'dedicated'}
        for sign in ':_'
        for name in ('cpu_thread_policy', 'emulator_threads_policy')
    },
    'hw_mem_page_size': {'hw:mem_page_size': 'any'},
    'os:secure_boot': {'hw_firmware_type': 'uefi'},
    'os_secure_boot': {'hw_firmware_type': 'uefi'},
    'hw:tpm_model': {'hw:tpm_version': '2.0'},
    'hw_tpm_model': {'hw:tpm_version': '2.0'},
    'hw_video_ram': {
        'hw_video:ram_max_mb': '65536',
        'hw_video_model': 'vga',
    },
    'hw_scsi_model': {'hw_disk_bus': 'scsi'},
    'ramdisk_id': {'kernel_id': 'kernel'},
    'os_command_line': {'kernel_id': 'kernel'},
}
QEMU = xml.GuestProfile(
    'qemu',
    cpu_mode='custom',
    cpu_model='qemu64',
    machine='q35',
    emulator='/usr/bin/qemu-system-x86_64',
    cache='none',
    stats_period=0,
    uefi=FIRMWARES,
    emulated={
        'aarch64': xml.GuestProfile(
            'qemu',
            cpu_mode='custom',
            cpu_model='cortex-a57',
            architecture='aarch64',
            machine='virt',
            firmware='/usr/share/AAVMF/AAVMF_CODE.fd',
        )
    },
)


def values(row):
    """Return the values at the bounds of an extra spec."""
    kind = row.value_type
    if isinstance(kind, Off):
        return ('no',)
    if isinstance(kind, Choice | Name):
        return kind.values
    if isinstance(kind, Number):
        found = {kind.minimum, min(kind.maximum, 1 << 31)} | {kind.special}
        return tuple(str(n) for n in found if n is not None)
    if isinstance(kind, Flag):
        return ('yes', 'no')
    if isinstance(kind, PageSize):
        return ('small', 'large', 'any', '2MB', '1GB')
    return ('pc-q35-7.2',) if row.field == 'machine' else ('words-1',)


def requirements(texts, **more):
    """Return a guest spec with these extra specs or image properties."""
    known = {row.name for row in table.EXTRA_SPECS}
    made = {name: text for name, text in texts.items() if name in known}
    image = {name: text for name, text in texts.items() if name not in known}
    return spec(extra_specs=made, image=image, nics=NICS, **more)


def written(made, profile=QEMU):
    boot = None
    requirements = xml.requirements_of(made)
    if requirements.kernel_id is not None:
        ramdisk = '/hosts/a/ramdisk' if requirements.ramdisk_id else None
        boot = xml_devices.DirectKernelBoot('/hosts/a/kernel', ramdisk)
    return xml.domain_xml(
        made,
        DISKS,
        profile,
        '/hosts/a/console',
        '127.0.0.1',
        boot,
        '/hosts/a',
    )


def parsed(texts, profile=QEMU, **more):
    return ElementTree.fromstring(
        written(requirements(texts, **more), profile)
    )


class WrittenTest(base.TestCase):
    """Extra specs and image properties in the XML of a guest."""

    def test_architecture(self):
        for name in ('x86_64', 'amd64', 'i686', ''):
            root = parsed({'hw_architecture': name})
            self.assertEqual('x86_64', root.find('os/type').get('arch'))
            self.assertIsNone(root.find('os/loader'))
            self.assertIsNotNone(root.find('features/apic'))
        root = parsed({'hw_architecture': 'arm64', 'hw_machine_type': 'q35'})
        kind = root.find('os/type')
        self.assertEqual(
            ('aarch64', 'virt'), (kind.get('arch'), kind.get('machine'))
        )
        self.assertEqual(
            '/usr/share/AAVMF/AAVMF_CODE.fd', root.findtext('os/loader')
        )
        self.assertEqual('cortex-a57', root.findtext('cpu/model'))
        # What only a PC has.
        for path in ('features', 'clock/timer', 'devices/emulator'):
            self.assertIsNone(root.find(path), path)

    def test_console_of_an_architecture(self):
        for name, port in (('x86_64', 'ttyS0'), ('aarch64', 'ttyAMA0')):
            root = parsed({'hw_architecture': name, 'kernel_id': 'kernel'})
            self.assertIn(f'console={port}', root.findtext('os/cmdline'))

    def test_processors(self):
        root = parsed(
            {
                'hw:cpu_sockets': '1',
                'hw:cpu_threads': '2',
                'quota:cpu_shares': '512',
                'quota:cpu_period': '20000',
                'quota:cpu_quota': '-1',
            },
            vcpus=8,
        )
        self.assertEqual(
            {'sockets': '1', 'cores': '4', 'threads': '2'},
            root.find('cpu/topology').attrib,
        )
        self.assertEqual('512', root.findtext('cputune/shares'))
        self.assertEqual('20000', root.findtext('cputune/period'))
        self.assertEqual('-1', root.findtext('cputune/quota'))

    def test_queues(self):
        texts = {'hw:vif_multiqueue_enabled': 'yes'}
        root = parsed(texts, vcpus=4)
        for driver in root.findall('devices/interface/driver'):
            self.assertEqual('4', driver.get('queues'))
        self.assertEqual(2, len(root.findall('devices/interface/driver')))
        self.assertIsNone(parsed(texts).find('devices/interface/driver'))
        texts['hw_vif_model'] = 'e1000'
        root = parsed(texts, vcpus=4)
        self.assertIsNone(root.find('devices/interface/driver'))

    def test_inputs(self):
        inputs = parsed({'hw_input_bus': 'virtio'}).findall('devices/input')
        self.assertEqual(
            [('tablet', 'virtio'), ('keyboard', 'virtio')],
            [(one.get('type'), one.get('bus')) for one in inputs],
        )
        (tablet,) = parsed({'hw_pointer_model': 'usbtablet'}).findall(
            'devices/input'
        )
        self.assertEqual({'type': 'tablet', 'bus': 'usb'}, tablet.attrib)

    def test_video_memory(self):
        root = parsed(
            {
                'hw_video:ram_max_mb': '64',
                'hw_video_model': 'vga',
                'hw_video_ram': '32',
            }
        )
        self.assertEqual('32768', root.find('devices/video/model').get('vram'))

    def test_huge_pages(self):
        root = parsed({'hw:mem_page_size': 'large'})
        self.assertEqual([], list(root.find('memoryBacking/hugepages')))
        root = parsed({'hw:mem_page_size': '2MB'})
        page = root.find('memoryBacking/hugepages/page')
        self.assertEqual({'size': '2048', 'unit': 'KiB'}, page.attrib)
        root = parsed({'hw:mem_page_size': 'small'})
        self.assertIsNone(root.find('memoryBacking'))

    def test_every_disk_has_the_limits(self):
        root = parsed(
            {
                'quota:disk_read_iops_sec': '7',
                'quota:disk_write_bytes_sec': '8',
                'quota:disk_write_bytes_sec_max': '9',
            }
        )
        for disk in root.findall('devices/disk'):
            found = {limit.tag: limit.text for limit in disk.find('iotune')}
            self.assertEqual(
                {
                    'read_iops_sec': '7',
                    'write_bytes_sec': '8',
                    'write_bytes_sec_max': '9',
                },
                found,
            )

    def test_every_interface_has_the_limits(self):
        root = parsed(
            {
                'quota:vif_inbound_average': '1',
                'quota:vif_inbound_peak': '2',
                'quota:vif_inbound_burst': '3',
                'hw_vif_model': 'e1000e',
            }
        )
        for nic in root.findall('devices/interface'):
            self.assertEqual('e1000e', nic.find('model').get('type'))
            (inbound,) = nic.find('bandwidth')
            self.assertEqual('inbound', inbound.tag)
            self.assertEqual(
                {'average': '1', 'peak': '2', 'burst': '3'}, inbound.attrib
            )

    def test_disks_elsewhere(self):
        root = parsed({'hw_disk_bus': 'scsi'})
        targets = [
            (target.get('dev'), target.get('bus'))
            for target in root.findall('devices/disk/target')
        ]
        self.assertEqual([('sda', 'scsi'), ('sdb', 'scsi')], targets)
        controller = root.find('devices/controller')
        self.assertEqual('virtio-scsi', controller.get('model'))
        self.assertIsNone(parsed({}).find('devices/controller'))

    def test_devices(self):
        root = parsed(
            {
                'hw:watchdog_action': 'poweroff',
                'hw_rng:rate_bytes': '99',
                'hw_video_model': 'vga',
                'hw_qemu_guest_agent': 'no',
                'hw:boot_menu': 'yes',
                'hw_machine_type': 'pc',
            }
        )
        self.assertEqual(
            'poweroff', root.find('devices/watchdog').get('action')
        )
        self.assertEqual(
            {'bytes': '99', 'period': '1000'},
            root.find('devices/rng/rate').attrib,
        )
        self.assertEqual('vga', root.find('devices/video/model').get('type'))
        self.assertIsNone(root.find('devices/channel'))
        self.assertEqual('yes', root.find('os/bootmenu').get('enable'))
        self.assertEqual('pc', root.find('os/type').get('machine'))

    def test_no_defaults(self):
        root = parsed(
            {'hw_rng:allowed': 'no', 'hw:watchdog_action': 'disabled'}
        )
        self.assertIsNone(root.find('devices/rng'))
        self.assertIsNone(root.find('devices/watchdog'))

    def test_kernel(self):
        root = parsed({'kernel_id': 'k', 'ramdisk_id': 'r'})
        self.assertEqual('/hosts/a/kernel', root.findtext('os/kernel'))
        self.assertEqual('/hosts/a/ramdisk', root.findtext('os/initrd'))
        self.assertEqual(
            'root=/dev/vda console=tty0 console=ttyS0',
            root.findtext('os/cmdline'),
        )
        moved = xml.relocate_files(
            ElementTree.tostring(root, encoding='unicode'),
            {'/hosts/a': '/hosts/b'},
        )
        self.assertNotIn('/hosts/a', moved)
        root = parsed({'kernel_id': 'k', 'os_command_line': 'a <b> & "c"'})
        self.assertIsNone(root.find('os/initrd'))
        self.assertEqual('a <b> & "c"', root.findtext('os/cmdline'))
        self.assertIsNone(parsed({}).find('os/kernel'))

    def test_unsupported_specs_are_ignored_for_old_guests(self):
        strange = {
            'hw:cpu_policy': 'mixed',
            'hw:numa_nodes': '3',
            'quota:cpu_shares': 'many',
            'hw:cpu_cores': '3',
        }
        self.assertEqual(
            written(requirements({})), written(requirements(strange))
        )

    def test_uefi(self):
        for machine, name in (('q35', 'q35'), ('pc', 'pc'), ('', 'q35')):
            root = parsed(
                {
                    'hw_firmware_type': 'uefi',
                    'hw_machine_type': machine,
                }
            )
            self.assertEqual(name, root.find('os/type').get('machine'))
            loader = root.find('os/loader')
            self.assertEqual(FIRMWARES[1].code, loader.text)
            self.assertEqual(
                {'readonly': 'yes', 'type': 'pflash', 'secure': 'no'},
                loader.attrib,
            )
            nvram = root.find('os/nvram')
            self.assertEqual('/hosts/a/nvram', nvram.text)
            self.assertEqual(FIRMWARES[1].template, nvram.get('template'))
            self.assertIsNone(root.find('features/smm'))
        for root in (
            parsed({'hw_firmware_type': 'bios'}),
            parsed({'hw_firmware_type': 'uefi'}, xml.PROFILES['test']),
        ):
            self.assertIsNone(root.find('os/loader'))
            self.assertIsNone(root.find('os/nvram'))

    def test_secure_boot(self):
        for wanted in ('required', 'optional'):
            root = parsed(
                {
                    'hw_firmware_type': 'uefi',
                    'os:secure_boot': wanted,
                }
            )
            loader = root.find('os/loader')
            self.assertEqual(FIRMWARES[0].code, loader.text)
            self.assertEqual('yes', loader.get('secure'))
            self.assertEqual(
                '/hosts/a/nvram.secure', root.findtext('os/nvram')
            )
            self.assertEqual('on', root.find('features/smm').get('state'))

    def test_tpm(self):
        self.assertIsNone(parsed({}).find('devices/tpm'))
        root = parsed({'hw:tpm_version': '1.2'})
        self.assertEqual('tpm-tis', root.find('devices/tpm').get('model'))
        root = parsed({'hw_tpm_version': '2.0', 'hw_tpm_model': 'tpm-crb'})
        self.assertEqual('tpm-crb', root.find('devices/tpm').get('model'))
        self.assertEqual(
            {'type': 'emulator', 'version': '2.0'},
            root.find('devices/tpm/backend').attrib,
        )

    def test_host_capabilities(self):
        root = parsed({})
        self.assertEqual('q35', root.find('os/type').get('machine'))
        cpu = root.find('cpu')
        self.assertEqual('exact', cpu.get('match'))
        self.assertEqual('qemu64', cpu.findtext('model'))
        self.assertEqual(
            '/usr/bin/qemu-system-x86_64', root.findtext('devices/emulator')
        )
        driver = root.find('devices/disk/driver')
        self.assertEqual('none', driver.get('cache'))
        self.assertEqual('unmap', driver.get('discard'))
        self.assertIsNone(root.find('devices/memballoon/stats'))
        plain = parsed({}, xml.PROFILES['test'])
        self.assertIsNone(plain.find('os/type').get('machine'))
        self.assertIsNone(plain.find('devices/emulator'))
        self.assertIsNone(
            plain.find('devices/disk/driver').get('cache'),
        )


class AcceptedTest(base.TestCase):
    """libvirt accepts each extra spec at its bounds."""

    def setUp(self):
        super().setUp()
        libvirt.registerErrorHandler(lambda context, error: None, None)
        path = f'{self.directory}/node.xml'
        with open(path, 'w') as file:
            file.write('<node/>')
        self.libvirt = libvirt.open(f'test://{path}')
        self.addCleanup(self.libvirt.close)

    def each(self):
        """Yield each extra spec with each value that has an effect."""
        for row in (*table.EXTRA_SPECS, *table.IMAGE_PROPERTIES):
            if row.name.endswith('.N'):
                # A cell of the guest needs others: see test_xml_placement.
                continue
            for value in values(row):
                given = BESIDE.get(row.name, {}) | {row.name: value}
                more = {'memory_mb': 1024}
                if row.field == 'numa_nodes':
                    more['vcpus'] = int(value)
                if row.field.startswith('cpu.'):
                    more['vcpus'] = min(int(value), 64)
                    given[row.name] = str(more['vcpus'])
                made = requirements(given, **more)
                found = parser.parse(
                    made.extra_specs, made.image, made.vcpus, made.memory_mb
                )
                self.assertEqual((), found.errors, given)
                yield given, made

    def test_each_alone(self):
        # All that the configuration can ask for stands beside it.
        host = dataclasses.replace(QEMU, type='test', stats_period=10)
        for given, made in self.each():
            try:
                # Validated by libvirt's own schema, then by its parser.
                defined = self.libvirt.defineXMLFlags(
                    written(made, host), libvirt.VIR_DOMAIN_DEFINE_VALIDATE
                )
            except libvirt.libvirtError as error:
                raise AssertionError(f'{given}: {error}') from error
            defined.undefine()

    def test_schema_rejects_errors(self):
        text = written(requirements({}), xml.PROFILES['test'])
        self.assertRaises(
            libvirt.libvirtError,
            self.libvirt.defineXMLFlags,
            text.replace('<features>', '<strange/><features>'),
            libvirt.VIR_DOMAIN_DEFINE_VALIDATE,
        )

    def test_any_command_line(self):
        @hypothesis.settings(max_examples=100, derandomize=True)
        @hypothesis.given(line=strategies.text(max_size=60))
        def accepted(line):
            made = requirements({'kernel_id': 'k', 'os_command_line': line})
            text = written(made, xml.PROFILES['test'])
            defined = self.libvirt.defineXML(text)
            shown = ElementTree.fromstring(defined.XMLDesc())
            wanted = xml.requirements_of(made).kernel_command_line
            self.assertEqual(wanted, shown.findtext('os/cmdline'))
            defined.undefine()

        accepted()
