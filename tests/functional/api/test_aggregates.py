# SPDX-License-Identifier: Apache-2.0
"""Host aggregates, and the zones that they give to hosts."""

from minova.db.queries import hosts
from tests.functional.api import base


class AggregatesTestCase(base.ApiTestCase):
    """A cloud of hosts a and b in the configured zone nova."""

    def setUp(self):
        super().setUp()
        self.make_flavor()

    def make(self, name='rack', zone=None, **words):
        given = {'name': name} | words
        if zone is not None:
            given['availability_zone'] = zone
        reply = self.admin.post('/os-aggregates', {'aggregate': given})
        self.assertEqual(200, reply.status, reply.body)
        return reply.body['aggregate']['id']

    def act(self, number, action, **content):
        return self.admin.post(
            f'/os-aggregates/{number}/action', {action: content}
        )

    def add(self, number, host):
        reply = self.act(number, 'add_host', host=host)
        self.assertEqual(200, reply.status, reply.body)

    def put(self, number, **given):
        return self.admin.put(f'/os-aggregates/{number}', {'aggregate': given})

    def get(self, number):
        reply = self.admin.get(f'/os-aggregates/{number}')
        self.assertEqual(200, reply.status, reply.body)
        return reply.body['aggregate']

    def zone_of(self, host):
        (found,) = self.cloud.read(hosts.list_hosts, host)
        return found.availability_zone

    def listed_zones(self):
        reply = self.admin.get('/os-availability-zone/detail')
        return {
            zone['zoneName']: sorted(zone['hosts'])
            for zone in reply.body['availabilityZoneInfo']
            if zone['zoneName'] != 'internal'
        }


class AggregatesTest(AggregatesTestCase):
    """The endpoints."""

    hosts = ()

    def test_create_show_list_and_delete(self):
        given = {'name': 'rack', 'availability_zone': 'north'}
        body = {'aggregate': given}
        made = self.admin.post('/os-aggregates', body).body['aggregate']
        self.assertEqual(
            {
                'id',
                'name',
                'availability_zone',
                'created_at',
                'updated_at',
                'deleted',
                'deleted_at',
            },
            set(made),
        )
        shown = self.get(made['id'])
        self.assertEqual({'availability_zone': 'north'}, shown['metadata'])
        self.assertEqual([], shown['hosts'])
        self.assertEqual('north', shown['availability_zone'])
        latest = self.admin.at_version('2.41')
        found = latest.get('/os-aggregates').body['aggregates']
        self.assertEqual(
            [shown],
            [{key: one[key] for key in one if key != 'uuid'} for one in found],
        )
        self.assertEqual(36, len(found[0]['uuid']))
        reply = self.admin.delete(f'/os-aggregates/{made["id"]}')
        self.assertEqual(200, reply.status)
        reply = self.admin.get(f'/os-aggregates/{made["id"]}')
        self.assert_refused(404, 'could not be found', reply)

    def test_names_are_unique(self):
        self.make('one')
        other = self.make('two')
        again = {'aggregate': {'name': 'one'}}
        reply = self.admin.post('/os-aggregates', again)
        self.assert_refused(409, 'Aggregate one already exists.', reply)
        reply = self.put(other, name='one')
        self.assert_refused(409, 'Aggregate one already exists.', reply)
        self.assertEqual(200, self.put(other, name='two').status)

    def test_unknown_ids(self):
        for number in ('77', 'x', '9' * 40, '-1'):
            reply = self.admin.get(f'/os-aggregates/{number}')
            self.assert_refused(404, 'could not be found', reply)
            reply = self.act(number, 'set_metadata', metadata={})
            self.assert_refused(404, 'could not be found', reply)

    def test_bad_bodies(self):
        number = self.make()
        for zone in ('', 'a:b', ' a'):
            reply = self.put(number, availability_zone=zone)
            self.assert_refused(400, 'availability_zone', reply)
            reply = self.act(
                number, 'set_metadata', metadata={'availability_zone': zone}
            )
            self.assert_refused(400, 'availability_zone', reply)
        self.assertEqual(400, self.put(number).status)
        self.assertEqual(400, self.act(number, 'rename').status)

    def test_metadata(self):
        number = self.make()
        reply = self.act(
            number, 'set_metadata', metadata={'ssd': 'true', 'old': '1'}
        )
        self.assertEqual(
            {'ssd': 'true', 'old': '1'}, reply.body['aggregate']['metadata']
        )
        reply = self.act(
            number, 'set_metadata', metadata={'old': None, 'new': '2'}
        )
        self.assertEqual(
            {'ssd': 'true', 'new': '2'}, reply.body['aggregate']['metadata']
        )
        self.assertIsNotNone(reply.body['aggregate']['updated_at'])
        reply = self.put(number, availability_zone='north')
        self.assertEqual('north', self.get(number)['availability_zone'])
        self.put(number, availability_zone=None)
        self.assertIsNone(self.get(number)['availability_zone'])

    def test_unknown_host(self):
        number = self.make()
        reply = self.act(number, 'add_host', host='x')
        self.assert_refused(404, 'Compute host x could not be found.', reply)
        reply = self.act(number, 'remove_host', host='x')
        self.assert_refused(404, 'Cannot remove host x in aggregate', reply)


class HostsOfAggregatesTest(AggregatesTestCase):
    """Hosts, zones and servers."""

    def test_the_zone_follows_the_aggregate(self):
        number = self.make(zone='north')
        uuid = self.boot(self.admin, availability_zone=':a')
        self.add(number, 'a')
        self.assertEqual(['a'], self.get(number)['hosts'])
        self.assertEqual({'north': ['a'], 'nova': ['b']}, self.listed_zones())
        shown = self.show(uuid, self.admin)
        self.assertEqual('north', shown['OS-EXT-AZ:availability_zone'])
        in_north = self.boot(availability_zone='north')
        self.assertEqual(
            'a', self.show(in_north, self.admin)['OS-EXT-SRV-ATTR:host']
        )
        reply = self.act(number, 'remove_host', host='a')
        self.assert_refused(
            409, f'server {in_north} on it was created in', reply
        )
        self.user.delete(f'/servers/{in_north}')
        self.cloud.settle(in_north)
        reply = self.act(number, 'remove_host', host='a')
        self.assertEqual(200, reply.status, reply.body)
        self.assertEqual({'nova': ['a', 'b']}, self.listed_zones())
        shown = self.show(uuid, self.admin)
        self.assertEqual('nova', shown['OS-EXT-AZ:availability_zone'])

    def test_the_zone_survives_a_restart(self):
        number = self.make(zone='north')
        self.add(number, 'a')
        self.cloud.stop(self.cloud.computes['a'])
        self.cloud.start_compute('a').wait_until_ready(20)
        self.assertEqual('north', self.zone_of('a'))
        self.act(number, 'remove_host', host='a')
        self.assertEqual('nova', self.zone_of('a'))

    def test_a_host_is_in_one_zone(self):
        north, south = self.make('n', 'north'), self.make('s', 'south')
        free = self.make('free')
        for number in (north, free):
            self.add(number, 'a')
        again = self.act(north, 'add_host', host='a')
        self.assert_refused(409, 'already has host a', again)
        reply = self.act(south, 'add_host', host='a')
        self.assert_refused(
            409,
            "One or more hosts already in availability zone(s) ['north']",
            reply,
        )
        for reply in (
            self.put(free, availability_zone='south'),
            self.act(
                free, 'set_metadata', metadata={'availability_zone': 'south'}
            ),
        ):
            self.assert_refused(
                400, "already in availability zone(s) ['north']", reply
            )
        # The same zone twice is one zone.
        reply = self.put(free, availability_zone='north')
        self.assertEqual(200, reply.status, reply.body)
        self.act(north, 'remove_host', host='a')
        self.assertEqual('north', self.zone_of('a'))

    def test_a_zone_with_servers_does_not_change(self):
        number = self.make(zone='north')
        self.add(number, 'a')
        uuid = self.boot(self.admin, availability_zone='north')
        for reply in (
            self.put(number, availability_zone='south'),
            self.act(
                number, 'set_metadata', metadata={'availability_zone': None}
            ),
        ):
            self.assert_refused(
                400, 'One or more hosts contain instances in this zone', reply
            )
        reply = self.put(number, name='new', availability_zone='north')
        self.assertEqual(200, reply.status, reply.body)
        self.user.delete(f'/servers/{uuid}')
        self.admin.delete(f'/servers/{uuid}')
        self.cloud.settle(uuid)
        reply = self.put(number, availability_zone='south')
        self.assertEqual(200, reply.status, reply.body)
        self.assertEqual('south', self.zone_of('a'))

    def test_an_aggregate_with_hosts_is_not_deleted(self):
        number = self.make()
        self.add(number, 'a')
        reply = self.admin.delete(f'/os-aggregates/{number}')
        self.assert_refused(400, 'Host aggregate is not empty', reply)

    def test_a_host_that_adds_a_bound_server_to_a_zone(self):
        number = self.make(zone='north')
        uuid = self.boot(self.admin, availability_zone='nova:a')
        reply = self.act(number, 'add_host', host='a')
        self.assert_refused(409, f'server {uuid} on it was created', reply)

    def test_notifications(self):
        number = self.make(zone='north')
        self.add(number, 'b')
        self.put(number, name='new', availability_zone='south')
        self.act(number, 'remove_host', host='b')
        self.admin.delete(f'/os-aggregates/{number}')

        def received():
            return [
                one
                for one in self.cloud.consumer.received
                if one[0].startswith('aggregate.')
            ]

        self.cloud.wait_for(lambda: len(received()) == 12)
        self.assertEqual(
            [
                f'aggregate.{name}.{phase}'
                for name in (
                    'create',
                    'addhost',
                    'updateprop',
                    'updatemetadata',
                    'removehost',
                    'delete',
                )
                for phase in ('start', 'end')
            ],
            [one[0] for one in received()],
        )
        self.assertEqual(
            {'name': 'rack', 'meta_data': {'availability_zone': 'north'}},
            received()[0][2],
        )
        self.assertEqual(
            {'aggregate_id': number, 'host_name': 'b'}, received()[3][2]
        )
        self.assertEqual(
            {'aggregate.rack', f'aggregate.{number}'},
            {one[1] for one in received()},
        )
