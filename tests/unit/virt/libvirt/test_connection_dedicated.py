# SPDX-License-Identifier: Apache-2.0
"""Calls that take long have connections of their own.

Six moves at a time took all that a libvirtd does for one connection at a
time: the compute could not ask it for anything, and then the connection was
closed for want of signs of life, and all moves counted as failed.
"""

import contextlib
import threading
from unittest import mock

import fixtures
import libvirt

from minova import exception
from minova.virt.libvirt.connection import Connection
from minova.virt.libvirt.qemu.guests import QemuGuests
from minova.virt.libvirt.qemu.live_migration import QemuLiveMigration
from tests import base
from tests.unit.virt.libvirt.qemu.test_live_migration import qemu_data
from tests.unit.virt.libvirt.test_connection import ConnectionTestCase
from tests.unit.virt.rigs import migrate_data
from tests.unit.virt.rigs import UUID

AGREED = migrate_data(block_migration=False, qemu=qemu_data())


class DedicatedConnectionTest(ConnectionTestCase):
    """A connection for one call."""

    def test_another_one_that_is_closed(self):
        made = self.connection()
        usual = made.get()
        with made.dedicated() as opened:
            self.assertIsNot(usual, opened)
            self.assertEqual(usual.getURI(), opened.getURI())
            with made.dedicated() as third:
                self.assertIsNot(opened, third)
        self.assertIs(usual, made.get())
        self.assertTrue(usual.isAlive())

    def test_silence(self):
        made = self.connection()
        made.get()
        answer = threading.Event()
        self.addCleanup(answer.set)
        real = libvirt.open

        def slow(uri):
            answer.wait()
            return real(uri)

        self.config(group='libvirt', connect_timeout=0.1)
        self.useFixture(fixtures.MockPatchObject(libvirt, 'open', slow))
        with contextlib.ExitStack() as stack:
            error = self.assertRaises(
                exception.GuestFailed, stack.enter_context, made.dedicated()
            )
        self.assertIn('no answer within 0.1 s', str(error))
        # Others are not concerned.
        self.assertTrue(made.get().isAlive())


class LongCallsTest(base.TestCase):
    """The calls that use a dedicated connection."""

    def setUp(self):
        super().setUp()
        self.usual, self.own = mock.Mock(), mock.Mock()
        self.connection = mock.Mock(spec=Connection)
        self.connection.dedicated.side_effect = lambda: contextlib.nullcontext(
            self.own
        )
        self.live_migration = QemuLiveMigration(
            mock.Mock(host='here', instances_path=self.directory),
            self.connection,
            mock.Mock(),
            mock.Mock(),
        )

    def migrate(self):
        domain = self.live_migration._guests.require(UUID)
        domain.jobStats.return_value = {'type': libvirt.VIR_DOMAIN_JOB_NONE}
        self.live_migration._guests.find.return_value = domain
        self.live_migration._guests.guest.return_value = mock.Mock(power=1)
        with mock.patch.object(
            QemuLiveMigration, '_migrate_params', return_value={}
        ):
            self.live_migration.start_live_migration(UUID, mock.Mock(), AGREED)
        for thread in threading.enumerate():
            if thread.name == f'migrate-{UUID[:8]}':
                thread.join()
        domain.migrateToURI3.assert_not_called()
        return self.live_migration.migration_status(UUID)

    def test_live_migration(self):
        self.assertEqual('completed', self.migrate().state)
        self.own.lookupByUUIDString.assert_called_once_with(UUID)
        domain = self.own.lookupByUUIDString.return_value
        domain.migrateToURI3.assert_called_once()

    def test_live_migration_without_connection(self):
        self.connection.dedicated.side_effect = exception.GuestFailed(
            'silence'
        )
        found = self.migrate()
        self.assertEqual(('failed', 'silence'), (found.state, found.error))

    def test_host_queries(self):
        guests = QemuGuests(self.connection, mock.Mock(), mock.Mock())
        domain = self.connection.get().lookupByUUIDString(UUID)
        domain.UUIDString.return_value = UUID
        domain.hasManagedSaveImage.return_value = False
        self.connection.get().listAllNetworks.return_value = []
        own = self.own.lookupByUUIDString.return_value

        def end():
            domain.isActive.return_value = False

        own.destroy.side_effect = end
        running, paused, off = (
            [getattr(libvirt, f'VIR_DOMAIN_{name}'), 1]
            for name in ('RUNNING', 'PAUSED', 'SHUTOFF')
        )
        for state, ask, name in (
            (off, guests.start, 'create'),
            (running, guests.shutdown, 'shutdown'),
            (running, guests.power_off, 'destroy'),
            (running, guests.destroy, 'destroy'),
            (running, guests.pause, 'suspend'),
            (paused, guests.unpause, 'resume'),
            (paused, guests.start, 'resume'),
            (paused, guests.resume, 'resume'),
        ):
            own.reset_mock()
            domain.state.return_value = state
            domain.isActive.return_value = state is not off
            ask(UUID)
            getattr(own, name).assert_called_once_with()
            getattr(domain, name).assert_not_called()

    def test_saving_memory(self):
        guests = QemuGuests(self.connection, mock.Mock(), mock.Mock())
        domain = self.connection.get().lookupByUUIDString(UUID)
        domain.UUIDString.return_value = UUID
        domain.state.return_value = [libvirt.VIR_DOMAIN_RUNNING, 1]
        guests.suspend(UUID)
        domain.managedSave.assert_not_called()
        self.own.lookupByUUIDString.assert_called_once_with(UUID)
        saved = self.own.lookupByUUIDString.return_value
        saved.managedSave.assert_called_once_with(
            libvirt.VIR_DOMAIN_SAVE_RUNNING
        )
