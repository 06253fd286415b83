# SPDX-License-Identifier: Apache-2.0
"""Delete a server."""

from minova import states
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
