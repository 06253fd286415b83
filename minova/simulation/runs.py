# SPDX-License-Identifier: Apache-2.0
"""One run: a scenario, a seed, faults, and the checks of the invariants."""

import collections
from collections.abc import Iterable
from collections.abc import Iterator
import dataclasses
import functools

import orjson

from minova import clock
from minova import exception
from minova.audit.examine import examine
from minova.conf import CONF
from minova.db.queries import audit_snapshot
from minova.db.queries.networks import Network
from minova.engine import operator_actions
from minova.exception import serialization
from minova.images import Image
from minova.network import definition
from minova.rpc.bus import Json
from minova.simulation import cloud as clouds
from minova.simulation import guest_effects
from minova.simulation import image_check
from minova.simulation import invariants
from minova.simulation import pinned_guests
from minova.simulation import shelve_check
from minova.simulation import usage_check
from minova.simulation.cloud import Cloud
from minova.simulation.database import Storage
from minova.simulation.faults import Fault
from minova.simulation.faults import Point
from minova.simulation.faults import RECOVERABLE
from minova.simulation.faults import RECOVERABLE_SECONDS
from minova.simulation.forks import Faults
from minova.simulation.forks import Forks
from minova.simulation.network import PublishedNotification
from minova.simulation.scenarios import NEEDS_POWER_SYNC
from minova.simulation.scenarios import NEEDS_SECRET
from minova.simulation.scenarios import PREPARATIONS
from minova.simulation.scenarios import Scenario
from minova.simulation.scenarios import SCENARIOS
from minova.simulation.scheduler import Deadlock
from minova.simulation.user import User
from minova.virt.fake.driver import FakeDriver
from minova.virt.record_store import Record

#: Seconds before the operator abandons the operations of a lost host.
_ABANDON_DELAY = 120.0
#: The seed of prepared clouds; no scenario has it.
_PREPARE_SEED = -1


@dataclasses.dataclass
class Run:
    """The result of a run; ``str`` is the command that repeats it."""

    scenario: str
    seed: int
    faults: tuple[Fault, ...]
    points: list[Point] = dataclasses.field(default_factory=list)
    violations: list[str] = dataclasses.field(default_factory=list)
    #: Violations that a power synchronization has repaired.
    repaired_late: list[str] = dataclasses.field(default_factory=list)
    #: The outcomes of operations, as (kind, state).
    outcomes: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    #: The kinds of operations that ended with a refusal.
    refused_kinds: list[str] = dataclasses.field(default_factory=list)
    #: The number of requests that the api refused with 4xx.
    rejected_requests: int = 0
    #: The duration in virtual seconds.
    seconds: float = 0.0
    log_lines: list[tuple[float, str, str]] = dataclasses.field(
        default_factory=list
    )

    def __str__(self) -> str:
        faults = ''.join(f' --fault "{fault}"' for fault in self.faults)
        return (
            f'minova-simulate replay {self.scenario} --seed {self.seed}'
            f'{faults}'
        )


#: The kinds that no user requests: another order may need none.
_INTERNAL = ('discard_snapshot', 'cleanup_stale_guest')


@dataclasses.dataclass(frozen=True)
class _PreparedCloud:
    """A settled cloud from which a run begins."""

    now: float
    database: bytes
    records: dict[str, Record]
    server: str
    notifications: tuple[PublishedNotification, ...]
    images: dict[str, Image]


class Simulator:
    """Makes runs, one at a time."""

    def __init__(self) -> None:
        clouds.register_options()
        self._storage = Storage(CONF)
        self._prepared: dict[str, _PreparedCloud] = {}
        self._baselines: dict[tuple[str, int], Run] = {}

    def run(
        self,
        scenario: Scenario,
        seed: int = 0,
        faults: Iterable[Fault] = (),
        verbose: bool = False,
    ) -> Run:
        """Run a scenario with faults and check the invariants."""
        run = Run(scenario.name, seed, tuple(faults))
        return self._run(run, Forks(()), verbose)

    def run_each(
        self, scenario: Scenario, seed: int, plans: Iterable[Faults]
    ) -> list[Run]:
        """Make a run for each of several plans, in their order.

        A run equals that of ``run``, but of its points it has the last only.
        Raises ChildError for a run that has no result.
        """
        plans = list(plans)
        forks = Forks[Run](plans)
        try:
            run = self._run(Run(scenario.name, seed, ()), forks)
            run.points = run.points[-1:]
        except BaseException:
            if forks.is_child:
                forks.fail_child()
            raise
        if forks.is_child:
            forks.end_child(run)
        if forks.errors:
            raise forks.errors[0]
        return [
            # A fault whose point is not reached has no effect.
            forks.results.get(faults)
            or dataclasses.replace(run, faults=faults)
            for faults in plans
        ]

    def _run(self, run: Run, forks: Forks[Run], verbose: bool = False) -> Run:
        clouds.configure()
        prepared = self._prepare(SCENARIOS[run.scenario].starts_from)

        def fork(number: int) -> Faults:
            faults = forks.reach(number)
            if faults:
                self._storage.keep_after_fork()
                run.faults += faults
            return faults

        with Cloud(self._storage, run.seed, verbose) as cloud:
            cloud.points.on_reach = fork
            self._restore(cloud, prepared)
            try:
                self._play(cloud, run, prepared.server)
            except Deadlock as error:
                run.violations.append(f'invariant 3: {error}')
            run.points = cloud.points.passed
            run.log_lines = cloud.log_lines
            run.seconds = cloud.scheduler.now - prepared.now
        return run

    def run_idle(self, seconds: float, seed: int = 0) -> list[str]:
        """Run a cloud with one server and no requests.

        Returns the violations of invariants.
        """
        clouds.configure()
        prepared = self._prepare('active')
        with Cloud(self._storage, seed) as cloud:
            self._restore(cloud, prepared)
            watch = invariants.CommitChecker(self._storage.raw, cloud.world)
            cloud.database.on_commit = watch
            cloud.scheduler.wait(seconds)
            found = self._check_invariants(cloud) + self._audit(cloud)
            return found + watch.violations + _find_internal_errors(cloud)

    def baseline(self, scenario: Scenario, seed: int) -> Run:
        """Return the run without faults, which is cached."""
        key = (scenario.name, seed)
        if key not in self._baselines:
            self._baselines[key] = self.run(scenario, seed)
        return self._baselines[key]

    def add_baseline(self, run: Run) -> None:
        """Add a run without faults that another process has made.

        It may lack its points, for runs only.
        """
        self._baselines.setdefault((run.scenario, run.seed), run)

    def diff_from_baseline(self, run: Run) -> list[str]:
        """Return the actions that succeed without the faults only.

        Empty if a fault of the run may make an action fail.
        """
        if any(
            fault.kind not in RECOVERABLE
            or fault.seconds > RECOVERABLE_SECONDS
            for fault in run.faults
        ):
            return []
        if run.repaired_late and _must_leave_nothing(run):
            return [f'left to power synchronization: {run.repaired_late}']
        usual = self.baseline(SCENARIOS[run.scenario], run.seed)
        if run.rejected_requests > usual.rejected_requests:
            # A request was too late for the state of its server.
            return []
        missing = collections.Counter(usual.outcomes) - collections.Counter(
            run.outcomes
        )
        return [
            f'{kind} did not succeed after a recoverable fault: {run.outcomes}'
            for kind, state in missing
            if state == 'done'
            and kind not in run.refused_kinds
            and kind not in NEEDS_SECRET
            # A delete may come before the end of what recovery delays.
            and (kind, 'preempted') not in run.outcomes
            # A snapshot may end before the delete that preempts it otherwise.
            and kind != 'discard_snapshot'
        ]

    def _restore(self, cloud: Cloud, prepared: _PreparedCloud) -> None:
        self._storage.restore(prepared.database)
        cloud.world.restore(prepared.records)
        cloud.images.records = dict(prepared.images)
        cloud.scheduler.now = prepared.now
        cloud.network.published = list(prepared.notifications)
        cloud.start()

    def _play(self, cloud: Cloud, run: Run, server: str) -> None:
        user = User(cloud)
        user.server = server
        watch = invariants.CommitChecker(self._storage.raw, cloud.world)
        cloud.database.on_commit = watch
        cloud.network.inspector = fence = invariants.FenceChecker(
            self._storage.raw
        )
        cloud.points.schedule(*run.faults)
        cloud.points.is_counting = True
        SCENARIOS[run.scenario].run(user)
        run.violations += self._settle_and_check(cloud, run)
        rows = self._storage.raw.execute(
            'SELECT kind, state, error FROM operations ORDER BY started_at'
        ).fetchall()
        run.outcomes = [(kind, state) for kind, state, _ in rows]
        run.refused_kinds = [
            kind for kind, _, error in rows if _is_refusal(error)
        ]
        run.rejected_requests = cloud.rejected_requests
        if not run.violations and not cloud.lost_hosts:
            run.violations += self._audit(cloud)
        if not run.violations:
            run.violations += self._force_delete_all(cloud, run, user)
        run.violations += watch.violations + fence.violations
        run.violations += _find_internal_errors(cloud)

    def _settle_and_check(self, cloud: Cloud, run: Run) -> list[str]:
        """Wait until all operations end, then check the invariants."""
        cloud.settle()
        if cloud.lost_hosts:
            # Artifacts on a lost host remain until the operator deletes it.
            cloud.points.is_counting = False
            return []
        found, run.repaired_late = self._check_until_power_sync(cloud)
        cloud.points.is_counting = False
        return found

    def _check_until_power_sync(
        self, cloud: Cloud
    ) -> tuple[list[str], list[str]]:
        """Return the violations, and those that power synchronization ends."""
        found = self._check_invariants(cloud)
        if not found:
            return [], []
        cloud.scheduler.wait(CONF.compute.sync_power_state_interval * 1.2)
        remaining = self._check_invariants(cloud)
        return (remaining, []) if remaining else ([], found)

    def _abandon_lost(self, cloud: Cloud) -> None:
        """Abandon all running operations, as an operator of a lost host."""
        cloud.settle()
        # The steps of the other hosts can end first.
        cloud.scheduler.wait(_ABANDON_DELAY)
        for (number,) in self._storage.raw.execute(
            "SELECT id FROM operations WHERE state = 'running'"
        ).fetchall():
            cloud.database.write(
                functools.partial(
                    operator_actions.abandon,
                    operation_id=number,
                    reason='the host is lost',
                    force=True,
                    publisher='operator',
                )
            )
        cloud.settle()

    def _delete_lost_services(self, cloud: Cloud, user: User) -> Iterator[str]:
        """Delete the services of lost hosts."""
        listed = user.request('GET', '/os-services')
        assert listed is not None
        for service in listed.get('services'):
            if service['host'] in cloud.lost_hosts:
                path = f'/os-services/{service["id"]}'
                user.request('PUT', path, {'forced_down': True})
                reply = user.request('DELETE', path)
                if reply is None or reply.status != 204:
                    yield f'{service["host"]} cannot be deleted: {reply}'

    def _check_invariants(self, cloud: Cloud) -> list[str]:
        found = [] if cloud.settle() else list(self._explain_unsettled(cloud))
        raw = self._storage.raw
        found += invariants.check_rows(raw, cloud.lost_hosts)
        found += invariants.check_addresses(raw)
        found += invariants.check_accepted(raw, cloud.accepted_requests)
        found += invariants.check_host_contents(
            raw, cloud.world, cloud.lost_hosts
        )
        found += pinned_guests.check(raw, cloud.world, cloud.lost_hosts)
        found += guest_effects.check_guest_effects(
            raw, cloud.world, cloud.lost_hosts
        )
        found += image_check.check(
            raw, cloud.images, cloud.world, cloud.lost_hosts
        )
        found += shelve_check.check(
            raw, cloud.images.records, cloud.world, cloud.lost_hosts
        )
        found += invariants.check_notifications(cloud.network.published, raw)
        if CONF.notifications.instance_usage_audit:
            found += usage_check.check_exists(
                cloud.network.published, cloud.scheduler.now
            )
        return found

    def _audit(self, cloud: Cloud) -> list[str]:
        """Return the findings of the audit, which must have none either."""
        rows = cloud.database.read(audit_snapshot.read_snapshot)
        artifacts = {
            host: FakeDriver(host, cloud.world).list_host_contents()
            for host in clouds.HOSTS
            if host not in cloud.lost_hosts
        }
        return [
            f'audit: {finding}'
            for finding in examine(rows, artifacts, clock.now())
            if finding.is_fault
        ]

    def _explain_unsettled(self, cloud: Cloud) -> Iterator[str]:
        yield f'invariant 3: not settled after {cloud.scheduler.now:.0f} s'
        for name, machine in cloud.machines.items():
            if not machine.is_ready and not machine.is_lost:
                yield f'invariant 3: service {name} is not ready'
        unpublished = cloud.count_unpublished()
        if unpublished:
            yield f'invariant 6: {unpublished} notifications are unpublished'

    def _force_delete_all(
        self, cloud: Cloud, run: Run, user: User
    ) -> Iterator[str]:
        """Force-delete all servers and check that nothing is left."""
        if cloud.lost_hosts:
            self._abandon_lost(cloud)
        for (uuid,) in self._storage.raw.execute(
            "SELECT uuid FROM instances WHERE vm_state != 'deleted'"
        ).fetchall():
            user.server = uuid
            reply = user.act('forceDelete')
            if reply is None or reply.status != 202:
                yield f'invariant 10: {uuid} cannot be force-deleted: {reply}'
        if cloud.lost_hosts:
            self._abandon_lost(cloud)
            yield from self._delete_lost_services(cloud, user)
        found, repaired = self._check_until_power_sync(cloud)
        yield from found
        if not _resumes_late(run):
            yield from repaired
        for uuid, vm_state in self._storage.raw.execute(
            "SELECT uuid, vm_state FROM instances WHERE vm_state != 'deleted'"
        ):
            yield f'invariant 10: {uuid} is {vm_state} after a force-delete'

    # -- prepared clouds -----------------------------------------------------

    def _prepare(self, name: str) -> _PreparedCloud:
        if name not in self._prepared:
            with Cloud(self._storage, _PREPARE_SEED) as cloud:
                self._storage.restore(self._storage.empty_snapshot)
                cloud.start()
                definition.create(cloud.database, _network())
                user = User(cloud)
                for flavor, ram in (('small', 512), ('big', 1024)):
                    user.request(
                        'POST', '/flavors', {'flavor': _flavor(flavor, ram)}
                    )
                PREPARATIONS[name](user)
                if not cloud.settle() or _find_internal_errors(cloud):
                    raise AssertionError(
                        f'the cloud {name} cannot be prepared: '
                        f'{_find_internal_errors(cloud)[:3]}'
                    )
                self._prepared[name] = _PreparedCloud(
                    cloud.scheduler.now,
                    self._storage.snapshot(),
                    cloud.world.snapshot(),
                    user.server,
                    tuple(cloud.network.published),
                    dict(cloud.images.records),
                )
        return self._prepared[name]


def _is_refusal(error: str | None) -> bool:
    return error is not None and isinstance(
        serialization.decode(orjson.loads(error)), exception.Refused
    )


def _must_leave_nothing(run: Run) -> bool:
    """Tell whether ended operations must leave nothing for a later sync.

    Some scenarios begin with a difference, whose report may be lost.
    """
    return not _resumes_late(run) and run.scenario not in NEEDS_POWER_SYNC


def _resumes_late(run: Run) -> bool:
    """Tell whether a paused process may finish a call after the operation."""
    return any(
        fault.kind in ('stale_process', 'pause') for fault in run.faults
    )


def _flavor(name: str, ram: int) -> Json:
    return {'name': name, 'id': name, 'ram': ram, 'vcpus': 1, 'disk': 1}


def _network() -> Network:
    """Return the one network, which every server uses."""
    return definition.define('private', cidr='10.0.0.0/24', bridge='br0')


def _find_internal_errors(cloud: Cloud) -> list[str]:
    """Return the double runs, the tracebacks and the failed tasks."""
    return [
        *(f'invariant 1: {double}' for double in cloud.world.double_runs),
        *(f'internal error: {text}' for text in cloud.tracebacks),
        *(
            f'internal error: {task.process.name} {task.name}: {error!r}'
            for task, error in cloud.scheduler.failed_tasks
        ),
    ]
