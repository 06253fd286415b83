# SPDX-License-Identifier: Apache-2.0
"""The chains, word by word: what is told, by whom, in which order.

Each test compares the whole sequence that a consumer heard with the one that
is documented; a notification too many, too few or out of place is a failure.
"""

from minova import exception
from minova import states
from tests import base
from tests.fixtures.cloud import Cloud


def format_notifications(received):
    """Return notifications as short lines: event, change, publisher."""
    for event, publisher, payload, _ in received:
        name = event.removeprefix('compute.instance.')
        if name == 'update':
            old, new = payload['old_task_state'], payload['new_task_state']
            name = f'update({old}>{new})'
            if payload['old_state'] != payload['state']:
                name += f' {payload["old_state"]}>{payload["state"]}'
        yield f'{name} [{publisher}]'


class FlowTestCase(base.TestCase):
    """A cloud of two hosts and a consumer."""

    hosts = ('a', 'b')

    def setUp(self):
        super().setUp()
        self.cloud = self.useFixture(Cloud(self.hosts))

    def emitted(self, uuid, since=0):
        """Return what was heard of an instance, without the first lines."""
        return list(
            format_notifications(self.cloud.consumer.of_instance(uuid))
        )[since:]

    def count(self, uuid):
        """Return how much was heard of an instance."""
        return len(self.cloud.consumer.of_instance(uuid))

    def booted(self, **options):
        """Return an instance, its host, the other one, what was heard."""
        uuid = self.cloud.boot(**options)
        host = self.cloud.instance(uuid).host
        other = 'b' if host == 'a' else 'a'
        return uuid, f'compute.{host}', f'compute.{other}', self.count(uuid)

    def assert_emitted(self, expected, uuid, since=0):
        """Compare with the documented sequence, given as indented text."""
        wanted = [line.strip() for line in expected.strip().splitlines()]
        self.assertEqual(wanted, self.emitted(uuid, since))

    def assert_ended(self, uuid, vm_state, state='done'):
        """The last operation ended so, and the instance is free."""
        instance = self.cloud.instance(uuid)
        self.assertEqual(vm_state, instance.vm_state)
        self.assertIsNone(instance.task_state)
        self.assertIsNone(instance.task_id)
        last = self.cloud.operations(uuid)[-1]
        self.assertEqual((state, 0), (last.state, last.open_step_count))
        self.assertEqual([], self.cloud.open_spans(last))
        return instance


class LifecycleTest(FlowTestCase):
    """Create, delete and what happens on one host."""

    def test_create(self):
        uuid, host, _, _ = self.booted()
        self.assert_emitted(
            f"""
            update(None>scheduling) [api.api]
            create.start [{host}]
            update(scheduling>networking) [{host}]
            update(networking>block_device_mapping) [{host}]
            update(block_device_mapping>spawning) [{host}]
            update(spawning>None) building>active [{host}]
            create.end [{host}]
            """,
            uuid,
        )
        instance = self.assert_ended(uuid, states.ACTIVE)
        self.assertEqual([instance.host], self.cloud.world.running(uuid))
        last = self.cloud.consumer.of_instance(uuid)[-1][2]
        self.assertEqual('Success', last['message'])
        self.assertEqual([], last['fixed_ips'])

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

    def test_stop_and_start(self):
        uuid, host, _, since = self.booted()
        self.cloud.begin('stop', uuid)
        self.assert_emitted(
            f"""
            update(None>powering-off) [api.api]
            power_off.start [{host}]
            update(powering-off>None) active>stopped [{host}]
            power_off.end [{host}]
            """,
            uuid,
            since,
        )
        instance = self.assert_ended(uuid, states.STOPPED)
        self.assertEqual(states.PowerState.SHUTDOWN, instance.power_state)
        since = self.count(uuid)
        self.cloud.begin('start', uuid)
        self.assert_emitted(
            f"""
            update(None>powering-on) [api.api]
            power_on.start [{host}]
            update(powering-on>None) stopped>active [{host}]
            power_on.end [{host}]
            """,
            uuid,
            since,
        )
        instance = self.assert_ended(uuid, states.ACTIVE)
        self.assertEqual(states.PowerState.RUNNING, instance.power_state)

    def test_pause_and_unpause(self):
        uuid, host, _, since = self.booted()
        self.cloud.begin('pause', uuid)
        self.cloud.begin('unpause', uuid)
        self.assert_emitted(
            f"""
            update(None>pausing) [api.api]
            pause.start [{host}]
            update(pausing>None) active>paused [{host}]
            pause.end [{host}]
            update(None>unpausing) [api.api]
            unpause.start [{host}]
            update(unpausing>None) paused>active [{host}]
            unpause.end [{host}]
            """,
            uuid,
            since,
        )

    def test_reboot_soft(self):
        uuid, host, _, since = self.booted()
        self.cloud.begin('reboot_soft', uuid)
        self.assert_emitted(
            f"""
            update(None>rebooting) [api.api]
            reboot.start [{host}]
            update(rebooting>reboot_pending) [{host}]
            update(reboot_pending>reboot_started) [{host}]
            update(reboot_started>None) [{host}]
            reboot.end [{host}]
            """,
            uuid,
            since,
        )
        instance = self.assert_ended(uuid, states.ACTIVE)
        record = self.cloud.world.guest(instance.host, uuid)
        self.assertEqual(2, record['boot'])

    def test_reboot_soft_failure_becomes_hard(self):
        uuid, host, _, since = self.booted()
        self.cloud.world.inject_fault(
            self.cloud.instance(uuid).host, 'shutdown', 'no answer'
        )
        self.cloud.begin('reboot_soft', uuid)
        self.assert_emitted(
            f"""
            update(None>rebooting) [api.api]
            reboot.start [{host}]
            update(rebooting>reboot_pending) [{host}]
            update(reboot_pending>reboot_started) [{host}]
            update(reboot_started>None) [{host}]
            reboot.end [{host}]
            """,
            uuid,
            since,
        )
        self.assert_ended(uuid, states.ACTIVE)
        self.assertIn('going on hard', self.log.output)

    def test_reboot_soft_timeout_becomes_hard(self):
        self.config(group='fake', shutdown_seconds=3600)
        self.config(group='compute', wait_soft_reboot_seconds=0.5)
        uuid, _, _, _ = self.booted()
        self.cloud.begin('reboot_soft', uuid)
        instance = self.assert_ended(uuid, states.ACTIVE)
        record = self.cloud.world.guest(instance.host, uuid)
        self.assertEqual(2, record['boot'])
        self.assertIn('did not restart by itself', self.log.output)

    def test_reboot_hard(self):
        uuid, host, _, _ = self.booted()
        self.cloud.begin('stop', uuid)
        since = self.count(uuid)
        self.cloud.begin('reboot_hard', uuid)
        self.assert_emitted(
            f"""
            update(None>rebooting_hard) [api.api]
            reboot.start [{host}]
            update(rebooting_hard>reboot_pending_hard) [{host}]
            update(reboot_pending_hard>reboot_started_hard) [{host}]
            update(reboot_started_hard>None) stopped>active [{host}]
            reboot.end [{host}]
            """,
            uuid,
            since,
        )

    def test_reboot_that_fails(self):
        uuid, host, _, since = self.booted()
        self.cloud.world.inject_fault(
            self.cloud.instance(uuid).host, 'define', 'no such machine type'
        )
        self.cloud.begin('reboot_hard', uuid)
        self.assert_emitted(
            f"""
            update(None>rebooting_hard) [api.api]
            reboot.start [{host}]
            update(rebooting_hard>reboot_pending_hard) [{host}]
            update(reboot_pending_hard>reboot_started_hard) [{host}]
            update(reboot_started_hard>None) active>error [{host}]
            reboot.error [{host}]
            """,
            uuid,
            since,
        )
        instance = self.assert_ended(uuid, states.ERROR, 'failed')
        self.assertEqual(states.PowerState.SHUTDOWN, instance.power_state)
        payload = self.cloud.consumer.of_instance(uuid)[-1][2]
        self.assertIn('no such machine type', payload['message'])
        self.assertIn('GuestFailed', payload['exception'])
        self.assertEqual(500, payload['code'])
        # What is in error can be rebooted hard, and is well again.
        self.cloud.begin('reboot_hard', uuid)
        self.assert_ended(uuid, states.ACTIVE)

    def test_failed_stop_restores_state(self):
        uuid, host, _, since = self.booted()
        self.cloud.world.inject_fault(
            self.cloud.instance(uuid).host, 'shutdown', 'hypervisor away'
        )
        self.cloud.begin('stop', uuid)
        self.assert_emitted(
            f"""
            update(None>powering-off) [api.api]
            power_off.start [{host}]
            update(powering-off>None) [{host}]
            power_off.error [{host}]
            """,
            uuid,
            since,
        )
        instance = self.assert_ended(uuid, states.ACTIVE, 'rolled_back')
        self.assertEqual(states.PowerState.RUNNING, instance.power_state)


class RescheduleTest(FlowTestCase):
    """A host that fails is left and another one is tried."""

    hosts = ('a', 'b', 'c', 'd')

    def test_next_host(self):
        self.cloud.world.inject_fault('a', 'start', 'out of luck')
        uuid = self.cloud.boot(host=None, wait=False)
        self.cloud.settle(uuid)
        self.assert_emitted(
            """
            update(None>scheduling) [api.api]
            create.start [compute.a]
            update(scheduling>networking) [compute.a]
            update(networking>block_device_mapping) [compute.a]
            update(block_device_mapping>spawning) [compute.a]
            create.error [compute.a]
            update(spawning>scheduling) [compute.a]
            create.start [compute.b]
            update(scheduling>networking) [compute.b]
            update(networking>block_device_mapping) [compute.b]
            update(block_device_mapping>spawning) [compute.b]
            update(spawning>None) building>active [compute.b]
            create.end [compute.b]
            """,
            uuid,
        )
        self.assert_ended(uuid, states.ACTIVE)
        self.assertEqual({('b', True): 1}, self.cloud.allocations(uuid))
        self.assertIsNone(self.cloud.world.guest('a', uuid))
        self.assertIsNone(self.cloud.world.get_disks('a', uuid))

    def test_no_alternate_host(self):
        for host in self.hosts:
            self.cloud.world.inject_fault(
                host, 'start', f'{host} is out of luck'
            )
        uuid = self.cloud.boot()
        emitted = self.emitted(uuid)
        self.assertEqual(3, len([t for t in emitted if 'create.error' in t]))
        self.assertEqual(
            'update(spawning>None) building>error [compute.c]', emitted[-1]
        )
        instance = self.assert_ended(uuid, states.ERROR, 'failed')
        self.assertIsNone(instance.host)
        self.assertEqual({}, self.cloud.allocations(uuid))
        fault = self.cloud.fault(uuid)
        self.assertIn('c is out of luck', fault['message'])

    def test_all_hosts_tried(self):
        self.config(group='scheduler', max_attempts=len(self.hosts) + 1)
        for host in self.hosts:
            self.cloud.world.inject_fault(
                host, 'start', f'{host} is out of luck'
            )
        uuid = self.cloud.boot()
        self.assert_ended(uuid, states.ERROR, 'failed')
        message = self.cloud.fault(uuid)['message']
        for host in self.hosts:
            self.assertIn(f'{host}: it was tried: ', message)
            self.assertIn(f'{host} is out of luck', message)

    def test_no_valid_host(self):
        uuid = self.cloud.boot(flavor=self.cloud.flavor(memory_mb=10**9))
        self.assert_emitted(
            """
            update(None>scheduling) [api.api]
            update(scheduling>None) building>error [conductor.conductor0]
            """,
            uuid,
        )
        self.assert_ended(uuid, states.ERROR, 'failed')
        message = self.cloud.fault(uuid)['message']
        self.assertIn('No valid host was found', message)
        self.assertIn('of 1000000000 MiB of memory are free', message)


class ResizeTest(FlowTestCase):
    """Resize and cold migration, and what follows."""

    def resized(self, **options):
        uuid, source, dest, since = self.booted()
        big = self.cloud.flavor('big', id=2, memory_mb=1024, root_gb=5)
        self.cloud.resize(uuid, big, **options)
        return uuid, source, dest, since

    def test_resize(self):
        uuid, source, dest, since = self.resized()
        self.assert_emitted(
            f"""
            update(None>resize_prep) [api.api]
            exists [{dest}]
            resize.prep.start [{dest}]
            resize.prep.end [{dest}]
            update(resize_prep>resize_migrating) [{source}]
            resize.start [{source}]
            update(resize_migrating>resize_migrated) [{source}]
            resize.end [{source}]
            update(resize_migrated>resize_finish) [{dest}]
            finish_resize.start [{dest}]
            update(resize_finish>None) active>resized [{dest}]
            finish_resize.end [{dest}]
            """,
            uuid,
            since,
        )
        instance = self.assert_ended(uuid, states.RESIZED)
        self.assertEqual(dest, f'compute.{instance.host}')
        self.assertEqual('big', instance.flavor.name)
        self.assertEqual([instance.host], self.cloud.world.running(uuid))
        self.assertEqual(
            5, self.cloud.world.get_disks(instance.host, uuid)['root_gb']
        )
        move = self.cloud.unconfirmed_migration(uuid)
        self.assertEqual('finished', move.status)
        self.assertEqual(
            {(move.source_host, False): 1, (move.dest_host, True): 1},
            self.cloud.allocations(uuid),
        )
        received = self.cloud.consumer.of_instance(uuid)[since:]
        hosts = [payload['host'] for _, _, payload, _ in received]
        self.assertEqual([move.source_host] * 6 + [move.dest_host] * 6, hosts)
        prep_end = received[3][2]
        self.assertEqual('big', prep_end['new_instance_type'])
        self.assertEqual(2, prep_end['new_instance_type_id'])
        self.assertGreater(
            received[-1][2]['launched_at'], received[0][2]['launched_at']
        )

    def test_confirm(self):
        uuid, source, _, _ = self.resized()
        since = self.count(uuid)
        move = self.cloud.unconfirmed_migration(uuid)
        self.cloud.confirm(uuid)
        self.assert_emitted(
            f"""
            update(None>None) resized>active [api.api]
            resize.confirm.start [{source}]
            resize.confirm.end [{source}]
            """,
            uuid,
            since,
        )
        self.assert_ended(uuid, states.ACTIVE)
        self.assertEqual(
            {(move.dest_host, True): 1}, self.cloud.allocations(uuid)
        )
        self.assertIsNone(self.cloud.world.guest(move.source_host, uuid))
        self.assertIsNone(
            self.cloud.world.get_disks(move.source_host, uuid, retained=True)
        )
        self.assertEqual([move.dest_host], self.cloud.world.running(uuid))

    def test_revert(self):
        uuid, source, dest, _ = self.booted()
        host = self.cloud.instance(uuid).host
        before = self.cloud.world.get_disks(host, uuid)
        big = self.cloud.flavor('big', id=2, memory_mb=1024, root_gb=5)
        self.cloud.resize(uuid, big)
        since = self.count(uuid)
        self.cloud.revert(uuid)
        self.assert_emitted(
            f"""
            update(None>resize_reverting) [api.api]
            exists [{dest}]
            resize.revert.start [{source}]
            update(resize_reverting>None) resized>active [{source}]
            resize.revert.end [{source}]
            """,
            uuid,
            since,
        )
        instance = self.assert_ended(uuid, states.ACTIVE)
        self.assertEqual(host, instance.host)
        self.assertEqual('small', instance.flavor.name)
        self.assertEqual(before, self.cloud.world.get_disks(host, uuid))
        self.assertEqual([host], self.cloud.world.running(uuid))
        self.assertEqual({(host, True): 1}, self.cloud.allocations(uuid))
        other = dest.removeprefix('compute.')
        self.assertIsNone(self.cloud.world.guest(other, uuid))
        self.assertIsNone(self.cloud.world.get_disks(other, uuid))

    def test_a_stopped_one_stays_stopped(self):
        uuid, _, _, _ = self.booted()
        self.cloud.begin('stop', uuid)
        since = self.count(uuid)
        self.cloud.begin('migrate', uuid)
        emitted = self.emitted(uuid, since)
        self.assertIn(
            'update(resize_finish>None) stopped>resized', emitted[-2]
        )
        self.assertEqual([], self.cloud.world.running(uuid))
        self.cloud.confirm(uuid)
        self.assert_ended(uuid, states.STOPPED)
        self.cloud.begin('start', uuid)
        host = self.cloud.instance(uuid).host
        self.assertEqual([host], self.cloud.world.running(uuid))

    def test_revert_of_a_stopped_one(self):
        uuid, _, _, _ = self.booted()
        self.cloud.begin('stop', uuid)
        self.cloud.begin('migrate', uuid)
        self.cloud.revert(uuid)
        self.assert_ended(uuid, states.STOPPED)
        self.assertEqual([], self.cloud.world.running(uuid))

    def test_failure_while_sending_disks(self):
        uuid, source, dest, since = self.booted()
        host = self.cloud.instance(uuid).host
        self.cloud.world.inject_fault(host, 'send_disks', 'disk full', times=1)
        self.cloud.resize(uuid, self.cloud.flavor('big', memory_mb=1024))
        self.assert_emitted(
            f"""
            update(None>resize_prep) [api.api]
            exists [{dest}]
            resize.prep.start [{dest}]
            resize.prep.end [{dest}]
            update(resize_prep>resize_migrating) [{source}]
            resize.start [{source}]
            update(resize_migrating>None) [{dest}]
            resize.error [{dest}]
            """,
            uuid,
            since,
        )
        instance = self.assert_ended(uuid, states.ACTIVE, 'rolled_back')
        self.assertEqual(host, instance.host)
        self.assertEqual([host], self.cloud.world.running(uuid))
        self.assertEqual({(host, True): 1}, self.cloud.allocations(uuid))
        self.assertIn('disk full', self.cloud.fault(uuid)['message'])

    def test_failure_at_the_destination_in_the_end(self):
        uuid, source, dest, since = self.booted()
        host = self.cloud.instance(uuid).host
        other = dest.removeprefix('compute.')
        before = self.cloud.world.get_disks(host, uuid)
        self.cloud.world.inject_fault(other, 'start', 'no memory')
        self.cloud.resize(uuid, self.cloud.flavor('big', memory_mb=1024))
        self.assert_emitted(
            f"""
            update(None>resize_prep) [api.api]
            exists [{dest}]
            resize.prep.start [{dest}]
            resize.prep.end [{dest}]
            update(resize_prep>resize_migrating) [{source}]
            resize.start [{source}]
            update(resize_migrating>resize_migrated) [{source}]
            resize.end [{source}]
            update(resize_migrated>resize_finish) [{dest}]
            finish_resize.start [{dest}]
            update(resize_finish>None) [{dest}]
            finish_resize.error [{dest}]
            """,
            uuid,
            since,
        )
        instance = self.assert_ended(uuid, states.ACTIVE, 'rolled_back')
        self.assertEqual(
            (host, 'small'), (instance.host, instance.flavor.name)
        )
        self.assertEqual(before, self.cloud.world.get_disks(host, uuid))
        self.assertEqual([host], self.cloud.world.running(uuid))
        self.assertEqual({(host, True): 1}, self.cloud.allocations(uuid))
        self.assertIsNone(self.cloud.world.get_disks(other, uuid))

    def test_resize_no_valid_host(self):
        uuid, _, _, since = self.booted()
        error = self.assertRaises(
            exception.NoValidHost,
            self.cloud.resize,
            uuid,
            self.cloud.flavor('huge', memory_mb=10**9),
        )
        self.assertEqual(400, error.status)
        self.cloud.settle(uuid)
        self.assert_emitted(
            """
            update(None>resize_prep) [api.api]
            update(resize_prep>None) [conductor.conductor0]
            """,
            uuid,
            since,
        )
        self.assert_ended(uuid, states.ACTIVE, 'rolled_back')


class PrepResizeFailureTest(FlowTestCase):
    """A destination that refuses is left out and another one is tried."""

    hosts = ('a', 'b', 'c')

    def test_next_destination(self):
        uuid, source, _, since = self.booted()
        rest = [h for h in self.hosts if f'compute.{h}' != source]
        self.cloud.world.inject_fault(rest[0], 'guest', 'cannot look', times=1)
        self.cloud.begin('migrate', uuid)
        first, second = (f'compute.{host}' for host in rest)
        self.assert_emitted(
            f"""
            update(None>resize_prep) [api.api]
            exists [{first}]
            resize.prep.start [{first}]
            resize.error [{first}]
            resize.prep.end [{first}]
            exists [{second}]
            resize.prep.start [{second}]
            resize.prep.end [{second}]
            update(resize_prep>resize_migrating) [{source}]
            resize.start [{source}]
            update(resize_migrating>resize_migrated) [{source}]
            resize.end [{source}]
            update(resize_migrated>resize_finish) [{second}]
            finish_resize.start [{second}]
            update(resize_finish>None) active>resized [{second}]
            finish_resize.end [{second}]
            """,
            uuid,
            since,
        )
        move = self.cloud.unconfirmed_migration(uuid)
        self.assertEqual(
            {(move.source_host, False): 1, (rest[1], True): 1},
            self.cloud.allocations(uuid),
        )


class LiveMigrationTest(FlowTestCase):
    """Live migration, its rollback and its abort."""

    def test_live_migration(self):
        uuid, source, dest, since = self.booted()
        host = self.cloud.instance(uuid).host
        boot = self.cloud.world.guest(host, uuid)['boot']
        self.cloud.begin('live_migrate', uuid)
        self.assert_emitted(
            f"""
            update(None>migrating) [api.api]
            live_migration.pre.start [{dest}]
            live_migration.pre.end [{dest}]
            live_migration._post.start [{source}]
            live_migration.post.dest.start [{dest}]
            update(migrating>None) [{dest}]
            live_migration.post.dest.end [{dest}]
            live_migration._post.end [{source}]
            """,
            uuid,
            since,
        )
        instance = self.assert_ended(uuid, states.ACTIVE)
        self.assertEqual(dest, f'compute.{instance.host}')
        self.assertEqual([instance.host], self.cloud.world.running(uuid))
        record = self.cloud.world.guest(instance.host, uuid)
        self.assertEqual(boot, record['boot'], 'it was started anew')
        self.assertEqual(
            {(instance.host, True): 1}, self.cloud.allocations(uuid)
        )
        self.assertIsNone(self.cloud.world.get_disks(host, uuid))
        received = self.cloud.consumer.of_instance(uuid)[since:]
        self.assertEqual(host, received[3][2]['host'])
        self.assertEqual(instance.host, received[6][2]['host'])
        self.assertEqual('completed', self.cloud.last_migration(uuid).status)

    def test_of_a_paused_guest(self):
        uuid, _, dest, _ = self.booted()
        self.cloud.begin('pause', uuid)
        self.cloud.begin('live_migrate', uuid)
        instance = self.assert_ended(uuid, states.PAUSED)
        self.assertEqual(dest, f'compute.{instance.host}')
        self.assertEqual(states.PowerState.PAUSED, instance.power_state)

    def test_rollback_when_it_fails(self):
        uuid, source, dest, since = self.booted()
        host = self.cloud.instance(uuid).host
        self.cloud.world.inject_fault(
            host,
            'start_live_migration',
            'unsupported',
            kind='GuestMigrationFailed',
        )
        self.cloud.begin('live_migrate', uuid)
        self.assert_emitted(
            f"""
            update(None>migrating) [api.api]
            live_migration.pre.start [{dest}]
            live_migration.pre.end [{dest}]
            live_migration._rollback.start [{source}]
            live_migration.rollback.dest.start [{dest}]
            live_migration.rollback.dest.end [{dest}]
            update(migrating>None) [{dest}]
            live_migration._rollback.end [{dest}]
            """,
            uuid,
            since,
        )
        instance = self.assert_ended(uuid, states.ACTIVE, 'rolled_back')
        self.assertEqual(host, instance.host)
        self.assertEqual([host], self.cloud.world.running(uuid))
        self.assertEqual({(host, True): 1}, self.cloud.allocations(uuid))
        self.assertEqual('error', self.cloud.last_migration(uuid).status)
        other = dest.removeprefix('compute.')
        self.assertEqual([], self.cloud.driver(other).guests())

    def test_rollback_when_the_destination_is_not_ready(self):
        uuid, source, dest, since = self.booted()
        other = dest.removeprefix('compute.')
        self.cloud.world.inject_fault(other, 'pre_live_migration', 'no bridge')
        self.cloud.begin('live_migrate', uuid)
        self.assert_emitted(
            f"""
            update(None>migrating) [api.api]
            live_migration.pre.start [{dest}]
            live_migration.pre.error [{dest}]
            live_migration._rollback.start [{source}]
            live_migration.rollback.dest.start [{dest}]
            live_migration.rollback.dest.end [{dest}]
            update(migrating>None) [{dest}]
            live_migration._rollback.end [{dest}]
            """,
            uuid,
            since,
        )
        self.assertIn('no bridge', self.cloud.fault(uuid)['message'])

    def test_abort(self):
        self.config(group='fake', migration_seconds=3600)
        uuid, source, dest, since = self.booted()
        self.cloud.begin('live_migrate', uuid, wait=False)
        host = self.cloud.instance(uuid).host
        driver = self.cloud.driver(host)
        self.cloud.wait_for(
            lambda: driver.migration_status(uuid).state == 'running'
        )
        self.cloud.begin('abort_live_migrate', uuid)
        emitted = self.emitted(uuid, since)
        # The abort runs beside the migration: its end may come before or
        # after the rollback begins.
        abort = [line for line in emitted if 'abort' in line]
        self.assertEqual(
            [
                f'live.migration.abort.start [{source}]',
                f'live.migration.abort.end [{source}]',
            ],
            abort,
        )
        self.assertEqual(
            [
                'update(None>migrating) [api.api]',
                f'live_migration.pre.start [{dest}]',
                f'live_migration.pre.end [{dest}]',
                f'live_migration._rollback.start [{source}]',
                f'live_migration.rollback.dest.start [{dest}]',
                f'live_migration.rollback.dest.end [{dest}]',
                f'update(migrating>None) [{dest}]',
                f'live_migration._rollback.end [{dest}]',
            ],
            [line for line in emitted if 'abort' not in line],
        )
        self.assertEqual([host], self.cloud.world.running(uuid))
        self.assertEqual('cancelled', self.cloud.last_migration(uuid).status)

    def test_no_host_can_receive(self):
        uuid, _, dest, since = self.booted()
        other = dest.removeprefix('compute.')
        self.cloud.world.inject_fault(
            other,
            'check_can_live_migrate_destination',
            'CPU too old',
            kind='MigrationPreCheckError',
        )
        error = self.assertRaises(
            exception.NoValidHost, self.cloud.begin, 'live_migrate', uuid
        )
        self.assertIn('CPU too old', str(error))
        self.assertEqual(400, error.status)
        self.cloud.settle(uuid)
        self.assert_emitted(
            """
            update(None>migrating) [api.api]
            update(migrating>None) [conductor.conductor0]
            """,
            uuid,
            since,
        )
