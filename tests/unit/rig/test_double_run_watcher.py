# SPDX-License-Identifier: Apache-2.0
"""What the watcher of real hosts takes for a guest that runs twice."""

from unittest import mock

from tests import base
from tests.fixtures.double_run_watcher import DoubleRunWatcher
from tests.unit.virt.rigs import UUID


class WatcherTest(base.TestCase):
    """What it is told, and what it concludes."""

    def setUp(self):
        super().setUp()
        self.watcher = DoubleRunWatcher(
            mock.Mock(hosts={'a': None, 'b': None})
        )

    def double_runs(self):
        return [
            (one['uuid'], one['hosts']) for one in self.watcher.double_runs
        ]

    def sample(self, *found):
        self.watcher.find_double_runs(list(zip('aba', found, strict=True)))

    def test_running_at_both(self):
        self.sample({UUID: 7}, {UUID: 1}, {UUID: 7})
        self.sample({UUID: 7}, {UUID: 1}, {UUID: 7})
        self.assertEqual([(UUID, ['a', 'b'])], self.double_runs())

    def test_going_from_one_to_the_other(self):
        self.sample({UUID: 7}, {UUID: 1}, {})
        self.sample({}, {UUID: 1}, {UUID: 8})
        # There, back and running anew between two looks.
        self.sample({UUID: 7}, {UUID: 1}, {UUID: 8})
        self.assertEqual([], self.double_runs())

    def test_a_libvirt_that_does_not_answer(self):
        self.sample(None, {UUID: 1}, {UUID: 7})
        self.sample({UUID: 7}, None, {UUID: 7})
        self.sample({UUID: 7}, {UUID: 1}, None)
        self.assertEqual([], self.double_runs())

    def write_console(self, *said):
        for host, process, size in said:
            self.watcher.record_console_size(host, UUID, process, size)

    def test_a_guest_that_speaks_again(self):
        self.write_console(
            ('a', 1, 10), ('a', 1, 20), ('b', 2, 0), ('b', 2, 9)
        )
        self.assertEqual([], self.double_runs())
        self.write_console(('a', 1, 20), ('b', 2, 15))
        self.assertEqual([], self.double_runs())
        self.write_console(('a', 1, 25))
        self.assertEqual([(UUID, ['a', 'b'])], self.double_runs())

    def test_a_guest_that_comes_back(self):
        self.write_console(
            ('a', 1, 10), ('a', 1, 20), ('b', 2, 0), ('b', 2, 9)
        )
        # What it said before stands in the file; the process is another.
        self.write_console(('a', 3, 20), ('a', 3, 25))
        self.assertEqual([], self.double_runs())
