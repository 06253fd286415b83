# SPDX-License-Identifier: Apache-2.0
"""A live migration, looked at while it ends."""

from types import SimpleNamespace

from minova.flows import live_migration
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
