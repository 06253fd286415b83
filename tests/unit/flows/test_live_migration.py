# SPDX-License-Identifier: Apache-2.0
"""A live migration, looked at while it ends."""

from types import SimpleNamespace

from minova import exception
from minova.flows import live_migration
from minova.flows import watching
from minova.states import Power
from minova.virt.driver import Migration
from tests import base


class LeavingDriver:
    """A host whose guest leaves right after the first question."""

    def __init__(self):
        self._here = True

    def guest(self, uuid):
        here, self._here = self._here, False
        return SimpleNamespace(power=Power.RUNNING) if here else None

    def migration(self, uuid):
        here, self._here = self._here, False
        return Migration('running' if here else 'completed')


class UnderWayTest(base.TestCase):
    """Whether a move that was begun goes on."""

    def test_a_guest_that_left_between_two_questions_seemed_not_to_move(self):
        job = SimpleNamespace(
            driver=LeavingDriver(),
            instance=SimpleNamespace(uuid='1'),
            probe=lambda host: int(Power.RUNNING),
        )
        self.assertTrue(live_migration._is_under_way(job, 'b'))

    def job(self, here, state, there):
        """Return a job whose guest is as told at either host."""
        guest = None if here is None else SimpleNamespace(power=here)
        return SimpleNamespace(
            driver=SimpleNamespace(
                guest=lambda uuid: guest,
                migration=lambda uuid: Migration(state),
            ),
            instance=SimpleNamespace(uuid='1'),
            probe=lambda host: there,
        )

    def test_one_that_is_on_here(self):
        for state, moves in (
            ('running', True),
            ('none', False),
            ('failed', False),
            ('cancelled', False),
        ):
            for power in (Power.RUNNING, Power.PAUSED):
                # Nobody need ask the other host.
                job = self.job(power, state, None)
                self.assertIs(moves, live_migration._is_under_way(job, 'b'))

    def test_one_that_is_off_here_is_there_or_lost(self):
        for here in (Power.SHUTDOWN, Power.CRASHED, None):
            for there in (Power.RUNNING, Power.SHUTDOWN):
                job = self.job(here, 'none', int(there))
                self.assertTrue(live_migration._is_under_way(job, 'b'))
            error = self.assertRaises(
                exception.GuestMigrationFailed,
                live_migration._is_under_way,
                self.job(here, 'none', None),
                'b',
            )
            self.assertIn('neither runs here nor is it at b', str(error))


class ArrivedTest(base.TestCase):
    """Whether a guest that left has arrived, running or not."""

    def test_it_is_there(self):
        for power in (Power.RUNNING, Power.SHUTDOWN, Power.NOSTATE):
            job = SimpleNamespace(probe=lambda host, power=power: int(power))
            watching.require_arrived(job, 'b')

    def test_it_is_not(self):
        job = SimpleNamespace(
            probe=lambda host: None, instance=SimpleNamespace(uuid='1')
        )
        error = self.assertRaises(
            exception.GuestMigrationFailed, watching.require_arrived, job, 'b'
        )
        self.assertIn('neither runs here nor is it at b', str(error))


class ForcedTest(base.TestCase):
    """Whether a guest that is paused may have been paused to be moved."""

    def test_by_a_user_or_by_the_configuration_before_a_restart(self):
        for forced, resumed, timeout, action, expected in (
            (True, False, 0, 'abort', True),
            (False, True, 0, 'force_complete', False),
            (False, True, 9, 'abort', False),
            (False, True, 9, 'force_complete', True),
            (False, False, 9, 'force_complete', False),
        ):
            self.config(
                group='compute',
                live_migration_timeout=timeout,
                live_migration_timeout_action=action,
            )
            job = SimpleNamespace(forced=forced, resumed=resumed)
            self.assertIs(expected, watching.may_be_forced(job))
