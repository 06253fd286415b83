# SPDX-License-Identifier: Apache-2.0
"""os-server-external-events: what other services report."""

from tests.functional.api import base
from tests.functional.api.base import LATEST

UNKNOWN = '7e34a2b6-8f1c-4f0e-9c5b-0d6a1e2f3c4d'
PORT = '0f0f0f0f-8f1c-4f0e-9c5b-0d6a1e2f3c4d'


class ExternalEventsTest(base.ApiTestCase):
    """Each event has its own code in the reply."""

    hosts = ('a',)

    def setUp(self):
        super().setUp()
        self.make_flavor()
        self.uuid = self.boot()

    def event(self, name='network-vif-plugged', server=None, **more):
        return {'name': name, 'server_uuid': server or self.uuid} | more

    def report(self, *events, version=LATEST, client=None):
        client = client or self.admin
        return client.at_version(version).post(
            '/os-server-external-events', {'events': list(events)}
        )

    def codes(self, reply):
        return [one['code'] for one in reply.body['events']]

    def test_accepted(self):
        event = self.event(tag=PORT, status='completed')
        reply = self.report(event, version='2.1')
        self.assertEqual(200, reply.status)
        self.assertEqual(
            {'events': [event | {'code': 200, 'status': 'completed'}]},
            reply.body,
        )
        kinds = [one.kind for one in self.cloud.operations(self.uuid)]
        self.assertEqual(['create'], kinds)

    def test_some_fail(self):
        reply = self.report(
            self.event(),
            self.event(server=UNKNOWN),
            self.event('volume-extended'),
            self.event('volume-extended', tag=PORT),
            self.event('power-update', tag='POWER_FLICKER'),
        )
        self.assertEqual(207, reply.status)
        self.assertEqual([200, 404, 400, 200, 400], self.codes(reply))
        self.assertEqual(
            ['completed', 'failed', 'failed', 'completed', 'failed'],
            [one['status'] for one in reply.body['events']],
        )

    def test_server_without_a_host(self):
        row = self.boot_without_host()
        reply = self.report(self.event(), self.event(server=row))
        self.assertEqual(207, reply.status)
        self.assertEqual([200, 422], self.codes(reply))

    def boot_without_host(self):
        """Return a server that no host can take."""
        big = self.make_flavor('huge', ram=1 << 24)
        uuid = self.boot(wait=False, flavorRef=big)
        self.cloud.settle(uuid)
        self.assertIsNone(self.cloud.instance(uuid).host)
        return uuid

    def test_all_fail(self):
        reply = self.report(self.event(server=UNKNOWN))
        self.assert_refused(404, 'No instances found for any event', reply)

    def test_names_by_version(self):
        for name, since in (
            ('network-changed', '2.1'),
            ('network-vif-unplugged', '2.1'),
            ('network-vif-deleted', '2.1'),
            ('volume-extended', '2.51'),
            ('power-update', '2.76'),
            ('accelerator-request-bound', '2.82'),
        ):
            event = self.event(name, tag='POWER_OFF')
            if since != '2.1':
                before = f'2.{int(since[2:]) - 1}'
                reply = self.report(event, version=before)
                self.assertEqual(400, reply.status, name)
            reply = self.report(event, version=since)
            self.assertEqual(200, reply.status, (name, reply.body))

    def test_bodies(self):
        for body in (
            {},
            {'events': []},
            {'events': [{'name': 'network-changed'}]},
            {'events': [self.event('unknown')]},
            {'events': [self.event(status='done')]},
            {'events': [self.event(server='x')]},
            {'events': [self.event(other=1)]},
        ):
            reply = self.admin.post('/os-server-external-events', body)
            self.assertEqual(400, reply.status, body)

    def test_users_may_not(self):
        reply = self.report(self.event(), client=self.user)
        self.assert_refused(403, 'services and administrators', reply)

    def test_power_update(self):
        for tag, kind, status in (
            ('POWER_OFF', 'stop', 'SHUTOFF'),
            ('POWER_ON', 'start', 'ACTIVE'),
        ):
            for _ in range(2):
                # The second one has no effect.
                reply = self.report(self.event('power-update', tag=tag))
                self.assertEqual(200, reply.status)
                self.assertEqual([200], self.codes(reply))
                self.cloud.settle(self.uuid)
            self.assertEqual(status, self.show(self.uuid)['status'])
            last = self.cloud.operations(self.uuid)[-1]
            self.assertEqual(kind, last.kind)
        kinds = [one.kind for one in self.cloud.operations(self.uuid)]
        self.assertEqual(['create', 'stop', 'start'], kinds)

    def test_power_update_of_a_busy_server(self):
        self.cloud.stop(self.cloud.computes['a'])
        self.user.act(self.uuid, 'reboot', {'type': 'HARD'})
        reply = self.report(self.event('power-update', tag='POWER_OFF'))
        self.assertEqual([200], self.codes(reply))
        kinds = [one.kind for one in self.cloud.operations(self.uuid)]
        self.assertEqual(['create', 'reboot_hard'], kinds)
        self.cloud.start_compute('a')
        self.cloud.settle(self.uuid)
        self.assertEqual('ACTIVE', self.show(self.uuid)['status'])
