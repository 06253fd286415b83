# SPDX-License-Identifier: Apache-2.0
"""Computes that prove who they are, and others that pretend to be them."""

import os

from minova import exception
from minova import states
from minova.compute import host_key
from minova.conf import CONF
from minova.context import get_admin_context
from minova.db.queries import hosts
from minova.db.queries import migrations
from minova.db.queries import operations
from minova.engine import host_enrollment
from minova.exception import serialization
from minova.objects.checkpoints import GuestMigrated
from minova.objects.step_results import NoResult
from minova.rpc import conductor as rpc_conductor
from minova.rpc.proof import Sender
from minova.rpc.proof import Signer
from tests import base
from tests.fixtures.cloud import Cloud


class HostEnrollmentTestCase(base.TestCase):
    """A cloud with the hosts a and b."""

    hosts = ('a', 'b')

    def setUp(self):
        super().setUp()
        self.cloud = self.useFixture(Cloud(hosts=self.hosts))

    def write(self, function, *args):
        return self.cloud.database.write(lambda c: function(c, *args))

    def service(self, host='a'):
        return self.cloud.read(hosts.list_services, 'nova-compute', host)[0]

    def restart_without_key(self):
        """Start the compute of host a as after a new installation."""
        self.cloud.stop(self.cloud.computes['a'])
        os.unlink(os.path.join(CONF.state_path, 'compute-a.key'))
        return self.cloud.start_compute('a')

    def write_token(self, token):
        with open(CONF.compute.enrollment_token_file, 'w') as file:
            file.write(f'{token}\n')


class AttackTest(HostEnrollmentTestCase):
    """Host b knows all of host a but its key."""

    def setUp(self):
        super().setUp()
        self.uuid = self.cloud.boot(host='a')
        self.cloud.stop(self.cloud.computes['a'])
        self.config(heartbeat_interval=60)
        self.begun = self.cloud.begin('pause', self.uuid, wait=False)
        self.step = self.begun.first_step
        self.victim = self.service().incarnation

    def client(self, host, incarnation=None):
        """Return a client with the key of host b that says this."""
        signer = Signer(
            host_key.ensure('b'),
            Sender.COMPUTE,
            host,
            incarnation or self.victim,
            lambda: self.cloud.conductors['conductor0'].manager._keys.now(),
        )
        return rpc_conductor.client(self.cloud.bus, signer)

    def step_calls(self, conductor, host):
        """Return the calls about the step of the victim."""
        about = {
            'step': self.step,
            'host': host,
            'incarnation': self.victim,
        }
        context = get_admin_context()
        return (
            lambda: conductor.start_step(context, **about),
            lambda: conductor.save_checkpoint(
                context, **about, checkpoint=GuestMigrated()
            ),
            lambda: conductor.finish_step(context, **about, result=NoResult()),
            lambda: conductor.fail_step(
                context,
                **about,
                error=serialization.encode(exception.Failed('no')),
                power_state=None,
                guest_untouched=True,
            ),
        )

    def test_in_the_name_of_the_victim(self):
        for call in self.step_calls(self.client('a'), 'a'):
            error = self.assertRaises(exception.MessageRefused, call)
            self.assertIn('not that of the key of host a', str(error))
        for call in self.step_calls(self.client('b'), 'a'):
            error = self.assertRaises(exception.MessageRefused, call)
            self.assertIn('its sender is b', str(error))

    def test_in_its_own_name(self):
        """With the incarnation of the victim, which is no secret."""
        for call in self.step_calls(self.client('b'), 'b'):
            self.assertRaises(exception.Stale, call)
        (step,) = self.cloud.read(
            operations.list_steps, self.begun.operation.id
        )
        self.assertEqual('pending', step.state)
        self.cloud.start_compute('a')
        self.cloud.settle(self.uuid)
        self.assertEqual(
            states.PAUSED, self.cloud.instance(self.uuid).vm_state
        )

    def test_the_heartbeat_of_the_victim(self):
        before = self.service().last_seen_at
        for host in ('a', 'b'):
            self.assertRaises(
                exception.MessageRefused,
                self.client(host).heartbeat,
                get_admin_context(),
                host='a',
                incarnation=self.victim,
                hypervisor_error='attacked',
            )
        self.assertEqual(before, self.service().last_seen_at)
        self.assertIsNone(self.service().hypervisor_error)

    def test_the_instances_of_the_victim(self):
        for host in ('a', 'b'):
            self.assertRaises(
                exception.MessageRefused,
                self.client(host).instances_on_host,
                get_admin_context(),
                host='a',
            )

    def test_the_database_of_migrations(self):
        """A report names its columns; others are not written."""
        self.cloud.start_compute('a')
        self.cloud.settle(self.uuid)
        self.cloud.begin('unpause', self.uuid)
        self.cloud.resize(self.uuid, self.cloud.flavor('large', memory_mb=600))
        migration = self.cloud.unconfirmed_migration(self.uuid)

        def report(host):
            self.write(
                migrations.update_progress,
                migration.id,
                host,
                {'dest_host': 'evil', 'memory_total': 7},
                50,
            )

        self.patch(migrations.migration_states, 'COPYING', (migration.status,))
        report('b')
        found = self.cloud.unconfirmed_migration(self.uuid)
        self.assertIsNone(found.memory_total)
        report('a')
        found = self.cloud.unconfirmed_migration(self.uuid)
        self.assertEqual((7, 'b'), (found.memory_total, found.dest_host))


class LostKeyTest(HostEnrollmentTestCase):
    """A host has the name of another, or is installed again."""

    def test_the_operator_reads_what_to_do(self):
        uuid = self.cloud.boot(host='a')
        service = self.restart_without_key()
        text = 'minova-manage host enroll a --replace'
        self.cloud.wait_for(lambda: text in self.log.output)
        self.assertIn('Compute a runs no new steps', self.log.output)
        self.assertFalse(service.is_registered)
        error = self.assertRaises(
            exception.Unavailable, service.wait_until_ready, 0.1
        )
        self.assertIn(text, str(error))
        token = self.write(host_enrollment.issue_token, 'a', 60, True)
        self.write_token(token)
        self.cloud.wait_for(lambda: service.is_registered)
        self.assertFalse(os.path.exists(CONF.compute.enrollment_token_file))
        self.assertIn('Compute a: its messages are accepted', self.log.output)
        self.cloud.begin('pause', uuid)
        self.assertEqual(states.PAUSED, self.cloud.instance(uuid).vm_state)

    def test_with_the_public_key(self):
        service = self.restart_without_key()
        with open(os.path.join(CONF.state_path, 'compute-a.pub')) as file:
            key = file.read().strip()
        self.write(host_enrollment.enroll_key, 'a', key, True)
        self.cloud.wait_for(lambda: service.is_registered)

    def test_a_new_database(self):
        """The computes run on, and show their keys again."""
        for table in ('host_keys', 'control_plane_keys'):
            with self.cloud.database.engine.begin() as connection:
                connection.exec_driver_sql(f'DELETE FROM {table}')
        for name in list(self.cloud.conductors):
            self.cloud.stop(self.cloud.conductors[name])
            self.cloud.start_conductor(name)
        since = self.service().last_seen_at
        self.cloud.wait_for(lambda: self.service().last_seen_at > since)


class ClosedTest(HostEnrollmentTestCase):
    """Only hosts that an operator has enrolled."""

    hosts = ('a',)

    def test_new_host(self):
        self.config('conductor', host_enrollment='closed')
        service = self.cloud.start_compute('c')
        text = 'host_enrollment is closed. On a machine of the control plane'
        self.cloud.wait_for(lambda: text in self.log.output)
        self.assertFalse(service.is_registered)
        token = self.write(host_enrollment.issue_token, 'c', 60, False)
        self.write_token(token)
        self.cloud.wait_for(lambda: service.is_registered)
        # The host that was enrolled before is not affected.
        self.cloud.stop(self.cloud.computes['a'])
        self.cloud.start_compute('a')
        self.cloud.wait_registered('a')


class RevokeTest(HostEnrollmentTestCase):
    """A host is revoked while it works."""

    def test_a_step_that_runs(self):
        """It waits for the host, and is not lost."""
        uuid = self.cloud.boot(host='a')
        self.cloud.world.inject_delay('a', 'pause', 1.5)
        self.cloud.begin('pause', uuid, wait=False)
        self.cloud.wait_for(
            lambda: (
                self.cloud.read(
                    operations.list_steps, self.cloud.operations(uuid)[-1].id
                )[0].state
                == 'running'
            )
        )
        self.write(host_enrollment.revoke, 'a')
        self.cloud.wait_for(
            lambda: 'the key of host a is revoked' in self.log.output
        )
        self.assertEqual(
            host_enrollment.REVOKED_REASON, self.service().disabled_reason
        )
        self.cloud.wait_for(lambda: self.service().heartbeat_age > 2)
        self.assertIsNone(self.cloud.operations(uuid)[-1].finished_at)
        self.write(
            host_enrollment.enroll_key,
            'a',
            host_key.ensure('a').public_key,
            False,
        )
        self.cloud.settle(uuid)
        self.assertEqual(states.PAUSED, self.cloud.instance(uuid).vm_state)
        self.assertIsNone(self.service().disabled_reason)

    def test_no_new_servers(self):
        self.write(host_enrollment.revoke, 'a')
        for _ in range(3):
            uuid = self.cloud.boot()
            self.assertEqual('b', self.cloud.instance(uuid).host)

    def test_the_destination_of_a_live_migration(self):
        """The other host does not accept its messages either."""
        uuid = self.cloud.boot(host='a')
        self.write(host_enrollment.revoke, 'b')
        self.cloud.wait_for(
            lambda: 'the key of host b is revoked' in self.log.output
        )
        error = self.assertRaises(
            exception.MinovaException, self.cloud.begin, 'live_migrate', uuid
        )
        self.assertIn('b', str(error))
        self.cloud.settle(uuid)
        self.assertEqual('a', self.cloud.instance(uuid).host)
        self.assertEqual(['a'], self.cloud.world.running(uuid))
