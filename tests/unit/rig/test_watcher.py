# SPDX-License-Identifier: Apache-2.0
"""What the watcher of real hosts takes for a guest that runs twice."""

from unittest import mock

from tests import base
from tests.fixtures.watcher import Watcher
from tests.unit.virt.rigs import UUID


class WatcherTest(base.TestCase):
    """What it is told, and what it concludes."""

    def setUp(self):
        super().setUp()
        self.watcher = Watcher(mock.Mock(hosts={'a': None, 'b': None}))

    def seen(self):
        return [(one['uuid'], one['hosts']) for one in self.watcher.seen]

    def look(self, *found):
        self.watcher.judge_looks(list(zip('aba', found, strict=True)))

    def test_running_at_both(self):
        self.look({UUID: 7}, {UUID: 1}, {UUID: 7})
        self.look({UUID: 7}, {UUID: 1}, {UUID: 7})
        self.assertEqual([(UUID, ['a', 'b'])], self.seen())

    def test_going_from_one_to_the_other(self):
        self.look({UUID: 7}, {UUID: 1}, {})
        self.look({}, {UUID: 1}, {UUID: 8})
        # There, back and running anew between two looks.
        self.look({UUID: 7}, {UUID: 1}, {UUID: 8})
        self.assertEqual([], self.seen())

    def test_a_libvirt_that_does_not_answer(self):
        self.look(None, {UUID: 1}, {UUID: 7})
        self.look({UUID: 7}, None, {UUID: 7})
        self.look({UUID: 7}, {UUID: 1}, None)
        self.assertEqual([], self.seen())

    def hear(self, *said):
        for host, process, size in said:
            self.watcher.hear(host, UUID, process, size)

    def test_a_guest_that_speaks_again(self):
        self.hear(('a', 1, 10), ('a', 1, 20), ('b', 2, 0), ('b', 2, 9))
        self.assertEqual([], self.seen())
        self.hear(('a', 1, 20), ('b', 2, 15))
        self.assertEqual([], self.seen())
        self.hear(('a', 1, 25))
        self.assertEqual([(UUID, ['a', 'b'])], self.seen())

    def test_a_guest_that_comes_back(self):
        self.hear(('a', 1, 10), ('a', 1, 20), ('b', 2, 0), ('b', 2, 9))
        # What it said before stands in the file; the process is another.
        self.hear(('a', 3, 20), ('a', 3, 25))
        self.assertEqual([], self.seen())
