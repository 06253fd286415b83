# SPDX-License-Identifier: Apache-2.0
"""Delete a server."""

from minova import states
from minova.engine import begin
from tests.fixtures.cloud import format_notifications
from tests.functional import base


class DeleteTest(base.FlowTestCase):
    """A delete on a host that is up."""

    def test_delete(self):
        uuid, host, _, since = self.booted()
        self.cloud.delete(uuid)
        self.assert_emitted(
            f"""
            update(None>deleting) [api.api]
            delete.start [{host}]
            shutdown.start [{host}]
            shutdown.end [{host}]
            update(deleting>None) active>deleted [{host}]
            delete.end [{host}]
            """,
            uuid,
            since,
        )
        self.assert_ended(uuid, states.DELETED)
        self.assertEqual([], self.cloud.world.running(uuid))
        self.assertEqual({}, self.cloud.allocations(uuid))
        last = self.cloud.consumer.of_instance(uuid)[-1][2]
        self.assertNotEqual('', last['deleted_at'])
        self.assertEqual(last['deleted_at'], last['terminated_at'])


class ForceDeleteTest(base.FlowTestCase):
    """A force-delete: the database first."""

    def test_active(self):
        uuid, host, _, since = self.booted()
        self.cloud.world.inject_delay(host.partition('.')[2], 'destroy', 1.0)
        self.cloud.begin('force_delete', uuid, begin.delete_params, wait=False)
        self.assertEqual(states.DELETED, self.cloud.instance(uuid).vm_state)
        self.cloud.wait_for(
            lambda: (
                f'shutdown.start [{host}]'
                in format_notifications(self.cloud.consumer.of_instance(uuid))
            )
        )
        # The guest still runs, so its shutdown has no end.
        self.assertNotEqual([], self.cloud.world.running(uuid))
        self.assertNotIn(
            f'shutdown.end [{host}]',
            format_notifications(self.cloud.consumer.of_instance(uuid)),
        )
        self.cloud.settle(uuid)
        self.assert_emitted(
            f"""
            delete.start [api.api]
            update(None>None) active>deleted [api.api]
            delete.end [api.api]
            shutdown.start [{host}]
            shutdown.end [{host}]
            """,
            uuid,
            since,
        )
        self.assert_ended(uuid, states.DELETED)
        self.assertEqual([], self.cloud.world.running(uuid))
        self.assertEqual({}, self.cloud.allocations(uuid))

    def test_without_a_host(self):
        flavor = self.cloud.flavor('huge', vcpus=60000)
        uuid = self.cloud.boot(flavor=flavor)
        since = len(self.cloud.consumer.of_instance(uuid))
        self.cloud.begin('force_delete', uuid, begin.delete_params)
        self.assert_emitted(
            """
            delete.start [api.api]
            update(None>None) error>deleted [api.api]
            delete.end [api.api]
            """,
            uuid,
            since,
        )
