# SPDX-License-Identifier: Apache-2.0
"""The decisions at the end of a live migration."""

from types import SimpleNamespace

from minova import exception
from minova.flows import live_migration
from minova.flows import migration_monitor
from minova.states import PowerState
from minova.virt.driver import Guest
from minova.virt.driver import MigrationStatus
from tests import base


def guest(power):
    return Guest(
        uuid='1', power=power, boot=None, operation=None, generation=None
    )


class LeavingDriver:
    """A host whose guest leaves right after the first question."""

    def __init__(self):
        self._here = True

    def guest(self, uuid):
        here, self._here = self._here, False
        return guest(PowerState.RUNNING) if here else None

    def migration_status(self, uuid):
        here, self._here = self._here, False
        return MigrationStatus('running' if here else 'completed')


class UnderWayTest(base.TestCase):
    """Whether a migration that has started is in progress."""

    def test_guest_leaves_between_two_queries(self):
        ctx = SimpleNamespace(
            driver=LeavingDriver(),
            instance=SimpleNamespace(uuid='1'),
            get_power_state=lambda host: int(PowerState.RUNNING),
        )
        self.assertTrue(live_migration._is_in_progress(ctx, 'b'))

    def context(self, here, state, there):
        """Return a context with these states of the guest on both hosts."""
        found = None if here is None else guest(here)
        return SimpleNamespace(
            driver=SimpleNamespace(
                guest=lambda uuid: found,
                migration_status=lambda uuid: MigrationStatus(state),
            ),
            instance=SimpleNamespace(uuid='1'),
            get_power_state=lambda host: there,
        )

    def test_guest_runs_at_source(self):
        for state, in_progress in (
            ('running', True),
            ('none', False),
            ('failed', False),
            ('cancelled', False),
        ):
            for power in (PowerState.RUNNING, PowerState.PAUSED):
                # The other host is not queried.
                ctx = self.context(power, state, None)
                self.assertIs(
                    in_progress, live_migration._is_in_progress(ctx, 'b')
                )

    def test_guest_off_at_source(self):
        for here in (PowerState.SHUTDOWN, PowerState.CRASHED, None):
            for there in (PowerState.RUNNING, PowerState.SHUTDOWN):
                ctx = self.context(here, 'none', int(there))
                self.assertTrue(live_migration._is_in_progress(ctx, 'b'))
            error = self.assertRaises(
                exception.GuestMigrationFailed,
                live_migration._is_in_progress,
                self.context(here, 'none', None),
                'b',
            )
            self.assertIn('neither runs here nor is it at b', str(error))


class ArrivedTest(base.TestCase):
    """Whether a guest that left has arrived, running or not."""

    def test_guest_at_destination(self):
        for power in (
            PowerState.RUNNING,
            PowerState.SHUTDOWN,
            PowerState.NOSTATE,
        ):
            ctx = SimpleNamespace(
                get_power_state=lambda host, power=power: int(power)
            )
            migration_monitor.require_arrived(ctx, 'b')

    def test_guest_not_at_destination(self):
        ctx = SimpleNamespace(
            get_power_state=lambda host: None,
            instance=SimpleNamespace(uuid='1'),
        )
        error = self.assertRaises(
            exception.GuestMigrationFailed,
            migration_monitor.require_arrived,
            ctx,
            'b',
        )
        self.assertIn('neither runs here nor is it at b', str(error))


class ForcedTest(base.TestCase):
    """Whether a forced completion may have paused the guest."""

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
            ctx = SimpleNamespace(force_requested=forced, is_resumed=resumed)
            self.assertIs(expected, migration_monitor.may_be_forced(ctx))
