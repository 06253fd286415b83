# SPDX-License-Identifier: Apache-2.0
"""The config drive: its files, always the same bytes.

The image is read back by pycdlib, its label by blkid, which is what a guest's
udev asks.
"""

import base64
import io
import json
import os
import subprocess
import time

import hypothesis
from hypothesis import strategies
import pycdlib

from minova.virt import configdrive
from minova.virt.configdrive import documents
from minova.virt.configdrive import iso
from minova.virt.configdrive import network
from minova.virt.driver import ConfigDrive
from tests import base
from tests.unit.virt.rigs import spec
from tests.unit.virt.rigs import UUID

KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA me@home\n'
SCRIPT = b'#!/bin/sh\necho \xff\n'
NIC = {
    'id': '5e1ab5f6-0000-4000-8000-0123456789ab',
    'mac': 'FA:16:3E:00:00:01',
    'label': 'inside',
    'network_id': 'n-1',
    'mtu': 1400,
    'bridge': 'br0',
    'addresses': [
        {'address': '10.0.0.5', 'version': 4, 'type': 'fixed'},
        {'address': 'fd00::5', 'version': 6, 'type': 'fixed'},
    ],
    'subnets': [
        {
            'cidr': '10.0.0.0/22',
            'gateway': '10.0.0.1',
            'dns': ['10.0.0.2', '10.0.0.3'],
            'version': 4,
        },
        {
            'cidr': 'fd00::/64',
            'gateway': 'fd00::1',
            'dns': ['10.0.0.2', 'fd00::2'],
            'version': 6,
        },
    ],
}


def drive(**values):
    """Return a spec of a guest that has a config drive."""
    more = {name: values.pop(name) for name in ('nics',) if name in values}
    emitted = {'hostname': 'web', 'launch_index': 2, 'reservation_id': 'r-1'}
    return spec(config_drive=ConfigDrive(**(emitted | values)), **more)


def read(files, path):
    return json.loads(files[path])


class DocumentsTest(base.TestCase):
    """The files."""

    def test_which_there_are(self):
        plain = [
            'ec2/latest/meta-data.json',
            'openstack/2018-08-27/meta_data.json',
            'openstack/2018-08-27/network_data.json',
            'openstack/2018-08-27/vendor_data.json',
            'openstack/latest/meta_data.json',
            'openstack/latest/network_data.json',
            'openstack/latest/vendor_data.json',
        ]
        self.assertEqual(plain, list(documents.build_files(drive())))
        text = base64.b64encode(SCRIPT).decode()
        found = documents.build_files(drive(user_data=text))
        scripts = {
            'ec2/latest/user-data',
            'openstack/2018-08-27/user_data',
            'openstack/latest/user_data',
        }
        self.assertEqual(scripts, set(found) - set(plain))
        for path in scripts:
            self.assertEqual(SCRIPT, found[path])

    def test_user_data_that_was_wrapped(self):
        # The API takes base64 in lines, as the tools write it.
        text = base64.encodebytes(b'x' * 200).decode()
        found = documents.build_files(drive(user_data=text))
        self.assertEqual(b'x' * 200, found['openstack/latest/user_data'])
        found = documents.build_files(drive(user_data='AA\u2003EC\n'))
        self.assertEqual(b'\0\1\2', found['openstack/latest/user_data'])

    def test_instance_identity(self):
        files = documents.build_files(
            drive(
                availability_zone='nova',
                metadata={'role': 'w\N{SNOWMAN}b'},
                key_name='mine',
                key_data=KEY,
            )
        )
        expected = {
            'uuid': UUID,
            'name': 'a guest',
            'hostname': 'web',
            'launch_index': 2,
            'availability_zone': 'nova',
            'project_id': 'project',
            'meta': {'role': 'w\N{SNOWMAN}b'},
            'devices': [],
            'public_keys': {'mine': KEY},
            'keys': [{'name': 'mine', 'type': 'ssh', 'data': KEY}],
        }
        for version in ('latest', '2018-08-27'):
            found = read(files, f'openstack/{version}/meta_data.json')
            self.assertEqual(expected, found)
        ec2 = read(files, 'ec2/latest/meta-data.json')
        self.assertEqual(UUID, ec2['instance-id'])
        self.assertEqual('web', ec2['local-hostname'])
        self.assertEqual(
            {'0': {'_name': '0=mine', 'openssh-key': KEY}}, ec2['public-keys']
        )
        vendor = read(files, 'openstack/latest/vendor_data.json')
        self.assertEqual({}, vendor)

    def test_without_a_key(self):
        files = documents.build_files(drive())
        found = read(files, 'openstack/latest/meta_data.json')
        self.assertNotIn('public_keys', found)
        self.assertNotIn('keys', found)
        self.assertNotIn(
            'public-keys', read(files, 'ec2/latest/meta-data.json')
        )

    def test_a_certificate(self):
        pem = '-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----\n'
        files = documents.build_files(drive(key_name='c', key_data=pem))
        found = read(files, 'openstack/latest/meta_data.json')
        self.assertEqual('x509', found['keys'][0]['type'])

    def test_a_guest_without_a_drive(self):
        self.assertRaises(LookupError, documents.build_files, spec())


class NetworkTest(base.TestCase):
    """network_data.json for cloud-init."""

    def test_static_addresses(self):
        self.assertEqual(
            {
                'links': [
                    {
                        'id': 'tap5e1ab5f6-00',
                        'vif_id': NIC['id'],
                        'type': 'phy',
                        # cloud-init compares with what the kernel says.
                        'ethernet_mac_address': 'fa:16:3e:00:00:01',
                        'mtu': 1400,
                    }
                ],
                'networks': [
                    {
                        'id': 'network0',
                        'link': 'tap5e1ab5f6-00',
                        'type': 'ipv4',
                        'network_id': 'n-1',
                        'ip_address': '10.0.0.5',
                        'netmask': '255.255.252.0',
                        'routes': [
                            {
                                'network': '0.0.0.0',
                                'netmask': '0.0.0.0',
                                'gateway': '10.0.0.1',
                            }
                        ],
                        'services': [
                            {'type': 'dns', 'address': '10.0.0.2'},
                            {'type': 'dns', 'address': '10.0.0.3'},
                        ],
                    },
                    {
                        'id': 'network1',
                        'link': 'tap5e1ab5f6-00',
                        'type': 'ipv6',
                        'network_id': 'n-1',
                        'ip_address': 'fd00::5',
                        'netmask': 'ffff:ffff:ffff:ffff::',
                        'routes': [
                            {
                                'network': '::',
                                'netmask': '::',
                                'gateway': 'fd00::1',
                            }
                        ],
                        'services': [
                            {'type': 'dns', 'address': '10.0.0.2'},
                            {'type': 'dns', 'address': 'fd00::2'},
                        ],
                    },
                ],
                'services': [
                    {'type': 'dns', 'address': '10.0.0.2'},
                    {'type': 'dns', 'address': '10.0.0.3'},
                    {'type': 'dns', 'address': 'fd00::2'},
                ],
            },
            network.network_data([NIC]),
        )

    def test_no_gateway_no_route(self):
        subnet = NIC['subnets'][0] | {'gateway': None, 'dns': None}
        found = network.network_data(
            [NIC | {'subnets': [subnet], 'mtu': None}]
        )
        self.assertEqual([], found['networks'][0]['routes'])
        self.assertEqual([], found['services'])
        self.assertNotIn('mtu', found['links'][0])

    def test_dhcp(self):
        # The second address lies in no subnet that is known.
        found = network.network_data([NIC | {'subnets': NIC['subnets'][:1]}])
        self.assertEqual(
            ['ipv4', 'ipv6_dhcp'], [n['type'] for n in found['networks']]
        )
        user = NIC | {'user': True, 'addresses': [], 'bridge': None}
        found = network.network_data([user])
        self.assertEqual(
            [
                {
                    'id': 'network0',
                    'link': 'tap5e1ab5f6-00',
                    'type': 'ipv4_dhcp',
                    'network_id': 'n-1',
                }
            ],
            found['networks'],
        )

    def test_a_device_without_an_address(self):
        found = network.network_data([NIC | {'addresses': []}])
        self.assertEqual([], found['networks'])
        self.assertEqual(1, len(found['links']))

    def test_several_devices(self):
        other = NIC | {'id': 'f' * 36, 'mac': 'fa:16:3e:00:00:02'}
        found = network.network_data([NIC, other])
        links = [link['id'] for link in found['links']]
        self.assertEqual(['tap5e1ab5f6-00', 'tapfffffffffff'], links)
        self.assertEqual(
            [f'network{number}' for number in range(4)],
            [one['id'] for one in found['networks']],
        )
        self.assertEqual(
            [links[0]] * 2 + [links[1]] * 2,
            [one['link'] for one in found['networks']],
        )
        self.assertEqual(3, len(found['services']))

    def test_nothing(self):
        empty = {'links': [], 'networks': [], 'services': []}
        self.assertEqual(empty, network.network_data([]))


def unpacked(image, kind):
    """Return the files of an image by path; ``kind`` names the format."""
    disc = pycdlib.PyCdlib()
    disc.open_fp(io.BytesIO(image))
    found = {}
    for folder, _, names in disc.walk(**{kind: '/'}):
        for name in names:
            path = f'{folder.rstrip("/")}/{name}'
            content = io.BytesIO()
            disc.get_file_from_iso_fp(content, **{kind: path})
            found[path.lstrip('/')] = content.getvalue()
    disc.close()
    return found


class ImageTest(base.TestCase):
    """The ISO image."""

    def setUp(self):
        super().setUp()
        self.addCleanup(time.tzset)
        self.addCleanup(os.environ.pop, 'TZ', None)

    def at(self, zone):
        """Set the time zone."""
        os.environ['TZ'] = zone
        time.tzset()

    def test_all_files_by_both_kinds_of_names(self):
        made = drive(user_data=base64.b64encode(SCRIPT).decode())
        image = configdrive.build_image(made)
        for kind in ('rr_path', 'joliet_path'):
            self.assertEqual(
                documents.build_files(made), unpacked(image, kind)
            )

    def test_the_label(self):
        path = os.path.join(self.directory, 'disk.config')
        with open(path, 'wb') as file:
            file.write(configdrive.build_image(drive()))
        emitted = subprocess.run(
            ['/sbin/blkid', '-p', '-o', 'export', path],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.splitlines()
        self.assertIn('LABEL=config-2', emitted)
        self.assertIn('TYPE=iso9660', emitted)

    def test_image_is_reproducible(self):
        made = drive(key_name='k' * 255, key_data=KEY, nics=(NIC,))
        self.at('UTC')
        first = configdrive.build_image(made)
        self.at('Pacific/Chatham')
        # A second later, as pycdlib sees it.
        real = time.time
        self.patch(time, 'time', lambda: real() + 86400 * 400 + 1)
        self.assertEqual(first, configdrive.build_image(made))

    def test_times_are_those_of_no_day(self):
        disc = pycdlib.PyCdlib()
        disc.open_fp(io.BytesIO(configdrive.build_image(drive())))
        self.addCleanup(disc.close)
        record = disc.get_record(rr_path='/openstack/latest/meta_data.json')
        date = record.date
        self.assertEqual(
            (100, 1, 1, 0, 0, 0, 0),
            (date.years_since_1900, date.month, date.day_of_month, date.hour,
             date.minute, date.second, date.gmtoffset),
        )  # fmt: skip
        self.assertEqual(2000, disc.pvd.volume_creation_date.year)
        self.assertEqual(0, disc.pvd.volume_expiration_date.year)

    def test_another_guest_another_drive(self):
        one, other = drive(), drive(hostname='db')
        self.assertNotEqual(
            configdrive.build_image(one), configdrive.build_image(other)
        )

    @hypothesis.settings(max_examples=25, derandomize=True)
    @hypothesis.given(
        strategies.dictionaries(
            strategies.lists(
                # As long as Joliet takes them.
                strategies.from_regex(r'[a-z]{1,60}', fullmatch=True),
                min_size=1,
                max_size=4,
            ).map('/'.join),
            strategies.binary(max_size=5000),
            max_size=60,
        )
    )
    def test_any_files(self, files):
        # No name is a file and a directory.
        files = {f'{path}.txt': files[path] for path in files}
        self.at('UTC')
        image = iso.build_image('any', files)
        self.at('Asia/Tokyo')
        self.assertEqual(image, iso.build_image('any', files))
        for kind in ('rr_path', 'joliet_path'):
            self.assertEqual(files, unpacked(image, kind))
