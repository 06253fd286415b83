# SPDX-License-Identifier: Apache-2.0
"""Console output and remote consoles."""

import dataclasses
import datetime
import urllib.parse

import fixtures
import sqlalchemy as sa

from minova import clock
from minova import exception
from minova.compute import consoles as limits
from minova.context import get_admin_context
from minova.db import tables
from minova.rpc.compute import ComputeClients
from tests.fixtures.newer_methods import NewerMethods
from tests.fixtures.vnc import token_of
from tests.functional.api import base

VNC = {'remote_console': {'protocol': 'vnc', 'type': 'novnc'}}
NEVER = 'ffffffff-0000-4000-8000-ffffffffffff'


class ConsoleTestCase(base.ApiTestCase):
    """One server on one host."""

    hosts = ('a',)

    def setUp(self):
        super().setUp()
        self.make_flavor()
        self.uuid = self.boot()

    def output(self, client=None, uuid=None, **content):
        """Request the console output; return the reply."""
        client = client or self.user
        return client.act(uuid or self.uuid, 'os-getConsoleOutput', content)

    def read(self, **content):
        """Return the console output."""
        reply = self.output(**content)
        self.assertEqual(200, reply.status, reply.body)
        self.assertEqual(['output'], list(reply.body))
        return reply.body['output']

    def set(self, **columns):
        self.cloud.database.write(
            lambda c: c.execute(
                tables.instances.update()
                .where(tables.instances.c.uuid == self.uuid)
                .values(columns)
            )
        )

    def tokens(self):
        query = sa.select(tables.console_tokens)
        return self.cloud.database.read(lambda c: c.execute(query).all())


class OutputTest(ConsoleTestCase):
    """os-getConsoleOutput."""

    def write_console(self, text):
        """Set the output of the guest."""
        path = f'a/guests/{self.uuid}'
        record = self.cloud.world.store.get(path)
        record['console'] = text.split('\n')
        self.cloud.world.store.put(path, record)

    def test_boots_are_shown(self):
        self.assertIn('boot 1 at a', self.read())
        self.user.act(self.uuid, 'reboot', {'type': 'HARD'})
        self.cloud.settle(self.uuid)
        text = self.read()
        self.assertLess(text.index('boot 1'), text.index('boot 2'))

    def test_lines(self):
        self.write_console('one\ntwo\nthree\n')
        for length, expected in (
            (None, 'one\ntwo\nthree\n'),
            (-1, 'one\ntwo\nthree\n'),
            ('-1', 'one\ntwo\nthree\n'),
            (0, ''),
            (1, 'three'),
            ('2', 'two\nthree'),
            (3, 'one\ntwo\nthree'),
            (99, 'one\ntwo\nthree'),
        ):
            self.assertEqual(expected, self.read(length=length), length)
        self.assertEqual('one\ntwo\nthree\n', self.read())

    def test_control_characters_are_removed(self):
        self.write_console('\x1b[31mr\u00e9d\x1b[0m\x00\r\n\x07\x7f\ufffe!')
        self.assertEqual('[31mr\u00e9d[0m\r\n!', self.read())

    def test_output_fits_a_message(self):
        self.write_console('x' * (limits.MAX_OUTPUT_BYTES + 5))
        self.assertEqual(limits.MAX_OUTPUT_BYTES, len(self.read()))

    def test_malformed_lengths(self):
        for length in (-2, 'many', 1.5, True, [], '1e3', '-2', 2**31):
            reply = self.output(length=length)
            self.assert_refused(400, 'os-getConsoleOutput.length', reply)
        reply = self.output(lines=3)
        self.assert_refused(400, "there is no field 'lines' here", reply)

    def test_unknown_and_deleted(self):
        self.assert_refused(404, NEVER, self.output(uuid=NEVER))
        self.user.delete(f'/servers/{self.uuid}')
        self.cloud.settle(self.uuid)
        self.assert_refused(404, self.uuid, self.output())

    def test_hidden_from_others(self):
        reply = self.output(client=self.other)
        self.assert_refused(404, self.uuid, reply)
        reply = self.output(client=self.admin)
        self.assertEqual(200, reply.status)

    def test_without_a_host(self):
        self.set(host=None)
        self.assert_refused(409, 'it has no host', self.output())

    def test_stopped_guest_keeps_its_output(self):
        self.user.act(self.uuid, 'os-stop')
        self.cloud.settle(self.uuid)
        self.assertIn('boot 1', self.read())

    def test_compute_unavailable(self):
        self.config('api', compute_timeout=0.5)
        self.cloud.stop(self.cloud.computes['a'])
        self.assertEqual(503, self.output().status)

    def test_compute_timeout(self):
        self.config('api', compute_timeout=0.2)
        self.cloud.world.inject_delay('a', 'console_output', 1)
        reply = self.output()
        self.assert_refused(503, 'The host of the server', reply)

    def test_old_compute_is_reported(self):
        self.useFixture(
            NewerMethods('get_console_output', 'get_remote_console')
        )
        self.config('upgrade_levels', compute='1.0')
        pinned = ComputeClients(self.cloud.bus, self.cloud.signer)
        self.backend = dataclasses.replace(self.backend, computes=pinned)
        self.restart_api()
        reply = self.output()
        self.assert_refused(501, 'it came with version 1.1', reply)
        reply = self.user.at_version('2.6').post(
            f'/servers/{self.uuid}/remote-consoles', VNC
        )
        self.assert_refused(501, 'it came with version 1.1', reply)

    def test_compute_without_access(self):
        self.cloud.world.inject_fault('a', 'console_output')
        self.assertEqual(500, self.output().status)
        self.assertEqual(200, self.output().status)


class VncConsoleTest(ConsoleTestCase):
    """remote-consoles, os-getVNCConsole, os-console-auth-tokens."""

    def setUp(self):
        super().setUp()
        self.cloud.world.set_graphics_endpoint('vnc', '127.0.0.1', 5901)

    def request(self, client=None, uuid=None, body=VNC, version='2.6'):
        client = (client or self.user).at_version(version)
        uuid = uuid or self.uuid
        return client.post(f'/servers/{uuid}/remote-consoles', body)

    def url(self):
        reply = self.request()
        self.assertEqual(200, reply.status, reply.body)
        return reply.body['remote_console']['url']

    def closed(self, token, client=None, version='2.31'):
        client = (client or self.admin).at_version(version)
        return client.get(f'/os-console-auth-tokens/{token}')

    def test_url(self):
        self.config(
            'vnc', novncproxy_base_url='https://screens.example.org/vnc.html'
        )
        reply = self.request()
        self.assertEqual(200, reply.status, reply.body)
        console = reply.body['remote_console']
        self.assertEqual(['protocol', 'type', 'url'], sorted(console))
        self.assertEqual(
            ('vnc', 'novnc'), (console['protocol'], console['type'])
        )
        page, _, query = console['url'].partition('?')
        self.assertEqual('https://screens.example.org/vnc.html', page)
        self.assertEqual(['path'], list(urllib.parse.parse_qs(query)))
        self.assertIn('path=%3Ftoken%3D', query)
        self.config(
            'vnc', novncproxy_base_url='https://screens.example.org/vnc?a=b'
        )
        self.assertIn('?a=b&path=', self.url())

    def test_legacy_action(self):
        reply = self.user.act(self.uuid, 'os-getVNCConsole', {'type': 'novnc'})
        self.assertEqual(200, reply.status, reply.body)
        console = reply.body['console']
        self.assertEqual('novnc', console['type'])
        self.assertEqual(200, self.closed(token_of(console['url'])).status)
        reply = self.user.act(
            self.uuid, 'os-getVNCConsole', {'type': 'xvpvnc'}
        )
        self.assert_refused(400, 'Unavailable console type xvpvnc.', reply)
        reply = self.user.act(self.uuid, 'os-getVNCConsole', {'type': 'tty'})
        self.assert_refused(400, 'must be one of novnc, xvpvnc', reply)

    def test_legacy_actions_of_other_kinds(self):
        for action, kind in (
            ('os-getSPICEConsole', 'spice-html5'),
            ('os-getRDPConsole', 'rdp-html5'),
            ('os-getSerialConsole', 'serial'),
        ):
            reply = self.user.act(self.uuid, action, {'type': kind})
            self.assert_refused(
                400, f'Unavailable console type {kind}.', reply
            )
            reply = self.user.act(self.uuid, action, {'type': 'novnc'})
            self.assertEqual(400, reply.status, reply.body)
            reply = self.user.at_version('2.6').act(
                self.uuid, action, {'type': kind}
            )
            self.assertEqual(404, reply.status, reply.body)

    def test_microversions(self):
        self.assertEqual(404, self.request(version='2.5').status)
        for version, status in (('2.5', 200), ('2.6', 404)):
            reply = self.user.at_version(version).act(
                self.uuid, 'os-getVNCConsole', {'type': 'novnc'}
            )
            self.assertEqual(status, reply.status, reply.body)
        mks = {'remote_console': {'protocol': 'mks', 'type': 'webmks'}}
        reply = self.request(body=mks, version='2.7')
        self.assert_refused(400, 'must be one of vnc, spice', reply)
        reply = self.request(body=mks, version='2.8')
        self.assert_refused(400, 'Unavailable console type webmks.', reply)
        token = token_of(self.url())
        self.assertEqual(400, self.closed(token, version='2.30').status)
        self.assertEqual(200, self.closed(token, version='2.31').status)

    def test_other_kinds(self):
        for protocol, kind in (
            ('spice', 'spice-html5'),
            ('serial', 'serial'),
            ('vnc', 'serial'),
            ('rdp', 'novnc'),
        ):
            wanted = {'protocol': protocol, 'type': kind}
            reply = self.request(body={'remote_console': wanted})
            text = f'Unavailable console type {kind}.'
            self.assert_refused(400, text, reply)
        reply = self.request(body={'remote_console': {'protocol': 'vnc'}})
        self.assert_refused(400, 'lacks type', reply)
        self.assertEqual([], self.tokens())

    def test_host_without_vnc(self):
        self.cloud.world.store.delete('orders/vnc')
        reply = self.request()
        self.assert_refused(400, 'Unavailable console type novnc.', reply)
        self.assertEqual('Unavailable console type novnc.', reply.message)
        self.assertEqual([], self.tokens())

    def request_type(self, protocol, kind, version='2.99'):
        wanted = {'remote_console': {'protocol': protocol, 'type': kind}}
        return self.request(body=wanted, version=version)

    def test_spice(self):
        self.cloud.world.set_graphics_endpoint('spice', '127.0.0.1', 5930)
        self.config('spice', html5proxy_base_url='https://s.example.org/p')
        for kind, page in (
            ('spice-html5', 'https://s.example.org/p?path='),
            ('spice-direct', 'http://127.0.0.1:13002/nova?token='),
        ):
            reply = self.request_type('spice', kind)
            self.assertEqual(200, reply.status, reply.body)
            console = reply.body['remote_console']
            self.assertEqual(
                ('spice', kind), (console['protocol'], console['type'])
            )
            self.assertTrue(console['url'].startswith(page), console)
            found = self.closed(token_of(console['url']), version='2.99')
            console = found.body['console']
            self.assertEqual(5930, console['port'])
            self.assertEqual(kind == 'spice-direct', 'tls_port' in console)
            self.assertIsNone(console.get('tls_port'))
        reply = self.user.act(
            self.uuid, 'os-getSPICEConsole', {'type': 'spice-html5'}
        )
        self.assertEqual(200, reply.status, reply.body)
        self.assertEqual('spice-html5', reply.body['console']['type'])

    def test_spice_with_tls_only(self):
        self.cloud.world.set_graphics_endpoint(
            'spice', '127.0.0.1', None, tls_port=5931
        )
        reply = self.request_type('spice', 'spice-html5')
        self.assertEqual(400, reply.status, reply.body)
        self.assertEqual(
            'Unavailable console type spice-html5.', reply.message
        )
        self.assertEqual([], self.tokens())
        reply = self.request_type('spice', 'spice-direct')
        self.assertEqual(200, reply.status, reply.body)
        token = token_of(reply.body['remote_console']['url'])
        console = self.closed(token, version='2.99').body['console']
        self.assertEqual((-1, 5931), (console['port'], console['tls_port']))

    def test_host_without_spice(self):
        for kind in ('spice-html5', 'spice-direct'):
            reply = self.request_type('spice', kind)
            self.assertEqual(400, reply.status, reply.body)
            self.assertEqual(
                f'Unavailable console type {kind}.', reply.message
            )
        self.assertEqual([], self.tokens())

    def test_spice_direct_came_with_2_99(self):
        reply = self.request_type('spice', 'spice-direct', '2.98')
        self.assert_refused(400, 'must be one of novnc', reply)
        reply = self.user.act(
            self.uuid, 'os-getSPICEConsole', {'type': 'spice-direct'}
        )
        self.assert_refused(400, 'spice-html5', reply)

    def test_type_that_the_release_of_the_host_lacks(self):
        """Not 500: a newer API service may know more types."""
        self.useFixture(
            fixtures.MonkeyPatch(
                'minova.virt.driver.consoles._GRAPHICS_PROTOCOLS',
                {'novnc': 'vnc'},
            )
        )
        reply = self.request_type('spice', 'spice-html5')
        self.assertEqual(400, reply.status, reply.body)
        self.assertEqual(
            'Unavailable console type spice-html5.', reply.message
        )
        self.assertEqual([], self.tokens())

    def test_stopped_server(self):
        self.user.act(self.uuid, 'os-stop')
        self.cloud.settle(self.uuid)
        self.assert_refused(409, 'does not run', self.request())
        self.set(host=None)
        self.assert_refused(409, 'it has no host', self.request())

    def test_policy(self):
        self.assert_refused(404, NEVER, self.request(uuid=NEVER))
        self.assert_refused(404, self.uuid, self.request(client=self.other))
        self.assertEqual(200, self.request(client=self.admin).status)
        token = token_of(self.url())
        self.assertEqual(403, self.closed(token, client=self.user).status)

    def test_token_lookup_shows_a_tls_port_from_2_99_on(self):
        """Of the type spice-direct only."""
        self.cloud.world.set_graphics_endpoint(
            'spice', '127.0.0.1', 5930, tls_port=5931
        )
        reply = self.request_type('spice', 'spice-direct')
        direct = token_of(reply.body['remote_console']['url'])
        for token, version, expected in (
            (direct, '2.98', None),
            (direct, '2.99', 5931),
            (token_of(self.url()), '2.99', None),
        ):
            reply = self.closed(token, version=version)
            self.assertEqual(200, reply.status, reply.body)
            self.assertEqual(expected, reply.body['console'].get('tls_port'))

    def test_every_type_of_every_version(self):
        """200: offered, 400: not; the text tells why."""
        self.cloud.world.set_graphics_endpoint('spice', '127.0.0.1', 5930)
        unavailable, unknown = 'Unavailable console type {}.', 'must be one of'
        # The version that added the type, and its answer since.
        for protocol, kind, since, expected in (
            ('vnc', 'novnc', 6, None),
            ('vnc', 'xvpvnc', 6, unavailable),
            ('spice', 'spice-html5', 6, None),
            ('rdp', 'rdp-html5', 6, unavailable),
            # This host has no [serial_console] enabled.
            ('serial', 'serial', 6, unavailable),
            ('mks', 'webmks', 8, unavailable),
            ('spice', 'spice-direct', 99, None),
            ('vnc', 'tty', 1000, unavailable),
        ):
            for version in (6, 7, 8, 98, 99, 104):
                text = unknown if version < since else expected
                reply = self.request_type(protocol, kind, f'2.{version}')
                if text is None:
                    self.assertEqual(200, reply.status, reply.body)
                    continue
                self.assertEqual(400, reply.status, (kind, version))
                self.assertIn(text.format(kind), reply.message)

    def test_token_lookup(self):
        token = token_of(self.url())
        reply = self.closed(token)
        self.assertEqual(200, reply.status, reply.body)
        self.assertEqual(
            {
                'console': {
                    'instance_uuid': self.uuid,
                    'host': '127.0.0.1',
                    'port': 5901,
                    'internal_access_path': None,
                }
            },
            reply.body,
        )
        # The current address, not that of the creation.
        self.cloud.world.set_graphics_endpoint('vnc', '127.0.0.1', 5977)
        self.assertEqual(5977, self.closed(token).body['console']['port'])
        self.assert_refused(404, 'not valid', self.closed(token + 'x'))
        self.assert_refused(404, 'not valid', self.closed('x'))

    def test_tokens_differ_and_are_not_stored(self):
        one, other = token_of(self.url()), token_of(self.url())
        self.assertNotEqual(one, other)
        kept = [row.token_hash for row in self.tokens()]
        self.assertEqual(2, len(set(kept)))
        self.assertNotIn(one, repr(self.tokens()))
        self.assertNotIn(one, self.log.output)

    def test_expired_tokens_are_deleted(self):
        self.config('vnc', token_ttl=100)
        token = token_of(self.url())
        (row,) = self.tokens()
        left = row.expires_at - clock.now()
        self.assertLess(left, datetime.timedelta(seconds=101))
        self.assertGreater(left, datetime.timedelta(seconds=90))
        old, lasting = token, token_of(self.url())
        past = clock.now() - datetime.timedelta(seconds=1)
        table = tables.console_tokens
        self.cloud.database.write(
            lambda c: c.execute(
                table.update()
                .where(table.c.id == row.id)
                .values(expires_at=past)
            )
        )
        self.assertEqual(404, self.closed(old).status)
        self.cloud.wait_for(lambda: len(self.tokens()) == 1)
        self.assertEqual(200, self.closed(lasting).status)

    def test_delete_removes_tokens(self):
        for kind in ('delete', 'forceDelete'):
            uuid = self.boot()
            reply = self.request(uuid=uuid)
            token = token_of(reply.body['remote_console']['url'])
            kept = token_of(self.url())
            if kind == 'delete':
                self.user.delete(f'/servers/{uuid}')
            else:
                self.user.act(uuid, 'forceDelete')
            self.cloud.settle(uuid)
            self.assertEqual(
                {self.uuid}, {row.instance_uuid for row in self.tokens()}
            )
            self.assertEqual(404, self.closed(token).status, kind)
            self.assertEqual(200, self.closed(kept).status)

    def test_deleted_server_has_no_ports(self):
        """Whatever left it there."""
        token = token_of(self.url())
        self.set(vm_state='deleted')
        self.assertEqual(404, self.closed(token).status)
        self.assertRaises(
            exception.ConsoleTokenNotFound,
            self.cloud.conductor.check_console,
            get_admin_context(),
            token=token,
        )
