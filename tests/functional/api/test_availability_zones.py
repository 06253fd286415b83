# SPDX-License-Identifier: Apache-2.0
"""Availability zones: requested ones are kept, others follow the host."""

from minova.db.queries import hosts
from tests.functional.api import base

_LIVE = {'host': None, 'block_migration': 'auto'}


class ZoneTestCase(base.ApiTestCase):
    """Hosts a and b in the zone nova, c in the zone far."""

    def setUp(self):
        super().setUp()
        self.start_in_zone('c', 'far')
        self.make_flavor()
        self.big = self.make_flavor('big', vcpus=2, disk=2)

    def start_in_zone(self, host, zone):
        """Start a compute whose host is in ``zone``."""
        self.config('compute', availability_zone=zone)
        service = self.cloud.start_compute(host)
        service.wait_until_ready(20)
        self.config('compute', availability_zone='nova')

    def disable(self, host, is_disabled=True):
        """Disable the compute of a host, or enable it again."""
        (found,) = self.cloud.read(hosts.list_services, 'nova-compute', host)
        reply = self.admin.at_version('2.53').put(
            f'/os-services/{found.uuid}',
            {'status': 'disabled' if is_disabled else 'enabled'},
        )
        self.assertEqual(200, reply.status, reply.body)

    def place(self, uuid):
        """Return the host and the zone of a server, as an admin sees them."""
        shown = self.show(uuid, self.admin)
        return (
            shown['OS-EXT-SRV-ATTR:host'],
            shown['OS-EXT-AZ:availability_zone'],
        )

    def act(self, uuid, action, content=None, version=None):
        """Request an action and wait until it has ended; return the reply."""
        client = self.admin.at_version(version) if version else self.admin
        reply = client.act(uuid, action, content)
        self.cloud.settle(uuid)
        return reply


class RequestedZoneTest(ZoneTestCase):
    """A server that was created in a zone stays in it."""

    def setUp(self):
        super().setUp()
        self.uuid = self.boot(self.admin, availability_zone='nova:a')
        self.disable('b')
        self.assertEqual(('a', 'nova'), self.place(self.uuid))

    def assert_stays(self, action, content=None, version=None):
        reply = self.act(self.uuid, action, content, version)
        self.assert_refused(400, 'c: it is in zone far', reply)
        self.assertEqual(('a', 'nova'), self.place(self.uuid))
        self.assertEqual('ACTIVE', self.show(self.uuid, self.admin)['status'])

    def test_resize(self):
        self.assert_stays('resize', {'flavorRef': self.big})

    def test_cold_migration(self):
        self.assert_stays('migrate')

    def test_live_migration(self):
        self.assert_stays('os-migrateLive', _LIVE, '2.33')

    def test_cold_migration_to_a_requested_host(self):
        self.assert_stays('migrate', {'host': 'c'}, '2.56')

    def test_live_migration_to_a_requested_host(self):
        reply = self.act(
            self.uuid, 'os-migrateLive', _LIVE | {'host': 'c'}, '2.30'
        )
        self.assert_refused(400, 'c: it is in zone far', reply)
        self.assertEqual(('a', 'nova'), self.place(self.uuid))

    def test_another_host_of_the_zone(self):
        self.disable('b', is_disabled=False)
        self.assertEqual(
            202, self.act(self.uuid, 'os-migrateLive', _LIVE, '2.33').status
        )
        self.assertEqual(('b', 'nova'), self.place(self.uuid))

    def test_retry_of_a_build(self):
        self.disable('b', is_disabled=False)
        for host in ('a', 'b'):
            self.cloud.world.inject_fault(host, 'start')
        uuid = self.boot(self.admin, availability_zone='nova')
        self.assertEqual('ERROR', self.show(uuid, self.admin)['status'])
        fault = self.show(uuid, self.admin)['fault']['message']
        for reason in (
            'a: it was tried: ',
            'b: it was tried: ',
            'c: it is in zone far, and zone nova is requested',
        ):
            self.assertIn(reason, fault)

    def test_forced_out_and_back(self):
        reply = self.act(
            self.uuid,
            'os-migrateLive',
            _LIVE | {'host': 'c', 'force': True},
            '2.30',
        )
        self.assertEqual(202, reply.status, reply.body)
        self.assertEqual(('c', 'far'), self.place(self.uuid))
        # The next selection has the zone of the request again.
        self.act(self.uuid, 'os-migrateLive', _LIVE, '2.33')
        self.assertEqual(('a', 'nova'), self.place(self.uuid))


class AnyZoneTest(ZoneTestCase):
    """The zone of a server that was created in none is that of its host."""

    def setUp(self):
        super().setUp()
        self.uuid = self.boot(self.admin, availability_zone=':a')
        self.disable('b')
        self.assertEqual(('a', 'nova'), self.place(self.uuid))

    def assert_is_in(self, host, zone):
        self.assertEqual((host, zone), self.place(self.uuid))
        in_zone = self.ids(
            self.admin, f'?all_tenants=1&availability_zone={zone}'
        )
        self.assertEqual([self.uuid], in_zone)
        newest = self.cloud.consumer.of_instance(self.uuid)[-1]
        self.assertEqual(zone, newest[2]['availability_zone'])

    def test_live_migration(self):
        self.act(self.uuid, 'os-migrateLive', _LIVE, '2.33')
        self.assert_is_in('c', 'far')

    def test_cold_migration(self):
        self.act(self.uuid, 'migrate')
        self.assert_is_in('c', 'far')

    def test_resize_and_revert(self):
        self.act(self.uuid, 'resize', {'flavorRef': self.big})
        self.assert_is_in('c', 'far')
        self.act(self.uuid, 'revertResize')
        self.assert_is_in('a', 'nova')

    def test_failed_resize(self):
        self.cloud.world.inject_fault('c', 'start')
        self.act(self.uuid, 'resize', {'flavorRef': self.big})
        self.assert_is_in('a', 'nova')

    def test_failed_build(self):
        self.config('scheduler', host_state_max_age=0)
        self.disable('a')
        self.cloud.world.inject_fault('c', 'start')
        uuid = self.boot(self.admin)
        self.assertEqual('ERROR', self.show(uuid, self.admin)['status'])
        self.assertEqual((None, ''), self.place(uuid))

    def test_the_host_changes_its_zone(self):
        self.cloud.stop(self.cloud.computes['a'])
        self.start_in_zone('a', 'renamed')
        self.cloud.wait_for(lambda: self.place(self.uuid)[1] == 'renamed')
