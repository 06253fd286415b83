# SPDX-License-Identifier: Apache-2.0
"""The action evacuate, by microversion."""

from minova.api.resources import evacuate
from tests.functional.api import base
from tests.functional.api.base import LATEST


class EvacuateTest(base.ApiTestCase):
    """A server on host a, whose service can be forced down."""

    hosts = ('a', 'b', 'c')

    def setUp(self):
        super().setUp()
        self.make_flavor()
        self.uuid = self.boot(self.admin, availability_zone=':a')

    def force_down(self, host='a', is_down=True):
        reply = self.admin.at_version('2.11').put(
            '/os-services/force-down',
            {'host': host, 'binary': 'nova-compute', 'forced_down': is_down},
        )
        self.assertEqual(200, reply.status, reply.body)

    def evacuate(self, version='2.79', caller=None, **content):
        return (
            (caller or self.admin)
            .at_version(version)
            .act(self.uuid, 'evacuate', content)
        )

    def kill(self):
        self.cloud.stop(self.cloud.computes['a'])
        self.force_down()

    def finish(self):
        self.cloud.wait_for(
            lambda: self.cloud.instance(self.uuid).task_id is None
        )
        return self.cloud.instance(self.uuid)

    def test_replies_by_version(self):
        self.kill()
        reply = self.evacuate('2.13', onSharedStorage=False)
        self.assertEqual(200, reply.status, reply.body)
        self.assertEqual(['adminPass'], list(reply.body))
        shown = self.show(self.uuid, self.admin)
        self.assertIn(shown['status'], ('REBUILD', 'ACTIVE'))
        self.assertNotEqual('a', self.finish().host)

    def test_password_is_the_requested_one(self):
        self.kill()
        reply = self.evacuate(
            '2.1', onSharedStorage='False', adminPass='secret'
        )
        self.assertEqual({'adminPass': 'secret'}, reply.body)
        self.finish()

    def test_no_password_since_2_14(self):
        self.kill()
        reply = self.evacuate('2.14', adminPass='secret')
        self.assertEqual((200, None), (reply.status, reply.body))
        self.finish()

    def test_migration_record(self):
        self.kill()
        self.evacuate('2.59')
        host = self.finish().host
        (shown,) = (
            self.admin.at_version('2.59')
            .get('/os-migrations?migration_type=evacuation')
            .body['migrations']
        )
        self.assertEqual(
            ('done', 'a', host),
            (shown['status'], shown['source_compute'], shown['dest_compute']),
        )

    def test_action_record(self):
        self.kill()
        self.evacuate()
        self.finish()
        action = self.admin.get(
            f'/servers/{self.uuid}/os-instance-actions'
        ).body['instanceActions'][0]
        self.assertEqual('evacuate', action['action'])

    def test_requested_host(self):
        self.kill()
        self.evacuate(host='c')
        self.assertEqual('c', self.finish().host)

    def test_requested_host_is_checked(self):
        self.kill()
        for host, status, text in (
            ('a', 400, "The target host can't be the same one"),
            ('nowhere', 404, 'Compute host nowhere could not be found'),
        ):
            self.assert_refused(status, text, self.evacuate(host=host))

    def test_disabled_host(self):
        self.kill()
        self.admin.at_version('2.1').put(
            '/os-services/disable', {'host': 'c', 'binary': 'nova-compute'}
        )
        self.evacuate('2.29', host='c')
        self.assertEqual('a', self.finish().host)
        self.assertIn('it is disabled', self.cloud.fault(self.uuid)['message'])
        self.evacuate('2.29', host='c', force=True)
        self.assertEqual('c', self.finish().host)

    def test_a_named_host_is_forced_before_2_29(self):
        self.kill()
        self.admin.at_version('2.1').put(
            '/os-services/disable', {'host': 'c', 'binary': 'nova-compute'}
        )
        self.evacuate('2.28', host='c')
        self.assertEqual('c', self.finish().host)

    def test_parameters_by_version(self):
        self.kill()
        for version, content, text in (
            ('2.13', {}, 'onSharedStorage'),
            ('2.14', {'onSharedStorage': True}, 'onSharedStorage'),
            ('2.28', {'host': 'b', 'force': True}, 'force'),
            ('2.68', {'host': 'b', 'force': True}, 'force'),
            ('2.29', {'force': True}, "Can't force to a non-provided"),
            ('2.1', {'onSharedStorage': True, 'adminPass': 'x'}, 'existing'),
            (LATEST, {'host': ''}, 'host'),
        ):
            self.assert_refused(400, text, self.evacuate(version, **content))
        self.assertEqual('a', self.cloud.instance(self.uuid).host)

    def test_state_by_version(self):
        for version, before, after in (
            (94, 'active', 'active'),
            (94, 'error', 'active'),
            (94, 'stopped', 'stopped'),
            (95, 'active', 'stopped'),
            (95, 'error', 'stopped'),
        ):
            found = evacuate.target_state(version, before)
            self.assertEqual(after, found, (version, before))

    def test_host_is_up(self):
        reply = self.evacuate()
        self.assert_refused(400, 'it counts as down in ', reply)

    def test_paused_server(self):
        self.admin.act(self.uuid, 'pause', None)
        self.cloud.settle(self.uuid)
        self.kill()
        self.assert_refused(409, "Cannot 'evacuate' instance", self.evacuate())

    def test_migration_in_progress(self):
        self.cloud.world.inject_delay('a', 'send_disks', 5)
        self.admin.act(self.uuid, 'migrate', None)
        self.force_down()
        reply = self.evacuate()
        self.assert_refused(409, 'wait for the end of migrate', reply)
        self.force_down(is_down=False)
        self.cloud.settle(self.uuid)

    def test_members_may_not(self):
        self.uuid = self.boot()
        self.assertEqual(403, self.evacuate(caller=self.user).status)
