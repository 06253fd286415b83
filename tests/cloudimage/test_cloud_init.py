# SPDX-License-Identifier: Apache-2.0
"""A Debian with cloud-init reads its config drive, on a real hypervisor.

The services are processes, the hosts those of a rig, the image is what
``minova-rig image`` makes. A boot takes minutes where processors are emulated.
"""

import base64
import binascii
import json
import os
import pathlib
import re
import subprocess

from testtools import content

from minova.cmd.argument_types import default_data_directory
from minova.db.queries import networks
from minova.rig import image
from tests.integration.qemu import QemuTestCase

ADDRESS = '10.0.2.77'
_GIB = 1 << 30
#: Seconds for a boot while other guests run.
_BOOT_TIMEOUT = 900
_REPORT = re.compile(r'REPORT ([A-Za-z0-9+/=]+)\r?\n')
_REPORTER = pathlib.Path(__file__).with_name('reporter.py')
_PER_BOOT = """\
#!/bin/sh
exec systemd-run --no-block /usr/local/bin/reporter
"""


def user_data(private_key):
    """Return the user data whose effects the guest reports."""
    scripts = '/var/lib/cloud/scripts/per-boot'
    files = (
        ('/usr/local/bin/reporter', '0755', _REPORTER.read_text()),
        (f'{scripts}/reporter', '0755', _PER_BOOT),
        ('/root/key', '0600', private_key),
    )
    wanted = {
        'write_files': [
            {'path': path, 'permissions': mode, 'content': text}
            for path, mode, text in files
        ],
        'runcmd': ['date >> /root/runs'],
    }
    # JSON is YAML, too.
    text = f'#cloud-config\n{json.dumps(wanted)}\n'
    return base64.b64encode(text.encode()).decode()


class CloudInitTest(QemuTestCase):
    """First boot, reboot, and migration to another host."""

    time_limit = 4 * _BOOT_TIMEOUT

    def setUp(self):
        super().setUp()
        subprocess.check_call(
            [*self.manage, 'network', 'create', 'private', '--user'],
            stdout=subprocess.DEVNULL,
        )
        for disk in (3, 4):
            self.user.flavor(f'debian{disk}', 512, disk, vcpus=2)
        path = image.build(
            os.path.join(default_data_directory('rig'), 'image')
        )
        self.user.image(pathlib.Path(path).read_bytes(), disk_format='qcow2')
        self.seen = set()
        self.addOnException(self._show_consoles)

    def start_compute(self, host, wait=True, **more):
        # The guest shuts down on request, which takes time.
        patience = {'compute': {'shutdown_timeout': 180}}
        return super().start_compute(host, wait, **(patience | more))

    def consoles(self):
        """Yield the console logs of all hosts."""
        for host in self.rig.hosts:
            folder = pathlib.Path(self.rig.instances_path(host))
            for path in folder.glob('*/console.log'):
                yield path.read_text(encoding='utf-8', errors='replace')

    def _show_consoles(self, exc_info):
        for text in self.consoles():
            shown = content.text_content(text[-20000:])
            self.addDetailUniqueName('console', shown)

    def reports(self):
        """Yield the reports of the guest on all hosts."""
        for console in self.consoles():
            for text in _REPORT.findall(console):
                try:
                    yield json.loads(base64.b64decode(text, validate=True))
                except (binascii.Error, ValueError):
                    continue  # another process wrote in between

    def wait_for_report(self):
        """Return the report of a boot that is not in ``known``."""
        found = []

        def reported():
            found.extend(
                one for one in self.reports() if one['boot'] not in self.seen
            )
            return found

        self.wait_for(reported, _BOOT_TIMEOUT)
        self.seen.add(found[0]['boot'])
        return found[0]

    # -- the test ------------------------------------------------------------

    def test_config_drive(self):
        key = self.user.request(
            'POST', '/os-keypairs', {'keypair': {'name': 'mine'}}
        )['keypair']
        (network,) = self.database.read(networks.list_all)
        uuid = self.user.create(
            flavor='debian3',
            name='web-1',
            config_drive=True,
            key_name='mine',
            user_data=user_data(key['private_key']),
            metadata={'role': 'w\N{SNOWMAN}b'},
            networks=[{'uuid': network.id, 'fixed_ip': ADDRESS}],
        )
        self.user.wait(uuid, 'ACTIVE', 300)
        first = self.wait_for_report()
        self.assert_configured(uuid, first, key['public_key'])
        self.assert_size(first, 3)

        # After a reboot cloud-init repeats no once-only module.
        self.user.act(uuid, 'reboot', {'type': 'HARD'})
        self.user.wait(uuid, 'ACTIVE', 300)
        second = self.wait_for_report()
        self.assert_configured(uuid, second, key['public_key'])
        self.assert_same_instance(first, second)

        # On another host, with a larger disk.
        before = self.user.host(uuid)
        self.user.resize(uuid, 'debian4')
        self.user.wait(uuid, 'VERIFY_RESIZE', 600)
        self.user.act(uuid, 'confirmResize')
        self.user.wait(uuid, 'ACTIVE', 120)
        self.assertNotEqual(before, self.user.host(uuid))
        third = self.wait_for_report()
        self.assert_configured(uuid, third, key['public_key'])
        self.assert_same_instance(first, third)
        self.assert_size(third, 4)
        self.user.delete(uuid)
        self.assert_nothing_left()

    def assert_configured(self, uuid, emitted, public_key):
        """The guest has the settings of the config drive."""
        self.assertEqual([], emitted['errors'])
        self.assertEqual('web-1', emitted['hostname'])
        self.assertEqual(uuid, emitted['instance'])
        self.assertIn('DataSourceConfigDrive', emitted['datasource'])
        self.assertEqual({'role': 'w\N{SNOWMAN}b'}, emitted['metadata'])
        self.assertIn(public_key.strip(), emitted['keys'])
        self.assertEqual('root', emitted['login'])
        self.assertEqual(1, emitted['runs'])
        self.assert_network(uuid, emitted)

    def assert_network(self, uuid, emitted):
        (shown,) = self.user.show(uuid)['addresses']['private']
        self.assertEqual(ADDRESS, shown['addr'])
        (link,) = [
            one
            for one in emitted['links']
            if one['address'] == shown['OS-EXT-IPS-MAC:mac_addr']
        ]
        (address,) = [
            one for one in link['addr_info'] if one['family'] == 'inet'
        ]
        self.assertEqual(
            (ADDRESS, 24), (address['local'], address['prefixlen'])
        )
        # The guest sent no request for it.
        self.assertNotIn('dynamic', address)
        (way,) = [one for one in emitted['routes'] if one['dst'] == 'default']
        self.assertEqual(
            ('10.0.2.2', link['ifname']), (way['gateway'], way['dev'])
        )
        self.assertIn(f'({link["ifname"]}): 10.0.2.3', emitted['dns'])

    def assert_same_instance(self, first, other):
        # Otherwise cloud-init would have generated another one.
        self.assertEqual(first['host_key'], other['host_key'])
        self.assertNotEqual(first['boot'], other['boot'])

    def assert_size(self, emitted, disk):
        """The root file system fills the disk."""
        self.assertTrue(
            (disk - 0.3) * _GIB < emitted['root'] < disk * _GIB,
            emitted['root'],
        )
