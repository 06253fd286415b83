# SPDX-License-Identifier: Apache-2.0
"""Which errors of libvirt mean that nothing was changed."""

import contextlib
import threading
from unittest import mock

import libvirt

from minova import cancellation
from minova import exception
from minova.virt.libvirt import errors
from minova.virt.libvirt import host
from minova.virt.libvirt.connection import Connection
from minova.virt.libvirt.qemu.guests import QemuGuests
from tests import base
from tests.unit.virt.rigs import UUID


def libvirt_error(code, domain):
    """Return an error of a part of libvirt."""
    error = libvirt.libvirtError('broken')
    error.err = (code, domain, 'broken', 0, '', None, None, 0, 0)
    return error


BROKEN = libvirt_error(libvirt.VIR_ERR_INTERNAL_ERROR, libvirt.VIR_FROM_RPC)
REFUSED = libvirt_error(libvirt.VIR_ERR_INTERNAL_ERROR, libvirt.VIR_FROM_QEMU)


class ErrorsTest(base.TestCase):
    """A libvirt whose connection breaks, and one that refuses."""

    def setUp(self):
        super().setUp()
        self.connection = mock.Mock(spec=Connection, uri='qemu:///system')
        self.conn = self.connection.get.return_value
        self.guests = QemuGuests(self.connection, mock.Mock(), mock.Mock())

    def kind_of(self, call, *args):
        return type(self.assertRaises(exception.GuestFailed, call, *args))

    def test_queries(self):
        for error, kind in (
            (BROKEN, exception.HypervisorUnavailable),
            (REFUSED, exception.GuestFailed),
        ):
            self.conn.lookupByUUIDString.side_effect = error
            for call in (self.guests.guest, self.guests.power_off):
                self.assertIs(kind, self.kind_of(call, UUID))

    def test_changes(self):
        """A call that broke may have taken effect."""
        domain = self.conn.lookupByUUIDString.return_value
        domain.isActive.return_value = True
        self.connection.dedicated.side_effect = lambda: contextlib.nullcontext(
            self.conn
        )
        domain.destroy.side_effect = BROKEN
        self.assertIs(
            exception.GuestFailed, self.kind_of(self.guests.power_off, UUID)
        )

    def test_health(self):
        one = host.Host(self.connection, self.directory)
        one.check_health()
        for error in (BROKEN, REFUSED):
            self.conn.numOfDomains.side_effect = error
            found = self.assertRaises(
                exception.HypervisorUnavailable, one.check_health
            )
            self.assertEqual('libvirt at qemu:///system: broken', str(found))

    def test_later_part_of_a_change(self):
        def fail():
            with errors.after_a_change(UUID):
                raise errors.unreachable('qemu:///system', 'away')

        self.assertIs(exception.GuestFailed, self.kind_of(fail))

    def test_call_that_hangs(self):
        """A newer operation does not wait for a hypervisor that hangs."""
        hang, signal = threading.Event(), cancellation.Signal()
        domain = self.conn.lookupByUUIDString.return_value
        domain.state.return_value = [libvirt.VIR_DOMAIN_RUNNING, 1]
        self.connection.dedicated.side_effect = lambda: contextlib.nullcontext(
            self.conn
        )
        domain.shutdown.side_effect = lambda: hang.wait(60)
        self.addCleanup(hang.set)
        timer = threading.Timer(0.1, signal.set, (KeyError('stop'),))
        timer.start()
        with cancellation.scope(signal):
            self.assertRaises(KeyError, self.guests.shutdown, UUID)
        timer.join()
        hang.set()
