# SPDX-License-Identifier: Apache-2.0
"""A libvirt connection: open, reopen, events and translated errors."""

import os
import subprocess
import sys
import threading
import time
from unittest import mock

import fixtures
import libvirt

from minova import exception
from minova.virt.libvirt import errors
from minova.virt.libvirt.connection import Connection
from minova.virt.libvirt.connection_attempt import ConnectionAttempt
from minova.virt.libvirt.events import ChangedGuests
from tests import base
from tests.unit.virt.rigs import UUID

DOMAIN = f"""
<domain type='test'><name>guest</name><uuid>{UUID}</uuid>
<memory>1024</memory><vcpu>1</vcpu><os><type>hvm</type></os></domain>
"""


def loops():
    """Return the threads that run libvirt's events."""
    return [t for t in threading.enumerate() if t.name == 'libvirt-events']


class ConnectionTestCase(base.TestCase):
    """A connection to the test driver."""

    def setUp(self):
        super().setUp()
        # Else a new libvirtError has the text of an earlier test's error.
        libvirt.virResetLastError()
        self.config(group='libvirt', connect_timeout=5)
        path = os.path.join(self.directory, 'node.xml')
        with open(path, 'w') as file:
            file.write('<node/>')
        self.uri = f'test://{path}'

    def connection(self, uri=None):
        made = Connection(uri or self.uri)
        self.addCleanup(made.close)
        return made


class OpeningTest(ConnectionTestCase):
    """Opening a libvirt that answers or hangs."""

    def test_opened_once(self):
        made = self.connection()
        self.assertIs(made.get(), made.get())

    def test_refused_call(self):
        made = self.connection('test:///no/such/file.xml')
        error = self.assertRaises(exception.GuestFailed, made.get)
        self.assertIn('libvirt at test:///no/such/file.xml: ', str(error))
        self.assertIn('no/such/file.xml', str(error.__cause__))

    def test_closed(self):
        made = self.connection()
        made.get()
        made.close()
        made.close()
        self.assertRaises(exception.GuestFailed, made.get)

    def test_silence(self):
        answer, opened = threading.Event(), []
        real = libvirt.open

        def slow(uri):
            opened.append(uri)
            answer.wait()
            return real(uri)

        self.config(group='libvirt', connect_timeout=0.1)
        self.useFixture(fixtures.MockPatchObject(libvirt, 'open', slow))
        made = self.connection()
        for _ in range(3):
            error = self.assertRaises(exception.GuestFailed, made.get)
            self.assertIn('no answer within 0.1 s', str(error))
        # One attempt hangs, however often it was asked for, and what comes
        # of it late is used.
        answer.set()
        self.config(group='libvirt', connect_timeout=5)
        self.assertTrue(made.get().isAlive())
        self.assertEqual([self.uri], opened)

    def use_together(self, made):
        """Use a connection in six threads; return results and seconds."""
        found = []

        def use():
            try:
                found.append(made.get())
            except exception.GuestFailed as error:
                found.append(str(error))

        threads = [threading.Thread(target=use) for _ in range(6)]
        before = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return found, time.monotonic() - before

    def test_many_wait_no_longer_than_one(self):
        answer = threading.Event()
        self.addCleanup(answer.set)
        self.config(group='libvirt', connect_timeout=1)

        def silent(uri):
            answer.wait()
            raise libvirt.libvirtError('it is too late')

        self.useFixture(fixtures.MockPatchObject(libvirt, 'open', silent))
        found, seconds = self.use_together(self.connection())
        self.assertEqual(
            [f'libvirt at {self.uri}: no answer within 1 s'] * 6, found
        )
        self.assertLess(seconds, 3)

    def test_many_get_the_same(self):
        opened = []
        real = libvirt.open

        def slow(uri):
            time.sleep(0.3)
            opened.append(real(uri))
            return opened[-1]

        self.useFixture(fixtures.MockPatchObject(libvirt, 'open', slow))
        found, _ = self.use_together(self.connection())
        self.assertEqual(opened * 6, found)

    def test_all_waiters_get_the_failure(self):
        tries, waiting = [], threading.Semaphore(0)
        failure = libvirt.libvirtError('no')
        real = ConnectionAttempt.result

        def result(attempt):
            waiting.release()
            return real(attempt)

        def slow(uri):
            tries.append(uri)
            for _ in range(6):
                waiting.acquire()
            raise failure

        made = self.connection()
        self.patch(ConnectionAttempt, 'result', result)
        with fixtures.MockPatchObject(libvirt, 'open', slow):
            found, _ = self.use_together(made)
        self.assertEqual([f'libvirt at {self.uri}: no'] * 6, found)
        self.assertEqual(1, len(tries))
        # Who comes later tries again.
        self.assertTrue(made.get().isAlive())

    def test_unexpected_error_is_not_permanent(self):
        made = self.connection()
        real = libvirt.open
        with mock.patch.object(libvirt, 'open', return_value=object()):
            self.assertRaises(exception.GuestFailed, made.get)
        self.assertIs(real, libvirt.open)
        self.assertIn('Opening libvirt', self.log.output)
        self.assertTrue(made.get().isAlive())

    def test_silence_after_it_was_opened(self):
        answer, silent = threading.Event(), mock.Mock()
        silent.domainEventRegisterAny.side_effect = lambda *words: (
            answer.wait() and 7
        )
        self.useFixture(
            fixtures.MockPatchObject(libvirt, 'open', lambda uri: silent)
        )
        self.config(group='libvirt', connect_timeout=0.2)
        made = self.connection()
        found, seconds = self.use_together(made)
        self.assertEqual(1, len(set(found)))
        self.assertIn('no answer within 0.2 s', found[0])
        self.assertLess(seconds, 2)
        # The variable is set, and restored afterwards.
        answer.set()
        self.config(group='libvirt', connect_timeout=5)
        self.assertIs(silent, made.get())
        made.close()
        silent.domainEventDeregisterAny.assert_called_with(7)
        silent.close.assert_called_once_with()

    def test_closed_while_it_is_opened(self):
        answer, late = threading.Event(), mock.Mock()

        def slow(uri):
            answer.wait()
            return late

        self.config(group='libvirt', connect_timeout=0.1)
        self.useFixture(fixtures.MockPatchObject(libvirt, 'open', slow))
        made = self.connection()
        self.assertRaises(exception.GuestFailed, made.get)
        made.close()
        answer.set()
        for thread in threading.enumerate():
            if thread.name == 'libvirt-open':
                thread.join()
        late.close.assert_called_once_with()

    def test_closed_after_it_came_too_late(self):
        answer, late = threading.Event(), mock.Mock()

        def slow(uri):
            answer.wait()
            return late

        self.config(group='libvirt', connect_timeout=0.1)
        self.useFixture(fixtures.MockPatchObject(libvirt, 'open', slow))
        made = self.connection()
        self.assertRaises(exception.GuestFailed, made.get)
        answer.set()
        for thread in threading.enumerate():
            if thread.name == 'libvirt-open':
                thread.join()
        made.close()
        late.close.assert_called_once_with()

    def test_connections_share_one_event_loop(self):
        self.assertEqual(0, len(loops()))
        first, second = self.connection(), self.connection()
        first.get()
        second.get()
        self.assertEqual(1, len(loops()))
        first.close()
        self.assertEqual(1, len(loops()))
        second.close()
        self.assertEqual(0, len(loops()))
        third = self.connection()
        third.get()
        self.assertEqual(1, len(loops()))

    def test_errors_are_not_printed(self):
        code = (
            'from minova.virt.libvirt.connection import *\n'
            'from minova.virt.libvirt.errors import error_message\n'
            'import libvirt\n'
            f'c = Connection({self.uri!r})\n'
            'try: c.get().lookupByName("unknown")\n'
            'except libvirt.libvirtError as error:\n'
            '    print(error_message(error))\n'
            'c.close()\n'
        )
        done = subprocess.run(
            [sys.executable, '-c', code], capture_output=True, check=True
        )
        self.assertEqual((b'Domain not found\n', b''), (
            done.stdout, done.stderr
        ))  # fmt: skip


class EventsTest(ConnectionTestCase):
    """Events of guests."""

    def setUp(self):
        super().setUp()
        self.changes = ChangedGuests()
        self.events = []
        self.made = self.connection()
        self.made.add_listener(self.changes.put)
        self.made.add_listener(self.events.append)

    def drain(self):
        while self.changes.take(0.05):
            continue

    def test_life(self):
        domain = self.made.get().defineXML(DOMAIN)
        for change in (
            domain.create,
            domain.suspend,
            domain.resume,
            domain.shutdown,
        ):
            self.drain()
            change()
            self.assertEqual(UUID, self.changes.take(5))
        self.assertIsNone(self.changes.take(0.01))

    def test_metadata(self):
        domain = self.made.get().defineXML(DOMAIN)
        domain.create()
        self.drain()
        domain.setMetadata(
            libvirt.VIR_DOMAIN_METADATA_ELEMENT, '<a/>', 'x', 'urn:x', 1
        )
        self.assertEqual(UUID, self.changes.take(5))

    def test_dead_connection_is_reopened(self):
        dead = self.made.get()
        dead.defineXML(DOMAIN)
        self.drain()
        self.assertEqual([None], [uuid for uuid in self.events if not uuid])
        self.useFixture(
            fixtures.MockPatchObject(dead, 'isAlive', lambda: False)
        )
        alive = self.made.get()
        self.assertIsNot(dead, alive)
        self.assertIn('is dead', self.log.output)
        # Events may have been missed; the listener gets None again.
        self.assertEqual(2, self.events.count(None))
        alive.defineXML(DOMAIN)
        self.assertEqual(UUID, self.changes.take(5))

    def test_every_guest_may_have_changed_meanwhile(self):
        there = self.made.get()
        shared = libvirt.open(self.uri)
        self.addCleanup(shared.close)
        shared.defineXML(DOMAIN)
        self.useFixture(
            fixtures.MockPatchObject(libvirt, 'open', lambda uri: shared)
        )
        self.useFixture(
            fixtures.MockPatchObject(there, 'isAlive', lambda: False)
        )
        self.made.get()
        self.assertEqual(UUID, self.changes.take(5))

    def test_a_connection_that_cannot_be_asked_is_dead(self):
        def broken():
            raise libvirt.libvirtError('no')

        dead = self.made.get()
        self.useFixture(fixtures.MockPatchObject(dead, 'isAlive', broken))
        self.assertIsNot(dead, self.made.get())


class ChangesTest(base.TestCase):
    """Each guest is queued once until it is taken."""

    def test_once(self):
        changes = ChangedGuests()
        for uuid in ('x', 'y', 'x', None, 'y', 'x'):
            changes.put(uuid)
        self.assertEqual(['x', 'y', None], [
            changes.take(0) for _ in range(3)
        ])  # fmt: skip
        changes.put('x')
        self.assertEqual('x', changes.take(0))

    def test_a_negative_time_is_none(self):
        self.assertIsNone(ChangedGuests().take(-1))


class TranslateErrorsTest(ConnectionTestCase):
    """libvirt's errors in the form of drivers."""

    def test_libvirt_message(self):
        opened = self.connection().get()

        def ask():
            with errors.translate_errors(UUID):
                opened.lookupByName('unknown')

        error = self.assertRaises(exception.GuestFailed, ask)
        self.assertEqual(f'Instance {UUID}: Domain not found', str(error))

    def test_gone_may_be_well(self):
        opened = self.connection().get()
        with errors.translate_errors(UUID, ignore_missing=True):
            opened.lookupByName('unknown')

    def test_only_that(self):
        opened = self.connection().get()

        def ask():
            with errors.translate_errors(UUID, ignore_missing=True):
                opened.defineXML('<domain/>')

        self.assertRaises(exception.GuestFailed, ask)
