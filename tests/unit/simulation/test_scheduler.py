# SPDX-License-Identifier: Apache-2.0
"""The scheduler: one task at a time, in the order of the seed."""

from minova import clock
from minova.simulation.clock import SimulatedClock
from minova.simulation.scheduler import Deadlock
from minova.simulation.scheduler import Process
from minova.simulation.scheduler import ProcessKilled
from minova.simulation.scheduler import Scheduler
from tests import base


class SchedulerTest(base.TestCase):
    """Tasks, waits and kills."""

    def setUp(self):
        super().setUp()
        self.addCleanup(clock.install, clock.install(clock.Clock()))
        self.processes = []

    def begin(self, seed=1):
        scheduler = Scheduler(seed)
        clock.install(SimulatedClock(scheduler))
        self.addCleanup(self.end, scheduler, self.processes)
        self.processes = []
        return scheduler

    def end(self, scheduler, processes):
        for process in processes:
            scheduler.kill(process)
        scheduler.end_killed()

    def process(self, name='one'):
        made = Process(name)
        self.processes.append(made)
        return made

    def order(self, seed):
        """Return the order in which six tasks pass three points each."""
        scheduler = self.begin(seed)
        process, seen = self.process(), []

        def work(name):
            for number in range(3):
                seen.append((name, number))
                scheduler.maybe_switch()

        tasks = [
            scheduler.spawn(name, process, lambda name=name: work(name))
            for name in 'abcdef'
        ]
        for task in tasks:
            scheduler.join(task)
        self.assertEqual(18, len(seen))
        return seen

    def test_seed_determines_the_order(self):
        first = self.order(7)
        self.assertEqual(first, self.order(7))
        self.assertNotEqual(first, self.order(8))
        self.assertNotEqual(sorted(first), first)

    def test_time_advances_when_all_tasks_wait(self):
        scheduler = self.begin()
        process, seen = self.process(), []

        def sleeper(seconds):
            clock.sleep(seconds)
            seen.append((seconds, scheduler.now))

        for seconds in (30.0, 10.0, 86400.0):
            scheduler.spawn('s', process, lambda s=seconds: sleeper(s))
        began = clock.Clock().monotonic()
        scheduler.wait(100000.0)
        self.assertLess(clock.Clock().monotonic() - began, 5)
        self.assertEqual(
            [(10.0, 10.0), (30.0, 30.0), (86400.0, 86400.0)], seen
        )
        self.assertEqual(100000.0, clock.monotonic())

    def test_event_ends_a_wait(self):
        scheduler = self.begin()
        event, seen = clock.event(), []
        process = self.process()

        def waiter():
            seen.append((event.wait(50), scheduler.now))
            event.clear()
            seen.append((event.wait(5), scheduler.now))

        scheduler.spawn('w', process, waiter)
        scheduler.wait(20.0)
        event.set()
        scheduler.wait(100.0)
        self.assertEqual([(True, 20.0), (False, 25.0)], seen)

    def test_lock_is_exclusive(self):
        scheduler = self.begin()
        lock, inside, most = clock.lock(), [], []
        process = self.process()

        def work():
            with lock:
                inside.append(1)
                most.append(len(inside))
                clock.sleep(1)
                inside.pop()

        tasks = [scheduler.spawn('l', process, work) for _ in range(5)]
        for task in tasks:
            scheduler.join(task)
        self.assertEqual([1] * 5, most)
        self.assertEqual(5.0, scheduler.now)
        self.assertTrue(lock.acquire(timeout=1))
        self.assertFalse(lock.acquire(blocking=False))
        self.assertFalse(lock.acquire(timeout=2))
        self.assertEqual(7.0, scheduler.now)

    def test_pool_size(self):
        scheduler = self.begin()
        pool = clock.pool('p', 2)
        for _ in range(6):
            pool.submit(clock.sleep, 10)
        pool.shutdown()
        self.assertEqual(30.0, scheduler.now)
        self.assertRaises(RuntimeError, pool.submit, clock.sleep, 1)

    def test_killed_process_stops(self):
        scheduler = self.begin()
        seen = []
        process = self.process()

        def work():
            try:
                clock.sleep(10)
                seen.append('woke')
            except Exception:
                seen.append('caught')
            finally:
                # The clean-up of a killed task must have no effect.
                self.assertRaises(ProcessKilled, clock.sleep, 1)

        task = scheduler.spawn('k', process, work)
        other = scheduler.spawn('never begun', process, work)
        scheduler.wait(1.0)
        scheduler.kill(process)
        scheduler.wait(100.0)
        self.assertEqual([], seen)
        self.assertTrue(task.is_ended and other.is_ended)
        self.assertEqual([], scheduler.failed_tasks)

    def test_paused_process_resumes_late(self):
        scheduler = self.begin()
        process, seen = self.process(), []

        def work():
            clock.sleep(5)
            seen.append(scheduler.now)

        scheduler.spawn('p', process, work)
        scheduler.wait(1.0)
        process.paused = True
        scheduler.wait(99.0)
        self.assertEqual([], seen)
        process.paused = False
        scheduler.wait(1.0)
        self.assertEqual([100.0], seen)

    def test_result_of_task_is_kept(self):
        scheduler = self.begin()

        def work():
            raise ValueError('no')

        scheduler.spawn('b', self.process(), work)
        scheduler.wait(1.0)
        ((task, error),) = scheduler.failed_tasks
        self.assertEqual(('b', 'no'), (task.name, str(error)))

    def test_deadlock_is_detected(self):
        scheduler = self.begin()
        event = clock.event()
        scheduler.spawn('e', self.process(), event.wait)
        self.assertRaises(Deadlock, scheduler.wait, None)

    def test_clock_skew_is_per_machine(self):
        scheduler = self.begin()
        wrong, right, seen = self.process('w'), self.process('r'), {}
        wrong.skew = -3600.0

        def observe():
            seen[scheduler.current.process.name] = clock.now()

        scheduler.spawn('t', wrong, observe)
        scheduler.spawn('t', right, observe)
        scheduler.wait(1.0)
        self.assertEqual(3600, (seen['r'] - seen['w']).total_seconds())
