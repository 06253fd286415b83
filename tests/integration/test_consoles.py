# SPDX-License-Identifier: Apache-2.0
"""The consoles of a real guest, in an all-in-one with QEMU."""

import os
import re

from websockets import exceptions

from minova.cmd.argument_types import default_data_directory
from minova.rig import guest
from minova.rig import hosts
from tests.base import clock
from tests.fixtures.spice import LINK
from tests.fixtures.spice import MAGIC
from tests.fixtures.vnc import open_websocket
from tests.integration.allinone import AllInOneTestCase
from tests.integration.allinone import Shell

#: libvirt and QEMU accept all of these.
_SPICE = """[spice]
enabled = true
image_compression = quic
jpeg_compression = never
zlib_compression = never
playback_compression = false
streaming_mode = off
"""


class ConsolesTest(AllInOneTestCase):
    """Clients type commands into a shell, and begin SPICE."""

    time_limit = 400

    def boot(self):
        """Return a server with a shell on its serial port."""
        made = guest.build(default_data_directory('rig', 'guest'))
        parts = {}
        for part, path in (('kernel', made.kernel), ('ramdisk', made.ramdisk)):
            with open(path, 'rb') as file:
                parts[f'{part}_id'] = self.image(part, file.read()).id
        command_line = f'{guest.COMMAND_LINE} minova.shell'
        image = self.image(
            'guest', bytes(1 << 20), os_command_line=command_line, **parts
        )
        flavor = self.cloud.create_flavor('small', 96, 1, 1)
        server = self.cloud.compute.create_server(
            name='web',
            image_id=image.id,
            flavor_id=flavor.id,
            networks='none',
        )
        return self.wait(self.cloud, server)

    def image(self, name, data, **properties):
        return self.cloud.create_image(
            name,
            data=data,
            disk_format='raw',
            container_format='bare',
            wait=True,
            **properties,
        )

    def connect_console(self, url):
        """Open the console; wait while the guest is between two hosts."""
        until = clock.monotonic() + 60
        while True:
            try:
                client = open_websocket(url, open_timeout=60)
                made = client.__enter__()
            except exceptions.InvalidStatus as error:
                self.assertEqual(409, error.response.status_code)
                self.assertLess(clock.monotonic(), until)
                clock.sleep(0.2)
            else:
                self.addCleanup(made.close)
                return made

    def run_command(self, client, number):
        """Let the guest multiply; the text is not that of its echo.

        The firmware and the kernel swallow what they receive.
        """
        found = b''
        until = clock.monotonic() + 120
        sent = float('-inf')
        while f'product={number * 7}'.encode() not in found:
            self.assertLess(clock.monotonic(), until, found[-2000:])
            if clock.monotonic() > sent + 5:
                client.send(f'echo product=$(({number} * 7))\n')
                sent = clock.monotonic()
            found += client.recv(timeout=60)
        return found

    def enable_spice(self):
        """Return a configuration file."""
        path = os.path.join(self.directory, 'spice.conf')
        with open(path, 'w') as file:
            file.write(_SPICE)
        return path

    def assert_spice(self, server):
        """Begin the SPICE protocol by the proxy, as the stock client says."""
        shown = self.shell.table(f'console url show --spice {server.id}')
        self.assertEqual('spice-html5', shown['type'])
        with open_websocket(shown['url'], open_timeout=60) as client:
            client.send(LINK)
            self.assertTrue(client.recv(timeout=60).startswith(MAGIC))

    def assert_ended(self, client):
        """Check that the console of a guest that left ends clearly."""
        until = clock.monotonic() + 60
        while True:
            try:
                client.recv(timeout=10)
            except exceptions.ConnectionClosed as error:
                self.assertEqual(1000, error.rcvd.code)
                return
            self.assertLess(clock.monotonic(), until)

    def test_consoles(self):
        place = os.path.join(self.data, 'rig')
        self.addCleanup(hosts.down, place)
        service = self.start(
            '--hypervisor=qemu', f'--config-file={self.enable_spice()}'
        )
        self.cloud = self.connect()
        self.shell = self.useFixture(Shell(self.client_environment()))
        server = self.boot()
        self.assert_spice(server)
        made = self.cloud.compute.create_console(server, 'serial')
        url = made['url']
        client = self.connect_console(url)
        text = self.run_command(client, 11)
        boot = self.read_boot(client, text)
        # Another client takes the console over.
        other = self.connect_console(url)
        self.assert_ended(client)
        self.run_command(other, 12)
        # A console that moves ends; the token opens it at the new host.
        before = server.compute_host
        self.cloud.compute.live_migrate_server(server, block_migration='auto')
        server = self.wait(self.cloud, server)
        self.assertNotEqual(before, server.compute_host)
        self.assert_spice(server)
        self.assert_ended(other)
        client = self.connect_console(url)
        text = self.run_command(client, 13)
        self.assertEqual(boot, self.read_boot(client, text))
        self.cloud.compute.reboot_server(server, 'HARD')
        self.assert_ended(client)
        server = self.wait(self.cloud, server)
        client = self.connect_console(url)
        text = self.run_command(client, 14)
        self.assert_spice(server)
        self.assertNotEqual(boot, self.read_boot(client, text))
        # All of this is in the console log.
        log = self.cloud.compute.get_server_console_output(server)['output']
        self.assertIn('product=98', log)
        self.cloud.compute.stop_server(server)
        self.assert_ended(client)
        self.wait(self.cloud, server, 'SHUTOFF')
        self.assertNotIn('Traceback', service.log_text())

    def read_boot(self, client, text):
        """Return the boot id that the counting guest writes."""
        while not (found := re.search(rb'COUNT \d+ boot=(\S+) memory', text)):
            text += client.recv(timeout=30)
        return found[1]
