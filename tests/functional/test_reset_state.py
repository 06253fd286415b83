# SPDX-License-Identifier: Apache-2.0
"""Reset of the state of a server: idle, in a resize, in a migration."""

from minova import exception
from minova import states
from minova.conf import CONF
from minova.db.queries import operations
from minova.engine import state_reset
from minova.objects import operation as records
from minova.objects.operation_params import RescueImage
from tests.functional import base

RESCUE = RescueImage(image_id='tools', name='Tools', disk_format='raw')


class ResetStateTestCase(base.FlowTestCase):
    def reset(self, uuid, state=states.ACTIVE, wait=True):
        return self.cloud.begin(
            'reset_state',
            uuid,
            lambda connection, instance: state_reset.describe(
                connection, instance, state
            ),
            wait=wait,
        )

    def migrating(self):
        """Return a server in a live migration that takes long."""
        uuid, source, dest, _ = self.booted()
        self.override('fake', migration_seconds=30)
        self.cloud.begin('live_migrate', uuid, wait=False)
        path = f'{source.removeprefix("compute.")}/guests/{uuid}'
        self.cloud.wait_for(
            lambda: (self.cloud.world.store.get(path) or {}).get('migration')
        )
        return (
            uuid,
            source.removeprefix('compute.'),
            dest.removeprefix('compute.'),
        )

    def override(self, group, **options):
        for name, value in options.items():
            CONF.set_override(name, value, group)
            self.addCleanup(CONF.clear_override, name, group)

    def settled(self, uuid):
        self.cloud.wait_for(
            lambda: (
                not any(
                    one.state == records.RUNNING
                    for one in self.cloud.operations(uuid)
                )
            )
        )
        return self.cloud.instance(uuid)


class ResetStateTest(ResetStateTestCase):
    def test_idle(self):
        uuid, host, _, since = self.booted()
        self.reset(uuid, states.ERROR)
        instance = self.assert_ended(uuid, states.ERROR)
        self.assert_emitted(
            'update(None>None) active>error [api.api]', uuid, since
        )
        self.reset(uuid)
        instance = self.assert_ended(uuid, states.ACTIVE)
        self.assertEqual([instance.host], self.cloud.world.running(uuid), host)

    def test_live_migration_stays(self):
        uuid, source, dest = self.migrating()
        begun = self.reset(uuid, states.ERROR, wait=False)
        self.assertEqual(states.ERROR, begun.instance.vm_state)
        self.assertIsNone(begun.instance.task_state)
        owner = self.cloud.operations(uuid)[1]
        self.assertEqual('preempted', owner.state)
        instance = self.settled(uuid)
        self.assertEqual(source, instance.host)
        self.assertEqual([source], self.cloud.world.running(uuid))
        self.assertEqual({(source, True): 1}, self.cloud.allocations(uuid))
        self.assertEqual('cancelled', self.cloud.last_migration(uuid).status)
        self.assertEqual([], self.cloud.driver(dest).guests())

    def test_live_migration_has_arrived(self):
        uuid, source, dest = self.migrating()
        # The guest has arrived, and the source has not noticed.
        self.cloud.stop(self.cloud.computes[source])
        self.override('fake', migration_seconds=0)
        store = self.cloud.world.store
        record = store.get(f'{source}/guests/{uuid}')
        record['migration']['ends_at'] = 0
        store.put(f'{source}/guests/{uuid}', record)
        self.reset(uuid, wait=False)
        self.assertEqual(states.ACTIVE, self.cloud.instance(uuid).vm_state)
        # No operation starts a second guest while the hosts are not known.
        self.assertRaises(
            exception.InstanceInvalidState,
            self.cloud.begin,
            'reboot_hard',
            uuid,
            wait=False,
        )
        self.cloud.start_compute(source)
        instance = self.settled(uuid)
        self.assertEqual(dest, instance.host)
        self.assertEqual([dest], self.cloud.world.running(uuid))
        self.assertEqual({(dest, True): 1}, self.cloud.allocations(uuid))
        self.assertIsNone(self.cloud.world.get_disks(source, uuid))

    def test_resized(self):
        uuid, source, dest, _ = self.resized()
        source, dest = (
            name.removeprefix('compute.') for name in (source, dest)
        )
        self.reset(uuid)
        instance = self.settled(uuid)
        self.assertEqual(
            (states.ACTIVE, dest), (instance.vm_state, instance.host)
        )
        self.assertEqual('confirmed', self.cloud.last_migration(uuid).status)
        self.assertEqual({(dest, True): 1}, self.cloud.allocations(uuid))
        self.assertEqual([], self.cloud.driver(source).guests())

    def assert_runs_from_own_disk(self, uuid, host):
        self.assertEqual([host], self.cloud.world.running(uuid))
        self.assertIsNone(self.cloud.world.guest(host, uuid)['spec']['rescue'])
        self.assertNotIn('rescue', self.cloud.world.get_disks(host, uuid))

    def reset_interrupted(self, kind, call, uuid, host):
        self.cloud.world.inject_fault(host, call, 'sick', times=1000)
        begun = self.cloud.begin(kind, uuid, wait=False, image=RESCUE)
        self.cloud.wait_for(
            lambda: any(
                step.error
                for step in self.cloud.read(
                    operations.list_steps, begun.operation.id
                )
            )
        )
        self.reset(uuid, wait=False)
        self.cloud.world.clear_faults()
        self.settled(uuid)

    def test_rescued(self):
        uuid, host, *_ = self.booted()
        host = host.removeprefix('compute.')
        for state in (states.ERROR, states.ACTIVE):
            self.cloud.begin('rescue', uuid, image=RESCUE)
            self.assert_ended(uuid, states.RESCUED)
            self.reset(uuid, state, wait=False)
            self.assertEqual(state, self.settled(uuid).vm_state)
            if state == states.ERROR:
                self.assertEqual([], self.cloud.world.running(uuid))
                self.cloud.begin('reboot_hard', uuid)
            self.assert_runs_from_own_disk(uuid, host)

    def test_interrupted_rescue(self):
        uuid, host, *_ = self.booted()
        host = host.removeprefix('compute.')
        self.reset_interrupted('rescue', 'start', uuid, host)
        self.assert_runs_from_own_disk(uuid, host)

    def test_interrupted_unrescue(self):
        uuid, host, *_ = self.booted()
        host = host.removeprefix('compute.')
        self.cloud.begin('rescue', uuid, image=RESCUE)
        self.reset_interrupted('unrescue', 'remove_rescue_disk', uuid, host)
        self.assert_runs_from_own_disk(uuid, host)

    def test_active_needs_a_host(self):
        uuid, *_ = self.booted()
        instance = self.cloud.instance(uuid).replace(host=None)
        error = self.assertRaises(
            exception.InstanceNotReady,
            state_reset.describe,
            None,
            instance,
            states.ACTIVE,
        )
        self.assertIn('reset it to error', str(error))
