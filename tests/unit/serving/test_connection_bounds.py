# SPDX-License-Identifier: Apache-2.0
"""Above a bound the oldest connection ends, of the address that has most."""

import resource

from minova.serving import connection_bounds
from minova.serving.connection_bounds import ConnectionBounds
from tests import base


class BoundsTest(base.TestCase):
    """Which connection ends."""

    def test_of_one_address(self):
        bounds = ConnectionBounds(10, 2)
        self.assertIsNone(bounds.add('a', '192.0.2.1'))
        self.assertIsNone(bounds.add('b', '192.0.2.1'))
        self.assertIsNone(bounds.add('other', '192.0.2.2'))
        self.assertEqual('a', bounds.add('c', '192.0.2.1'))
        self.assertNotIn('a', bounds)
        self.assertEqual(3, len(bounds))

    def test_of_the_address_with_most(self):
        bounds = ConnectionBounds(4, 3)
        bounds.add('honest', '192.0.2.1')
        for number in range(3):
            bounds.add(number, '192.0.2.2')
        self.assertEqual(0, bounds.add('new', '192.0.2.3'))
        self.assertIn('honest', bounds)

    def test_discarded(self):
        bounds = ConnectionBounds(10, 1)
        bounds.add('a', '192.0.2.1')
        bounds.discard('a')
        bounds.discard('a')
        self.assertIsNone(bounds.add('b', '192.0.2.1'))

    def test_added_again_is_the_newest(self):
        bounds = ConnectionBounds(10, 2)
        for key in ('a', 'b', 'a'):
            self.assertIsNone(bounds.add(key, '192.0.2.1'))
        self.assertEqual('b', bounds.add('c', '192.0.2.1'))

    def test_oldest(self):
        bounds = ConnectionBounds(10, 5)
        self.assertIsNone(bounds.pop_oldest())
        bounds.add('a', '192.0.2.1')
        self.assertEqual('a', bounds.pop_oldest())
        self.assertEqual(0, len(bounds))

    def test_groups(self):
        for address, group in (
            ('192.0.2.1', '192.0.2.1'),
            ('::ffff:192.0.2.1', '192.0.2.1'),
            ('2001:db8:1:2:3::4', '2001:db8:1:2::/64'),
            ('fe80::1%eth0', 'fe80::/64'),
            ('', ''),
        ):
            self.assertEqual(group, connection_bounds.group_of(address))

    def test_open_files(self):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.addCleanup(
            resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard)
        )
        resource.setrlimit(resource.RLIMIT_NOFILE, (400, hard))
        self.assertEqual(100, connection_bounds.limit_to_open_files(256))
        self.assertEqual(7, connection_bounds.limit_to_open_files(7))
