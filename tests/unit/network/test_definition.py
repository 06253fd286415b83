# SPDX-License-Identifier: Apache-2.0
"""Definition of networks, and the configured ones."""

import logging
import os

import fixtures

from minova import clock
from minova import exception
from minova.conf import CONF
from minova.db import migrate
from minova.db.connections import engine
from minova.db.queries import networks
from minova.db.queries import ports
from minova.network import definition
from tests import base


class DefineTest(base.TestCase):
    """Settings and their meaning."""

    def define(self, **words):
        given = {'cidr': '10.0.0.0/24', 'bridge': 'br0'} | words
        return definition.define('private', **given)

    def test_defaults(self):
        made = self.define()
        self.assertEqual('10.0.0.1', made.gateway)
        self.assertEqual(
            ('10.0.0.1', '10.0.0.254'), (made.pool_first, made.pool_last)
        )
        self.assertEqual([], made.dns)
        self.assertIsNone(made.mtu)
        self.assertIsNone(made.project_id)
        self.assertEqual((networks.BRIDGE, 'br0'), (made.kind, made.device))
        self.assertTrue(made.port_security_enabled)
        made = self.define(port_security=False)
        self.assertFalse(made.port_security_enabled)

    def test_explicit_values(self):
        made = self.define(
            gateway='10.0.0.254',
            dns=['9.9.9.9', 'fd00::53'],
            mtu='1400',
            pool='10.0.0.5-10.0.0.9',
            project='p',
        )
        self.assertEqual('10.0.0.254', made.gateway)
        self.assertEqual(['9.9.9.9', 'fd00::53'], made.dns)
        self.assertEqual(1400, made.mtu)
        self.assertEqual('p', made.project_id)
        self.assertEqual(
            ('10.0.0.5', '10.0.0.9'), (made.pool_first, made.pool_last)
        )
        self.assertIsNone(self.define(gateway='none').gateway)

    def test_user_network_has_qemu_defaults(self):
        made = definition.define('trial', user=True)
        self.assertEqual('10.0.2.0/24', made.cidr)
        self.assertEqual('10.0.2.2', made.gateway)
        self.assertEqual(['10.0.2.3'], made.dns)
        self.assertEqual('10.0.2.15', made.pool_first)
        made = definition.define('trial', user=True, cidr='10.9.0.0/16')
        self.assertEqual('10.9.0.2', made.gateway)

    def test_ipv6(self):
        made = self.define(cidr='FD00:1::/112')
        self.assertEqual('fd00:1::1', made.gateway)
        self.assertEqual('fd00:1::ffff', made.pool_last)

    def test_invalid_values(self):
        plug = {'bridge': None}
        for words, text in (
            ({'cidr': None}, "'' is not a CIDR such as"),
            ({'cidr': 'x'}, "'x' is not a CIDR such as"),
            ({'cidr': '10.0.0.1/24'}, 'has host bits set'),
            ({'cidr': '10.0.0.0/31'}, 'too small for a gateway'),
            ({'cidr': '224.0.0.0/24'}, 'cannot be used on a network'),
            ({'cidr': '127.0.0.0/8'}, 'cannot be used on a network'),
            ({'gateway': '10.0.1.1'}, '10.0.1.1 cannot be the gateway: it'),
            ({'gateway': '10.0.0.0'}, 'not a host address of 10.0.0.0/24'),
            ({'gateway': '10.0.0.255'}, 'not a host address of 10.0.0.0/24'),
            ({'gateway': 'x'}, "'x' is not a valid address of the gateway"),
            ({'dns': ['x']}, "'x' is not a valid address of a DNS server"),
            ({'dns': ['fe80::1%e']}, 'it has a scope id'),
            ({'pool': '10.0.0.5'}, 'is not a pool such as'),
            ({'pool': '10.0.0.9-10.0.0.5'}, 'ends before it begins'),
            ({'pool': '10.0.0.9-10.0.1.5'}, '10.0.1.5 cannot be in the pool'),
            ({'pool': '10.0.0.1-10.0.0.1'}, 'the gateway, 10.0.0.1, only'),
            ({'mtu': '67'}, "'67' is not an MTU from 68 to 65535"),
            ({'mtu': 'big'}, "'big' is not an MTU from 68 to 65535"),
            ({'cidr': 'fd00::/64', 'mtu': '1000'}, 'from 1280 to'),
            (
                {'bridge': 'b' * 16},
                'is not a valid bridge: use 1 to 15 characters',
            ),
            ({'bridge': 'a/b'}, 'is not a valid bridge'),
            (plug, 'set exactly one of bridge'),
            ({'libvirt_network': 'default'}, 'set exactly one of'),
            (
                plug | {'libvirt_network': ''},
                'not a valid name of a libvirt network',
            ),
            (
                plug | {'libvirt_network': 'n', 'cidr': 'fd00::/64'},
                'only a network over a bridge supports IPv6',
            ),
            (
                plug | {'user': True, 'gateway': '10.0.0.1'},
                'is always 10.0.0.2',
            ),
            (plug | {'user': True, 'mtu': '1400'}, 'cannot be set'),
        ):
            error = self.assertRaises(
                exception.InvalidInput, self.define, **words
            )
            self.assertIn(text, str(error))
        for name in ('', ' x', 'a\nb', 'a' * 256):
            self.assertRaises(
                exception.InvalidInput, definition.define, name, user=True
            )


class DatabaseTestCase(base.TestCase):
    """Base class: a database."""

    def setUp(self):
        super().setUp()
        path = os.path.join(self.directory, 'minova.sqlite')
        self.database = engine.connect(CONF, f'sqlite:///{path}')
        self.addCleanup(self.database.dispose)
        migrate.sync(self.database)

    def make(self, name, cidr, **words):
        given = {'bridge': 'br0'} | words
        made = definition.define(name, cidr=cidr, **given)
        definition.create(self.database, made)
        return made

    def known(self):
        return self.database.read(networks.list_all)


class SeveralNetworksTest(DatabaseTestCase):
    """Several networks."""

    def test_networks_do_not_overlap(self):
        made = self.make('one', '10.0.0.0/16')
        error = self.assertRaises(
            exception.Conflict, self.make, 'two', '10.0.7.0/24'
        )
        self.assertIn('10.0.7.0/24 overlaps 10.0.0.0/16', str(error))
        self.assertIn(f'network one ({made.id})', str(error))
        self.make('two', '10.1.0.0/24')
        self.make('six', 'fd00::/64')
        self.make('own', '10.0.0.0/24', bridge=None, user=True)
        self.make('again', '10.0.0.0/24', bridge=None, user=True)

    def test_names_are_taken_once(self):
        self.make('one', '10.0.0.0/24')
        error = self.assertRaises(
            exception.Conflict, self.make, 'one', '10.1.0.0/24'
        )
        self.assertIn('Network one exists', str(error))

    def test_concurrent_create_of_same_name(self):
        self.make('one', '10.0.0.0/24')
        self.patch(networks, 'list_all', lambda connection: [])
        error = self.assertRaises(
            exception.Conflict, self.make, 'one', '10.1.0.0/24'
        )
        self.assertIn('Network one exists', str(error))

    def test_id_precedes_name(self):
        first = self.make('one', '10.0.0.0/24')
        self.make(first.id, '10.1.0.0/24')
        found = self.database.read(
            lambda connection: definition.find(connection, first.id)
        )
        self.assertEqual('one', found.name)

    def test_users_of_a_network(self):
        made = self.make('one', '10.0.0.0/24')
        held = [
            ports.Port(
                clock.uuid4(),
                made.id,
                f'instance-{number}',
                'project',
                f'10.0.0.{number + 10}',
                f'fa:16:3e:00:00:{number:02x}',
                clock.now(),
            )
            for number in range(7)
        ]
        self.database.write(lambda connection: ports.insert(connection, held))
        error = self.assertRaises(
            exception.Conflict, definition.delete, self.database, 'one'
        )
        self.assertIn('in use by: unknown (instance-0), ', str(error))
        self.assertIn('(instance-4), 2 more. Delete', str(error))


class ConfiguredTest(DatabaseTestCase):
    """Networks in the configuration."""

    LINE = 'name=private, cidr=10.0.0.0/24, bridge=br0, dns=9.9.9.9 1.1.1.1'

    def configure(self, *lines):
        self.config('network', network=list(lines))
        definition.create_configured(self.database)

    def test_none(self):
        self.configure()
        self.assertEqual([], self.known())

    def test_made_once(self):
        user = 'name=trial, user'
        self.configure(self.LINE, user)
        one, two = self.known()
        self.assertEqual(['9.9.9.9', '1.1.1.1'], one.dns)
        self.assertEqual(networks.USER, two.kind)
        with fixtures.FakeLogger(level=logging.WARNING) as log:
            self.configure(self.LINE, user)
        self.assertEqual([one, two], self.known())
        self.assertEqual('', log.output)

    def test_no_port_security(self):
        self.configure(f'{self.LINE}, no_port_security')
        (made,) = self.known()
        self.assertFalse(made.port_security_enabled)

    def test_changed_network_is_kept(self):
        self.configure(self.LINE)
        before = self.known()
        with fixtures.FakeLogger(level=logging.WARNING) as log:
            self.configure('name=private, cidr=10.0.0.0/16, bridge=br0')
        self.assertEqual(before, self.known())
        self.assertIn('Network private in the database differs', log.output)

    def test_created_by_another_conductor(self):
        real = definition.create

        def create(database, network):
            real(database, definition.parse_option(self.LINE))
            real(database, network)

        self.patch(definition, 'create', create)
        self.configure(self.LINE)
        self.assertEqual(['private'], [one.name for one in self.known()])

    def test_invalid_configured_network(self):
        self.make('one', '10.0.0.0/16')
        error = self.assertRaises(
            exception.ConfigInvalid, self.configure, self.LINE
        )
        self.assertIn('[network] network, private: 10.0.0.0/24', str(error))
        self.assertIn('overlaps 10.0.0.0/16', str(error))

    def test_invalid_values(self):
        for line, text in (
            ('', "'' is not one of name, cidr, "),
            ('name=a, cider=x', "'cider' is not one of name, cidr, "),
            ('name=a, name=b', 'or is repeated'),
            ('name=a, user=maybe', 'user = maybe is invalid'),
            ('name=a, no_port_security=x', 'no_port_security = x is invalid'),
            ('name=a, user, pool=', 'pool has no value'),
            ('user', "'' is not a valid name"),
            ('name=a, bridge=br0, cidr=x', "'x' is not a CIDR"),
        ):
            error = self.assertRaises(
                exception.ConfigInvalid, self.configure, line
            )
            self.assertIn(text, str(error))
            self.assertIn(f'[network] network = {line}: ', str(error))
        self.assertEqual([], self.known())
