# SPDX-License-Identifier: Apache-2.0
"""The XML of a guest: well-formed, accepted and parsed again."""

from xml.etree import ElementTree

import hypothesis
from hypothesis import strategies
import libvirt

from minova.extra_specs import table
from minova.virt.libvirt import xml
from tests import base
from tests.unit.virt.rigs import spec
from tests.unit.virt.rigs import UUID

TEST = xml.PROFILES['test']
DISKS = (
    xml.Disk('/hosts/a/disk', 'qcow2', 'vda'),
    xml.Disk('/hosts/a/disk.swap', 'raw', 'vdb'),
)
DRIVE = xml.Disk('/hosts/a/disk.config', 'raw', 'vdz', readonly=True)

# Whatever Python can hold, also what neither XML nor UTF-8 can; the rarer
# trouble is asked for by name.
any_text = strategies.text(
    strategies.one_of(
        strategies.characters(),
        strategies.characters(categories=['Cs', 'Cc', 'Zl', 'Zp', 'Co']),
        strategies.sampled_from(']>&<"\'\n\r\t\0\ufffe\U0001f600'),
    ),
    max_size=60,
)
quickly = hypothesis.settings(max_examples=200, derandomize=True)


def domain(made, profile=TEST, disks=DISKS):
    return xml.domain_xml(
        made, disks, profile, '/hosts/a/console', '127.0.0.1'
    )


def parsed(*args, **kwargs):
    return ElementTree.fromstring(domain(*args, **kwargs))


class WrittenTest(base.TestCase):
    """The elements of a definition."""

    def test_the_guest(self):
        root = parsed(spec(vcpus=3, memory_mb=700, title='A <guest>'))
        self.assertEqual('test', root.get('type'))
        self.assertEqual(f'instance-{UUID}', root.findtext('name'))
        self.assertEqual(UUID, root.findtext('uuid'))
        self.assertEqual('A <guest>', root.findtext('title'))
        self.assertEqual('3', root.findtext('vcpu'))
        self.assertEqual('700', root.findtext('memory'))
        self.assertEqual('MiB', root.find('memory').get('unit'))
        self.assertEqual('hvm', root.findtext('os/type'))
        self.assertEqual('x86_64', root.find('os/type').get('arch'))
        self.assertEqual('destroy', root.findtext('on_crash'))
        self.assertEqual('restart', root.findtext('on_reboot'))

    def test_a_config_drive_can_only_be_read(self):
        root = parsed(spec(), disks=(*DISKS, DRIVE))
        *others, drive = root.findall('devices/disk')
        self.assertEqual([None, None], [d.find('readonly') for d in others])
        self.assertEqual('disk', drive.get('device'))
        self.assertIsNotNone(drive.find('readonly'))
        self.assertEqual('raw', drive.find('driver').get('type'))
        self.assertEqual(
            {'dev': 'vdz', 'bus': 'virtio'}, drive.find('target').attrib
        )
        self.assertEqual(DRIVE.path, drive.find('source').get('file'))

    def test_disks(self):
        root = parsed(spec())
        found = [
            (
                disk.find('source').get('file'),
                disk.find('driver').get('type'),
                disk.find('target').get('dev'),
                disk.find('target').get('bus'),
            )
            for disk in root.findall('devices/disk')
        ]
        self.assertEqual(
            [
                ('/hosts/a/disk', 'qcow2', 'vda', 'virtio'),
                ('/hosts/a/disk.swap', 'raw', 'vdb', 'virtio'),
            ],
            found,
        )

    def test_interfaces(self):
        nics = (
            {'mac': 'fa:16:3e:00:00:01', 'bridge': 'br-int', 'mtu': 1450},
            {'mac': 'fa:16:3e:00:00:02'},
        )
        first, second = parsed(spec(nics=nics)).findall('devices/interface')
        self.assertEqual('bridge', first.get('type'))
        self.assertEqual('br-int', first.find('source').get('bridge'))
        self.assertEqual('1450', first.find('mtu').get('size'))
        self.assertEqual('virtio', first.find('model').get('type'))
        self.assertEqual('ethernet', second.get('type'))
        self.assertEqual(
            'fa:16:3e:00:00:02', second.find('mac').get('address')
        )
        self.assertIsNone(second.find('mtu'))

    def test_interfaces_on_networks(self):
        default = {'subnets': [{'cidr': '10.0.2.0/24'}]}
        other = {'subnets': [{'cidr': '10.9.0.0/16'}]}
        nics = (
            {'mac': 'fa:16:3e:00:00:01', 'libvirt_network': 'default'},
            {'mac': 'fa:16:3e:00:00:02', 'user': True} | default,
            {'mac': 'fa:16:3e:00:00:03', 'user': True} | other,
        )
        first, second, third = parsed(spec(nics=nics)).findall(
            'devices/interface'
        )
        self.assertEqual('network', first.get('type'))
        self.assertEqual('default', first.find('source').get('network'))
        self.assertEqual('user', second.get('type'))
        self.assertIsNone(second.find('source'))
        self.assertIsNone(second.find('ip'))
        self.assertEqual(
            {'family': 'ipv4', 'address': '10.9.0.0', 'prefix': '16'},
            third.find('ip').attrib,
        )

    def test_other_devices(self):
        devices = parsed(spec()).find('devices')
        self.assertEqual('pty', devices.find('serial').get('type'))
        self.assertEqual(
            '/hosts/a/console', devices.find('serial/log').get('file')
        )
        graphics = devices.find('graphics')
        self.assertEqual('vnc', graphics.get('type'))
        self.assertEqual('127.0.0.1', graphics.find('listen').get('address'))
        self.assertEqual(
            'org.qemu.guest_agent.0',
            devices.find('channel/target').get('name'),
        )
        self.assertEqual('virtio', devices.find('rng').get('model'))
        self.assertEqual('virtio', devices.find('memballoon').get('model'))

    def test_profiles(self):
        self.assertEqual({'qemu', 'kvm', 'test'}, set(xml.PROFILES))
        for name, profile in xml.PROFILES.items():
            root = parsed(spec(), profile)
            self.assertEqual(name, root.get('type'))
            self.assertEqual(profile.cpu_mode, root.find('cpu').get('mode'))

    def test_all_processors_are_one_socket_each(self):
        topology = parsed(spec(vcpus=5)).find('cpu/topology')
        self.assertEqual(
            {'sockets': '5', 'cores': '1', 'threads': '1'}, topology.attrib
        )


class MetadataTest(base.TestCase):
    """The operation in the metadata."""

    def test_in_the_definition(self):
        root = parsed(spec(operation='op-7', generation=12, flavor='big'))
        (mark,) = root.find('metadata')
        self.assertEqual('{urn:minova:instance:1}instance', mark.tag)
        self.assertEqual(UUID, mark.get('uuid'))
        text = ElementTree.tostring(mark, encoding='unicode')
        self.assertEqual(('op-7', 12), xml.parse_metadata(text))
        space = '{urn:minova:instance:1}'
        self.assertEqual('big', mark.find(f'{space}flavor').get('name'))
        owner = mark.find(f'{space}owner')
        self.assertEqual(
            ('project', 'user'), (owner.get('project'), owner.get('user'))
        )

    def test_alone(self):
        made = spec(operation='op-7', generation=12)
        self.assertEqual(
            ('op-7', 12), xml.parse_metadata(xml.metadata_xml(made))
        )

    def test_foreign_metadata_is_ignored(self):
        for text in (
            '<instance/>',
            '<instance><operation/></instance>',
            '<instance><operation generation="x"/></instance>',
            '<instance><operation generation="-1"/></instance>',
            '<instance',
            '',
        ):
            self.assertEqual((None, None), xml.parse_metadata(text))


class RelocatedTest(base.TestCase):
    """A definition with other directories."""

    def test_files_below_the_old_directory(self):
        text = domain(spec())
        moved = xml.relocate_files(text, {'/hosts/a': '/hosts/b'})
        self.assertNotIn('/hosts/a', moved)
        self.assertIn('"/hosts/b/disk"', moved)
        self.assertIn('"/hosts/b/console"', moved)
        self.assertEqual(
            text, xml.relocate_files(moved, {'/hosts/b': '/hosts/a'})
        )

    def test_others_stay(self):
        disks = (xml.Disk('/hosts/ab/disk', 'raw', 'vda'),)
        text = domain(spec(title='/hosts/a/title'), disks=disks)
        moved = xml.relocate_files(text, {'/hosts/a': '/hosts/b'})
        self.assertIn('"/hosts/ab/disk"', moved)
        self.assertIn('>/hosts/a/title<', moved)


class InjectionTest(base.TestCase):
    """No text of a user becomes an element or an attribute."""

    texts = (
        '</name><devices><disk type="file"/></devices><name>',
        '"/><hostdev mode="subsystem"/><x y="',
        "'/><hostdev mode='subsystem'/><x y='",
        ']]><seclabel type="none"/>',
        '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/shadow">]>&b;',
        '&lt;hostdev/&gt;',
        '<?xml version="1.0"?><domain/>',
        '<!-- -->',
        '\n<commandline xmlns="http://libvirt.org/schemas/domain/qemu/1.0"/>',
    )
    properties = (
        *(row.name for row in table.IMAGE_PROPERTIES),
        *('name', 'os_command_line', 'hw_x', 'os_distro'),
    )

    def shape(self, **values):
        """Return the elements and attributes of a definition."""
        return [
            (element.tag, sorted(element.attrib))
            for element in parsed(spec(**values)).iter()
        ]

    def test_names(self):
        for name in ('title', 'flavor', 'user_id', 'project_id', 'operation'):
            expected = self.shape(**{name: 'plain'})
            for text in self.texts:
                self.assertEqual(expected, self.shape(**{name: text}), name)

    def test_extra_specs(self):
        expected = self.shape()
        for key in (*(row.name for row in table.EXTRA_SPECS), 'hw:x', 'x'):
            for text in self.texts:
                specs = {key: text, text: 'x'}
                self.assertEqual(
                    expected, self.shape(extra_specs=specs), (key, text)
                )

    def test_image_properties(self):
        for key in self.properties:
            for text in self.texts:
                # A command line is text of the guest's kernel.
                shape = self.shape(image={key: text, text: 'x'})
                self.assertIn(
                    shape, (self.shape(), self.shape(image={key: 'plain'}))
                )


class AcceptedTest(base.TestCase):
    """libvirt accepts any text of users."""

    def setUp(self):
        super().setUp()
        libvirt.registerErrorHandler(lambda context, error: None, None)
        path = f'{self.directory}/node.xml'
        with open(path, 'w') as file:
            file.write('<node/>')
        self.libvirt = libvirt.open(f'test://{path}')
        self.addCleanup(self.libvirt.close)

    def test_any_name(self):
        @quickly
        @hypothesis.given(title=any_text)
        @hypothesis.example(title=']]>')
        @hypothesis.example(title='\ud800 \x00 \x1b[1m')
        @hypothesis.example(title='one\ntwo\rthree\x0b\x0c')
        @hypothesis.example(title=' ')
        def accepted(title):
            text = domain(spec(title=title))
            ElementTree.fromstring(text)
            defined = self.libvirt.defineXML(text)
            shown = ElementTree.fromstring(defined.XMLDesc()).findtext('title')
            self.assertEqual(not title, shown is None)
            self.assertEqual(len(title), len(shown or ''))
            defined.undefine()

        accepted()

    def test_valid_characters_are_unchanged(self):
        title = 'Gr\xfc\xdfe, "\u4e16\u754c" <&> \U0001f600 ]]>'
        defined = self.libvirt.defineXML(domain(spec(title=title)))
        shown = ElementTree.fromstring(defined.XMLDesc()).findtext('title')
        self.assertEqual(title, shown)

    def test_any_owner(self):
        @quickly
        @hypothesis.given(user=any_text, flavor=any_text, operation=any_text)
        def accepted(user, flavor, operation):
            made = spec(user_id=user, flavor=flavor, operation=operation)
            defined = self.libvirt.defineXML(domain(made))
            defined.create()
            for _ in range(2):
                text = defined.metadata(
                    libvirt.VIR_DOMAIN_METADATA_ELEMENT, xml.NAMESPACE
                )
                mark = xml.parse_metadata(text)
                self.assertEqual(1, mark.generation)
                self.assertEqual(len(operation), len(mark.operation))
                # The form of a running guest is taken too.
                defined.setMetadata(
                    libvirt.VIR_DOMAIN_METADATA_ELEMENT,
                    xml.metadata_xml(made),
                    xml.PREFIX,
                    xml.NAMESPACE,
                    libvirt.VIR_DOMAIN_AFFECT_LIVE,
                )
            defined.destroy()
            defined.undefine()

        accepted()

    def test_any_size(self):
        for vcpus, memory_mb in ((1, 1), (128, 4 << 20)):
            made = spec(vcpus=vcpus, memory_mb=memory_mb)
            defined = self.libvirt.defineXML(domain(made))
            defined.create()
            _, most, _, processors, _ = defined.info()
            self.assertEqual((vcpus, memory_mb), (processors, most >> 10))
            defined.destroy()
            defined.undefine()

    def test_every_profile(self):
        nics = (
            {'mac': 'fa:16:3e:00:00:01', 'bridge': 'br-int', 'mtu': 1450},
            {'mac': 'fa:16:3e:00:00:02'},
            {'mac': 'fa:16:3e:00:00:03', 'libvirt_network': 'default'},
            {
                'mac': 'fa:16:3e:00:00:04',
                'user': True,
                'subnets': [{'cidr': '10.9.0.0/16'}],
            },
        )
        for profile in xml.PROFILES.values():
            if profile.type == 'test':
                text = domain(spec(nics=nics), profile)
                self.libvirt.defineXML(text).create()
