# SPDX-License-Identifier: Apache-2.0
"""Running steps: the one place where a host does what it owes.

A step is taken from the conductor, worked on, and its end told; who is to be
woken next is in the answer. One step of an instance runs at a time here (but
for those that run beside others), and a step of a newer operation ends an
older one's. A wake-up for a step that is at work, or that is not there any
more, does nothing.
"""

from collections.abc import Iterator
import contextlib
import dataclasses
from typing import Any

from oslo_log import log as logging

from minova import clock
from minova import exception
from minova import flows
from minova.compute.asking import Asking
from minova.compute.asking import Stopping
from minova.compute.image_cache import ImageCache
from minova.compute.job import Job
from minova.context import Context
from minova.exception import written
from minova.flows.chain import Facts
from minova.flows.chain import HostStep
from minova.objects.step import Answer
from minova.objects.step import Ticket
from minova.rpc.wakes import Waker
from minova.virt.driver import Driver

LOG = logging.getLogger(__name__)

#: Seconds before it is asked again whether an earlier step is over, growing
#: to the second figure.
_EARLIER = (0.05, 5.0)


@dataclasses.dataclass
class _AtWork:
    """A step that this process has in hand."""

    ended: clock.Event
    job: Job | None = None
    ticket: Ticket | None = None


class Runner:
    """Runs the steps of one host."""

    def __init__(
        self,
        host: str,
        driver: Driver,
        images: ImageCache,
        asking: Asking,
        waker: Waker,
        size: int,
    ) -> None:
        self._host = host
        self._driver = driver
        self._images = images
        self._asking = asking
        self._waker = waker
        self._pool = clock.pool(f'steps-{host}', size)
        self._guard = clock.lock()
        self._at_work: dict[str, _AtWork] = {}
        self._locks: dict[str, tuple[clock.Lock, int]] = {}
        self._leaving = clock.event()
        #: What this start was woken for before it had registered; then None.
        self._early: dict[str, Context] | None = {}

    # -- being asked ---------------------------------------------------------

    def wake(self, context: Context, step: str) -> None:
        """Run a step soon, unless it is at work or the service ends."""
        if self._leaving.is_set():
            return
        with self._guard:
            if self._early is not None:
                self._early[step] = context
                return
            if step in self._at_work:
                return
        self._pool.submit(self._run_quietly, context, step)

    def begin(self) -> None:
        """Take steps from now on: this start has registered.

        Before, it would be refused each, as not the newest one.
        """
        with self._guard:
            early, self._early = self._early or {}, None
        for step, context in early.items():
            self.wake(context, step)

    def run(self, context: Context, step: str) -> Facts:
        """Run a nested step and return its result; raises its error.

        Raises Unavailable when this start has not registered yet.
        """
        if self._early is not None:
            raise exception.Unavailable(
                what=f'Compute {self._host}', reason='it is about to start'
            )
        while True:
            with self._alone(step) as (mine, other):
                if mine:
                    return self._run(context, step)
            other.wait()

    def cancel(self, instance_uuid: str, method: str) -> None:
        """Let a step of an instance that is at work stop."""
        for job in self._jobs_of(instance_uuid, method):
            job.stop(exception.Cancelled(operation=job.kind))

    def force(self, instance_uuid: str, method: str) -> bool:
        """Let a step of an instance end soon; False: it is not at work."""
        jobs = self._jobs_of(instance_uuid, method)
        for job in jobs:
            job.forced = True
        return bool(jobs)

    @contextlib.contextmanager
    def between_steps(self, instance_uuid: str) -> Iterator[None]:
        """Have a guest that no step is at work on; Stale when one is."""
        at_work = self._jobs_of(instance_uuid)
        if at_work:
            raise exception.Stale(
                what=f'Guest {instance_uuid}', holder=at_work[0].kind
            )
        with self._instance(instance_uuid):
            yield

    def stop(self) -> None:
        """Finish what is quick, leave the rest owed, take no more."""
        self._leaving.set()
        self._asking.stop()
        self._pool.shutdown()

    # -- one at a time -------------------------------------------------------

    @contextlib.contextmanager
    def _alone(self, step: str) -> Iterator[tuple[bool, clock.Event]]:
        """Have a step to oneself: tell if so, and what to wait for if not."""
        with self._guard:
            found = self._at_work.get(step)
            mine = found is None
            if found is None:
                found = self._at_work[step] = _AtWork(clock.event())
        try:
            yield mine, found.ended
        finally:
            if mine:
                with self._guard:
                    del self._at_work[step]
                found.ended.set()

    @contextlib.contextmanager
    def _instance(self, uuid: str) -> Iterator[None]:
        """Have an instance's guest to oneself."""
        with self._guard:
            lock, users = self._locks.get(uuid, (clock.lock(), 0))
            self._locks[uuid] = lock, users + 1
        try:
            with lock:
                yield
        finally:
            with self._guard:
                lock, users = self._locks[uuid]
                self._locks[uuid] = lock, users - 1
                if users == 1:
                    del self._locks[uuid]

    def _jobs_of(
        self, instance_uuid: str, method: str | None = None
    ) -> list[Job]:
        with self._guard:
            return [
                at_work.job
                for at_work in self._at_work.values()
                if at_work.job is not None
                and at_work.ticket is not None
                and at_work.job.instance.uuid == instance_uuid
                and method in (None, at_work.ticket.method)
            ]

    # -- running -------------------------------------------------------------

    def _run_quietly(self, context: Context, step: str) -> None:
        try:
            with self._alone(step) as (mine, _):
                if mine:
                    self._run(context, step)
        except (Stopping, exception.MinovaException) as error:
            # What it means was logged where the step was at work; one that
            # was never taken is found again by asking what is owed.
            LOG.debug('Step %s: %s', step, error)
        except Exception:
            LOG.exception('Step %s broke; it is taken up again', step)

    def _run(self, context: Context, step: str) -> Facts:
        ticket = self._asking.take(context, step)
        if ticket.verdict == 'first':
            _tell(ticket, 'first does what is owed to an earlier operation')
        pause, longest = _EARLIER
        while ticket.verdict == 'first':
            for earlier in ticket.first:
                self._run_quietly(context, earlier)
            if self._leaving.wait(pause):
                raise Stopping(step)
            pause = min(pause * 2, longest)
            ticket = self._asking.take(context, step)
        if ticket.verdict == 'done':
            return ticket.result or {}
        if ticket.verdict in ('failed', 'undone'):
            raise written.decode(ticket.error or {})
        if ticket.verdict == 'later':
            raise exception.Unavailable(
                what=ticket.method, reason='it is tried again later'
            )
        return self._work(ticket)

    def _work(self, ticket: Ticket) -> Facts:
        step = flows.step_of(ticket.kind, ticket.method)
        assert isinstance(step, HostStep)
        job = Job(
            ticket,
            self._host,
            self._driver,
            self._images,
            self._asking,
            self.cancel,
            self.force,
            self._leaving,
        )
        with contextlib.closing(job):
            if step.beside:
                return self._work_alone(step, job, ticket)
            self._end_older(ticket)
            with self._instance(ticket.instance.uuid):
                self._note(ticket, job)
                return self._work_alone(step, job, ticket)

    def _note(self, ticket: Ticket, job: Job) -> None:
        with self._guard:
            self._at_work[ticket.step].job = job
            self._at_work[ticket.step].ticket = ticket

    def _end_older(self, ticket: Ticket) -> None:
        """Tell the work of an older operation that it has been taken over."""
        for job in self._jobs_of(ticket.instance.uuid):
            if not job.is_mine(ticket.generation):
                job.stop(
                    exception.Stale(
                        what=f'Instance {ticket.instance.uuid}',
                        holder=job.kind,
                    )
                )

    def _work_alone(self, step: HostStep, job: Job, ticket: Ticket) -> Facts:
        _tell(ticket, 'begins', logging.DEBUG)
        try:
            result = step.work(job)
            answer = self._asking.finish(job.context, ticket.step, result)
        except Stopping:
            _tell(ticket, 'is left for the next start of this host')
            raise
        except exception.Stale as error:
            _tell(ticket, f'is cut off here: {error}')
            raise
        except Exception as error:
            # An end that the conductor cannot write is a failure too: the
            # step is then taken back like any other.
            if not isinstance(error, exception.MinovaException):
                LOG.exception('%s broke', _name(ticket))
            self._tell_failure(ticket, job, error)
            raise
        self._go_on(job.context, answer)
        return result

    def _tell_failure(
        self, ticket: Ticket, job: Job, error: Exception
    ) -> None:
        _tell(ticket, f'failed here: {error}', logging.WARNING)
        answer = self._asking.fail(
            job.context, ticket.step, error, self._observe(ticket)
        )
        self._go_on(job.context, answer)

    def _observe(self, ticket: Ticket) -> dict[str, Any]:
        """Return what the hypervisor says of the guest after a failure."""
        try:
            guest = self._driver.guest(ticket.instance.uuid)
        except exception.MinovaException as error:
            LOG.info('The state of the guest is not known: %s', error)
            return {}
        return {'power_state': int(guest.power)} if guest else {}

    def _go_on(self, context: Context, answer: Answer) -> None:
        abroad = []
        for wake in answer.wakes:
            if wake.host == self._host:
                self.wake(context, wake.step)
            else:
                abroad.append(wake)
        self._waker.wake(context, abroad)


def _name(ticket: Ticket) -> str:
    """Return how the conductor's journal names it, so that both are found."""
    whole = f'{ticket.kind} {ticket.operation} of {ticket.instance.uuid}'
    return f'{whole}: {ticket.method}'


def _tell(ticket: Ticket, text: str, level: int = logging.INFO) -> None:
    LOG.log(level, '%s %s', _name(ticket), text)
