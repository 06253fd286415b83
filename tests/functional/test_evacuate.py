# SPDX-License-Identifier: Apache-2.0
"""Evacuate a server from a host that is down."""

import os

import fixtures

from minova import clock
from minova import exception
from minova import states
from minova.conductor import fence_agent
from minova.context import get_admin_context
from minova.db.queries import hosts
from minova.db.queries import operations
from minova.engine import begin
from minova.engine import evacuation
from minova.engine import next_steps
from minova.engine import service_liveness
from minova.objects.operation_params import EvacuateParams
from minova.states import PowerState
from tests.functional import base


class EvacuateTestCase(base.FlowTestCase):
    """A server on host a, which dies."""

    def kill(self, host, *uuids):
        """Cut the power of a host, and force its service down."""
        self.cloud.stop(self.cloud.computes[host])
        for uuid in uuids:
            self.cloud.world.set_power(host, uuid, PowerState.SHUTDOWN)
        self.cloud.force_down(host)

    def isolate(self, host):
        """Let a host be silent whose guests run on."""
        self.cloud.stop(self.cloud.computes[host])
        self.cloud.set_silence(**{host: 61})

    def restart(self, host):
        """Let a killed host return."""
        self.cloud.force_down(host, False)
        self.cloud.start_compute(host)
        self.cloud.wait_registered(host)

    def evacuate(self, uuid, target=states.ACTIVE, wait=True, **params):
        """Evacuate; return when the server is released."""

        def prepare(connection, instance):
            check = evacuation.check_host(connection, instance.host)
            evacuation.require_preemptible(connection, instance)
            return EvacuateParams(
                other_hosts=[],
                target_state=target,
                fences_host=check.fences_host,
                begins_at=check.begins_at,
                needs_disk_lock=check.needs_disk_lock,
                **params,
            )

        begun = self.cloud.begin('evacuate', uuid, prepare, wait=False)
        if wait:
            self.cloud.wait_for(
                lambda: self.cloud.instance(uuid).task_id is None
            )
        return begun

    def status(self, uuid):
        return self.cloud.last_migration(uuid).status


class EvacuateTest(EvacuateTestCase):
    """A host without shared disks."""

    def test_evacuate(self):
        uuid, _, new, since = self.booted(host='a')
        content = self.cloud.world.get_disks('a', uuid)['content']
        addresses = self.cloud.instance(uuid).network_info
        self.kill('a', uuid)
        self.evacuate(uuid, image_name='Debian')
        instance = self.cloud.instance(uuid)
        self.assertEqual(
            ('b', states.ACTIVE, PowerState.RUNNING),
            (instance.host, instance.vm_state, instance.power_state),
        )
        self.assertEqual(addresses, instance.network_info)
        self.assertEqual(['b'], self.cloud.world.running(uuid))
        self.assertNotEqual(
            content, self.cloud.world.get_disks('b', uuid)['content']
        )
        # The old host still has the old disks, and the claim for them.
        self.assertIsNotNone(self.cloud.world.get_disks('a', uuid))
        self.assertEqual(
            {('a', False): 1, ('b', True): 1}, self.cloud.allocations(uuid)
        )
        migration = self.cloud.last_migration(uuid)
        self.assertEqual(
            ('evacuation', 'done', 'a', 'b'),
            (
                migration.kind,
                migration.status,
                migration.source_host,
                migration.dest_host,
            ),
        )
        self.restart('a')
        self.cloud.settle(uuid)
        self.assert_emitted(
            f"""
            update(None>rebuilding) [api.api]
            evacuate [api.api]
            rebuild.scheduled [conductor.conductor0]
            exists [{new}]
            rebuild.start [{new}]
            update(rebuilding>rebuild_block_device_mapping) [{new}]
            update(rebuild_block_device_mapping>rebuild_spawning) [{new}]
            update(rebuild_spawning>None) [{new}]
            rebuild.end [{new}]
            """,
            uuid,
            since,
        )
        payloads = {
            event: payload
            for event, _, payload, _ in self.cloud.consumer.of_instance(uuid)
        }
        end = payloads['compute.instance.rebuild.end']
        self.assertEqual(('Debian', 'b'), (end['image_name'], end['host']))
        self.assert_ended(uuid, states.ACTIVE)
        self.assertIsNone(self.cloud.world.get_disks('a', uuid))
        self.assertIsNone(self.cloud.world.guest('a', uuid))
        self.assertEqual({('b', True): 1}, self.cloud.allocations(uuid))

    def test_a_stopped_server_stays_stopped(self):
        uuid, *_ = self.booted(host='a')
        self.cloud.begin('stop', uuid)
        self.kill('a')
        self.evacuate(uuid, states.STOPPED)
        instance = self.cloud.instance(uuid)
        self.assertEqual(
            ('b', states.STOPPED, PowerState.SHUTDOWN),
            (instance.host, instance.vm_state, instance.power_state),
        )
        self.assertEqual([], self.cloud.world.running(uuid))
        self.restart('a')
        self.cloud.settle(uuid)
        self.cloud.begin('start', uuid)
        self.assertEqual(['b'], self.cloud.world.running(uuid))

    def test_an_active_server_may_end_stopped(self):
        uuid, *_ = self.booted(host='a')
        self.kill('a', uuid)
        self.evacuate(uuid, states.STOPPED)
        instance = self.cloud.instance(uuid)
        self.assertEqual(
            ('b', states.STOPPED, PowerState.SHUTDOWN),
            (instance.host, instance.vm_state, instance.power_state),
        )
        self.restart('a')
        self.cloud.settle(uuid)

    def test_host_without_proof(self):
        uuid, *_ = self.booted(host='a')
        self.assertRaises(exception.ComputeServiceInUse, self.evacuate, uuid)
        self.isolate('a')
        self.assertRaises(exception.HostNotFenced, self.evacuate, uuid)
        self.assertEqual(states.ACTIVE, self.cloud.instance(uuid).vm_state)

    def test_lock_of_a_local_disk_is_no_proof(self):
        self.config(group='fencing', trust_disk_locks=True)
        uuid, *_ = self.booted(host='a')
        self.isolate('a')
        self.evacuate(uuid)
        instance = self.assert_ended(uuid, states.ACTIVE, 'rolled_back')
        self.assertEqual('a', instance.host)
        self.assertEqual(['a'], self.cloud.world.running(uuid))
        self.assertIsNone(self.cloud.world.get_disks('b', uuid))
        self.assertIn(
            'host b does not share its disk',
            self.cloud.fault(uuid)['message'],
        )

    def test_no_valid_host(self):
        uuid, *_ = self.booted(host='a')
        self.kill('a', uuid)
        self.kill('b')
        self.evacuate(uuid)
        instance = self.assert_ended(uuid, states.ACTIVE, 'rolled_back')
        self.assertEqual('a', instance.host)
        self.assertEqual('error', self.status(uuid))
        self.assertIn('forced down', self.cloud.fault(uuid)['message'])
        self.assertEqual({('a', True): 1}, self.cloud.allocations(uuid))

    def test_failure_leaves_the_server_to_its_old_host(self):
        uuid, _, new, _ = self.booted(host='a')
        self.kill('a', uuid)
        self.cloud.world.inject_fault('b', 'start', 'no memory')
        self.evacuate(uuid)
        self.cloud.settle(uuid)
        instance = self.assert_ended(uuid, states.ACTIVE, 'rolled_back')
        self.assertEqual('a', instance.host)
        self.assertIsNone(self.cloud.world.guest('b', uuid))
        self.assertIsNone(self.cloud.world.get_disks('b', uuid))
        self.assertIsNotNone(self.cloud.world.get_disks('a', uuid))
        self.assertEqual({('a', True): 1}, self.cloud.allocations(uuid))
        self.assertIn(f'rebuild.error [{new}]', self.emitted(uuid))
        self.evacuate(uuid)
        self.assertEqual(['b'], self.cloud.world.running(uuid))
        self.restart('a')
        self.cloud.settle(uuid)

    def test_operation_that_waits_for_the_dead_host(self):
        uuid, *_ = self.booted(host='a')
        self.config(group='conductor', sweep_interval=60)
        clock.sleep(1)
        self.cloud.stop(self.cloud.computes['a'])
        self.cloud.begin('reboot_hard', uuid, wait=False)
        self.kill('a', uuid)
        self.evacuate(uuid)
        first, second = self.cloud.operations(uuid)[-2:]
        self.assertEqual('preempted', first.state)
        self.assertEqual(first.id, second.params.preempted)
        self.assertEqual(['b'], self.cloud.world.running(uuid))
        self.restart('a')
        self.cloud.settle(uuid)
        self.assertEqual(['b'], self.cloud.world.running(uuid))

    def test_delete_before_the_old_host_returns(self):
        uuid, *_ = self.booted(host='a')
        self.kill('a', uuid)
        self.evacuate(uuid)
        self.cloud.delete(uuid, wait=False)
        self.cloud.wait_for(
            lambda: self.cloud.instance(uuid).vm_state == states.DELETED
        )
        self.restart('a')
        self.cloud.settle(uuid)
        self.assertEqual({}, self.cloud.allocations(uuid))
        self.assertIsNone(self.cloud.world.get_disks('a', uuid))


class FencingTest(EvacuateTestCase):
    """A silent host whose guest runs, and a program that may power it off."""

    def setUp(self):
        super().setUp()
        self.uuid = self.cloud.boot(host='a')
        self.world = self.cloud.world
        self.cloud.stop(self.cloud.computes['a'])
        self.folder = self.useFixture(fixtures.TempDir()).path
        self.config(group='conductor', service_down_time=1.5)
        self.config(group='conductor', sweep_interval=0.2)
        self.cloud.wait_for(lambda: not service_liveness.is_up(self.service()))

    def service(self):
        (found,) = self.cloud.read(hosts.list_services, 'nova-compute', 'a')
        return found

    def set_command(self, script, kind='commands'):
        path = os.path.join(self.folder, 'fence_test')
        with open(path, 'w', encoding='utf-8') as file:
            file.write(f'#!/bin/sh\n{script}\n')
        os.chmod(path, 0o755)
        self.config(
            group='fencing',
            **{kind: ['b: /bin/false name=b', f'a: {path} plug={{host}}']},
        )

    def power_off(self, rule, host):
        result = fence_agent.fence(rule, host)
        self.world.set_power('a', self.uuid, PowerState.SHUTDOWN)
        return result

    def use_power(self):
        """Let the guest of the fake hypervisor end with the program."""
        for conductor in self.cloud.conductors.values():
            conductor.manager._scheduler._fencing._fence = self.power_off

    def steps(self):
        operation = self.cloud.operations(self.uuid)[-1]
        return self.cloud.read(operations.list_steps, operation.id)

    def assert_refused(self, text):
        """Check that the server stays with its host, which runs it."""
        self.cloud.settle(self.uuid)
        instance = self.assert_ended(self.uuid, states.ACTIVE, 'rolled_back')
        self.assertEqual('a', instance.host)
        self.assertEqual(['a'], self.world.running(self.uuid))
        self.assertIn(text, self.cloud.fault(self.uuid)['message'])
        self.assertIsNone(self.service().fenced_at)
        self.assertEqual('error', self.status(self.uuid))

    def test_fenced_host(self):
        self.set_command('echo "$1 is off"')
        self.use_power()
        self.evacuate(self.uuid)
        self.assertEqual(['b'], self.world.running(self.uuid))
        first = self.steps()[0]
        self.assertEqual(
            ('fence_host', 'a', 'fence_test', 0, 'plug=a is off'),
            (
                first.method,
                first.result.host,
                first.result.agent,
                first.result.exit_code,
                first.result.output,
            ),
        )
        service = self.service()
        self.assertEqual(hosts.REVOKED, service.incarnation)
        self.assertIn('fenced at', service_liveness.down_reason(service))
        # The host returns: it is not fenced any more.
        self.cloud.start_compute('a')
        self.cloud.wait_registered('a')
        self.assertIsNone(self.service().fenced_at)
        self.cloud.settle(self.uuid)
        self.assertEqual(['b'], self.world.running(self.uuid))
        self.assertEqual({('b', True): 1}, self.cloud.allocations(self.uuid))

    def test_second_server_of_a_fenced_host(self):
        self.set_command('echo run >> "$0.log"')
        self.use_power()
        self.evacuate(self.uuid)
        service = self.service()
        self.assertIsNotNone(service.fenced_at)
        check = self.cloud.read(evacuation.check_host, 'a')
        self.assertFalse(check.fences_host)
        with open(f'{self.folder}/fence_test.log', encoding='utf-8') as file:
            self.assertEqual('run\n', file.read())

    def test_agent_that_fails(self):
        self.set_command('echo no route to the BMC >&2; exit 1')
        self.evacuate(self.uuid)
        self.assert_refused(
            'fence_test ended with exit code 1: no route to the BMC'
        )

    def test_agent_that_hangs(self):
        self.config(group='fencing', timeout=0.5)
        self.set_command('sleep 60 & sleep 60')
        began = clock.monotonic()
        self.evacuate(self.uuid)
        self.assertLess(clock.monotonic() - began, 20)
        self.assert_refused('fence_test has not ended within 0.5 s')

    def test_host_that_is_still_on(self):
        self.set_command('exit 0', 'agents')
        self.evacuate(self.uuid)
        self.assert_refused('says that the host is still on')

    def test_host_that_returns_first(self):
        # Its heartbeats come again while the step waits for a conductor.
        self.set_command('exit 0')
        self.config(group='conductor', sweep_interval=60)
        clock.sleep(1)
        begun = begin.begin(
            self.cloud.database,
            self.cloud.context(),
            'evacuate',
            self.uuid,
            'api.api',
            lambda connection, instance: EvacuateParams(
                other_hosts=[], target_state=states.ACTIVE, fences_host=True
            ),
        )
        self.cloud.start_compute('a')
        self.cloud.wait_registered('a')
        self.cloud.wait_for(lambda: service_liveness.is_up(self.service()))
        self.cloud.waker.wake(get_admin_context(), begun.wakeups)
        self.assert_refused('is still in use')

    def be_early(self):
        """Let the host be silent for less than it may be."""
        self.config(group='conductor', service_down_time=60)
        self.assertTrue(service_liveness.is_up(self.service()))

    def test_early_evacuation_is_refused(self):
        self.set_command('exit 0')
        self.be_early()
        error = self.assertRaises(
            exception.ComputeServiceInUse, self.evacuate, self.uuid
        )
        self.assertIn('it counts as down in ', str(error))

    def test_early_evacuation_waits(self):
        self.config(group='fencing', early_evacuation='wait')
        self.set_command('exit 0')
        self.use_power()
        silence = self.service().heartbeat_age
        self.config(group='conductor', service_down_time=silence + 4)
        self.evacuate(self.uuid, wait=False)
        operation = self.cloud.operations(self.uuid)[-1]
        (predicted,) = self.cloud.read(next_steps.predict, operation)
        when = f'{operation.params.begins_at:%H:%M:%S} UTC'
        self.assertIn(f'{when} or later', str(operation.wait_reason))
        self.assertIn(f'{when}', predicted.action)
        self.assertEqual(['a'], self.world.running(self.uuid))
        self.cloud.wait_for(
            lambda: self.cloud.instance(self.uuid).task_id is None
        )
        self.assertEqual(['b'], self.world.running(self.uuid))
        first = self.steps()[0]
        self.assertGreaterEqual(first.finished_at, operation.params.begins_at)
        ended = self.cloud.operations(self.uuid)[-1]
        self.assertNotIn('to begin', ended.wait_reason or '')

    def test_early_evacuation_of_a_host_that_lives(self):
        self.config(group='fencing', early_evacuation='wait')
        self.set_command('exit 0')
        silence = self.service().heartbeat_age
        self.config(group='conductor', service_down_time=silence + 3)
        self.evacuate(self.uuid, wait=False)
        self.cloud.start_compute('a')
        self.cloud.wait_registered('a')
        self.assert_refused('is still in use')

    def test_host_that_registers_after_the_fence(self):
        self.set_command('exit 0')
        self.use_power()
        self.evacuate(self.uuid)
        self.cloud.start_compute('a')
        self.cloud.wait_registered('a')
        self.assertRaises(
            exception.ComputeServiceInUse,
            self.cloud.read,
            evacuation.require_proof,
            'a',
        )


class SharedStorageTest(EvacuateTestCase):
    """Hosts that see the same disks."""

    def setUp(self):
        super().setUp()
        self.cloud.world.share_storage()
        self.uuid = self.cloud.boot(host='a')
        self.content = self.cloud.world.get_disks('a', self.uuid)['content']

    def assert_disk_is_on(self, host):
        other = 'b' if host == 'a' else 'a'
        self.assertIsNone(self.cloud.world.get_disks(other, self.uuid))
        self.assertEqual(
            self.content,
            self.cloud.world.get_disks(host, self.uuid)['content'],
        )

    def test_the_disk_is_kept(self):
        self.kill('a', self.uuid)
        self.evacuate(self.uuid)
        self.assertEqual(['b'], self.cloud.world.running(self.uuid))
        self.assert_disk_is_on('b')
        self.restart('a')
        self.cloud.settle(self.uuid)
        self.assert_disk_is_on('b')
        self.assertEqual({('b', True): 1}, self.cloud.allocations(self.uuid))

    def test_failure_gives_the_disk_back(self):
        self.kill('a', self.uuid)
        self.cloud.world.inject_fault('b', 'start', 'no memory')
        self.evacuate(self.uuid)
        self.cloud.settle(self.uuid)
        self.assertEqual('a', self.cloud.instance(self.uuid).host)
        self.assert_disk_is_on('a')
        self.evacuate(self.uuid)
        self.assert_disk_is_on('b')
        self.restart('a')
        self.cloud.settle(self.uuid)

    def test_locked_disk(self):
        # The operator is wrong: the guest still runs.
        self.cloud.stop(self.cloud.computes['a'])
        self.cloud.force_down('a')
        self.evacuate(self.uuid)
        instance = self.cloud.settle(self.uuid)
        self.assertEqual('a', instance.host)
        self.assertEqual(['a'], self.cloud.world.running(self.uuid))
        self.assert_disk_is_on('a')
        self.assertIn('locked', self.cloud.fault(self.uuid)['message'])

    def test_lock_as_proof(self):
        self.config(group='fencing', trust_disk_locks=True)
        self.assertRaises(
            exception.ComputeServiceInUse, self.evacuate, self.uuid
        )
        self.isolate('a')
        self.evacuate(self.uuid)
        self.assertIn('locked', self.cloud.fault(self.uuid)['message'])
        self.assertEqual('a', self.cloud.settle(self.uuid).host)
        self.assertEqual(['a'], self.cloud.world.running(self.uuid))
        self.cloud.world.set_power('a', self.uuid, PowerState.SHUTDOWN)
        self.evacuate(self.uuid)
        self.assert_disk_is_on('b')
        self.assertEqual(['b'], self.cloud.world.running(self.uuid))
        self.restart('a')
        self.cloud.settle(self.uuid)
        self.assert_disk_is_on('b')

    def test_claims_of_old_requests(self):
        self.kill('a', self.uuid)
        self.evacuate(self.uuid, on_shared_storage=False)
        self.cloud.settle(self.uuid)
        self.assertIn(
            'is on shared storage', self.cloud.fault(self.uuid)['message']
        )
        self.assert_disk_is_on('a')
        self.evacuate(self.uuid, on_shared_storage=True)
        self.assert_disk_is_on('b')
        self.restart('a')
        self.cloud.settle(self.uuid)


class ReturningHostTest(EvacuateTestCase):
    """A host that comes back before, during or after an evacuation."""

    def test_cut_off_host_destroys_its_guest_before_anything_else(self):
        # Its guest and its compute go on; it hears of nothing meanwhile.
        uuid, *_ = self.booted(host='a')
        self.cloud.begin('stop', uuid)
        self.config(heartbeat_interval=30)
        clock.sleep(1)  # until the heartbeat that is due has been sent
        self.cloud.force_down('a')
        self.evacuate(uuid)
        (service,) = self.cloud.read(hosts.list_services, 'nova-compute', 'a')
        self.assertEqual(hosts.REVOKED, service.incarnation)
        self.config(heartbeat_interval=0.5)
        self.cloud.force_down('a', False)
        self.restart('a')
        self.cloud.settle(uuid)
        self.assertIsNone(self.cloud.world.guest('a', uuid))
        self.assertEqual(['b'], self.cloud.world.running(uuid))

    def test_host_that_cannot_remove_its_guest_does_not_register(self):
        uuid, *_ = self.booted(host='a')
        self.kill('a', uuid)
        self.evacuate(uuid)
        self.cloud.world.inject_fault('a', 'destroy', times=3)
        self.cloud.force_down('a', False)
        service = self.cloud.start_compute('a')
        self.cloud.wait_for(lambda: self.cloud.world.guest('a', uuid) is None)
        service.wait_until_ready()
        self.cloud.settle(uuid)

    def test_disks_stay_until_the_server_runs_elsewhere(self):
        uuid, *_ = self.booted(host='a')
        self.kill('a', uuid)
        self.cloud.world.inject_delay('b', 'start', 2)
        self.cloud.world.inject_fault('b', 'start', 'no memory')
        self.evacuate(uuid, wait=False)
        self.cloud.wait_for(lambda: self.cloud.instance(uuid).host == 'b')
        self.restart('a')
        self.assertNotIn('a', self.cloud.world.running(uuid))
        self.assertIsNotNone(self.cloud.world.get_disks('a', uuid))
        self.cloud.settle(uuid)
        self.assertEqual('a', self.cloud.instance(uuid).host)
        # The guest is off: its host has it again, as before it died.
        guest = self.cloud.world.guest('a', uuid)
        self.assertEqual(PowerState.SHUTDOWN, guest['power'])
        self.cloud.world.clear_faults()
        self.cloud.begin('reboot_hard', uuid)
        self.assertEqual(['a'], self.cloud.world.running(uuid))
