# SPDX-License-Identifier: Apache-2.0
"""One run: a scenario, a seed, some faults, and whether the laws held."""

import collections
from collections.abc import Iterable
from collections.abc import Iterator
import dataclasses
import functools
from typing import Any

import orjson

from minova import clock
from minova import exception
from minova.audit.examine import examine
from minova.conf import CONF
from minova.db import census
from minova.db.networks import Network
from minova.exception import written
from minova.network import definition
from minova.operations import intervene
from minova.simulation import cloud as clouds
from minova.simulation import laws
from minova.simulation.cloud import Cloud
from minova.simulation.database import Storage
from minova.simulation.faults import Fault
from minova.simulation.faults import HARMLESS
from minova.simulation.faults import HARMLESS_SECONDS
from minova.simulation.faults import Point
from minova.simulation.network import Told
from minova.simulation.scenarios import BY_COMPARING
from minova.simulation.scenarios import PREPARED
from minova.simulation.scenarios import Scenario
from minova.simulation.scenarios import SCENARIOS
from minova.simulation.scenarios import User
from minova.simulation.scheduler import Stuck
from minova.virt.fake.driver import FakeDriver

#: Seconds before an operator gives up a host that is lost.
_PATIENCE = 120.0
#: The seed of what is prepared; scenarios have others.
_PREPARING = -1


@dataclasses.dataclass
class Run:
    """What came of a run; ``str`` is the command that repeats it."""

    scenario: str
    seed: int
    faults: tuple[Fault, ...]
    points: list[Point] = dataclasses.field(default_factory=list)
    violations: list[str] = dataclasses.field(default_factory=list)
    #: What was wrong until hypervisors and rows were compared.
    mended: list[str] = dataclasses.field(default_factory=list)
    #: How operations ended, as (kind, state).
    ended: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    #: Those that were refused, as a host that is asked is not there.
    refused: list[str] = dataclasses.field(default_factory=list)
    #: How many requests the api refused with 4xx.
    turned_down: int = 0
    #: Virtual seconds that it took.
    seconds: float = 0.0
    said: list[tuple[float, str, str]] = dataclasses.field(
        default_factory=list
    )

    def __str__(self) -> str:
        faults = ''.join(f' --fault "{fault}"' for fault in self.faults)
        return (
            f'minova-simulate replay {self.scenario} --seed {self.seed}'
            f'{faults}'
        )


@dataclasses.dataclass(frozen=True)
class _Prepared:
    """A quiet cloud, to begin from."""

    now: float
    content: bytes
    records: dict[str, Any]
    server: str
    told: tuple[Told, ...]


class Rig:
    """Makes runs, one after the other."""

    def __init__(self) -> None:
        clouds.know_options()
        self._storage = Storage(CONF)
        self._prepared: dict[str, _Prepared] = {}
        self._usual: dict[tuple[str, int], Run] = {}

    def run(
        self,
        scenario: Scenario,
        seed: int = 0,
        faults: Iterable[Fault] = (),
        verbose: bool = False,
    ) -> Run:
        """Run a scenario with faults; see to it that the laws hold."""
        clouds.configure()
        prepared = self._prepare(scenario.begins)
        run = Run(scenario.name, seed, tuple(faults))
        with Cloud(self._storage, seed, verbose) as cloud:
            self._begin_from(cloud, prepared)
            try:
                self._play(cloud, run, prepared.server)
            except Stuck as error:
                run.violations.append(f'law 3: {error}')
            run.points = cloud.points.passed
            run.said = cloud.said
            run.seconds = cloud.scheduler.now - prepared.now
        return run

    def idle(self, seconds: float, seed: int = 0) -> list[str]:
        """Let a cloud with one server do what it does by itself.

        Returns which laws were broken, of any part of its periodic tasks.
        """
        clouds.configure()
        prepared = self._prepare('active')
        with Cloud(self._storage, seed) as cloud:
            self._begin_from(cloud, prepared)
            watch = laws.Watch(self._storage.raw)
            cloud.database.watch = watch
            cloud.scheduler.wait(seconds)
            found = self._judge(cloud) + self._audit(cloud)
            return found + watch.violations + _broken(cloud)

    def usual(self, scenario: Scenario, seed: int) -> Run:
        """Return the run without faults, which is made once."""
        key = (scenario.name, seed)
        if key not in self._usual:
            self._usual[key] = self.run(scenario, seed)
        return self._usual[key]

    def differences(self, run: Run) -> list[str]:
        """Return which actions were done without the faults and not now.

        Of faults that must not keep an action from being done.
        """
        if any(
            fault.kind not in HARMLESS or fault.seconds > HARMLESS_SECONDS
            for fault in run.faults
        ):
            return []
        if run.mended and _must_clean(run):
            return [f'left to be found by comparing: {run.mended}']
        usual = self.usual(SCENARIOS[run.scenario], run.seed)
        if run.turned_down > usual.turned_down:
            # A request that came too late can be asked for nothing more.
            return []
        missing = collections.Counter(usual.ended) - collections.Counter(
            run.ended
        )
        return [
            f'{kind} is not done after a mere outage: {run.ended}'
            for kind, state in missing
            if state == 'done' and kind not in run.refused
        ]

    def _begin_from(self, cloud: Cloud, prepared: _Prepared) -> None:
        self._storage.put_back(prepared.content)
        cloud.world.put_back(prepared.records)
        cloud.scheduler.now = prepared.now
        cloud.network.told = list(prepared.told)
        cloud.start()

    def _play(self, cloud: Cloud, run: Run, server: str) -> None:
        user = User(cloud)
        user.server = server
        watch = laws.Watch(self._storage.raw)
        cloud.database.watch = watch
        cloud.network.judge = fence = laws.Fence(self._storage.raw)
        cloud.points.order(*run.faults)
        cloud.points.counting = True
        SCENARIOS[run.scenario].act(user)
        run.violations += self._end(cloud, run)
        rows = self._storage.raw.execute(
            'SELECT kind, state, error FROM operations ORDER BY started_at'
        ).fetchall()
        run.ended = [(kind, state) for kind, state, _ in rows]
        run.refused = [kind for kind, _, error in rows if _is_refusal(error)]
        run.turned_down = cloud.turned_down
        if not run.violations and not cloud.lost:
            run.violations += self._audit(cloud)
        if not run.violations:
            run.violations += self._clear(cloud, run, user)
        run.violations += watch.violations + fence.violations
        run.violations += _broken(cloud)

    def _end(self, cloud: Cloud, run: Run) -> list[str]:
        """Let everything end, and look."""
        cloud.settle()
        if cloud.lost:
            # What is left where nobody can look stays until it is deleted.
            cloud.points.counting = False
            return []
        found, run.mended = self._judge_in_time(cloud)
        cloud.points.counting = False
        return found

    def _judge_in_time(self, cloud: Cloud) -> tuple[list[str], list[str]]:
        """Return what is wrong, and what was until hosts compared.

        What no operation knows of is found by comparing, in time.
        """
        found = self._judge(cloud)
        if not found:
            return [], []
        cloud.scheduler.wait(CONF.compute.sync_power_state_interval * 1.2)
        still = self._judge(cloud)
        return (still, []) if still else ([], found)

    def _write_off(self, cloud: Cloud) -> None:
        """Do what an operator does when hosts are lost for good."""
        cloud.settle()
        # What the other hosts owe beside is not cut off.
        cloud.scheduler.wait(_PATIENCE)
        for (number,) in self._storage.raw.execute(
            "SELECT id FROM operations WHERE state = 'running'"
        ).fetchall():
            cloud.database.write(
                functools.partial(
                    intervene.abandon,
                    operation_id=number,
                    reason='its host is lost',
                    force=True,
                    publisher='operator',
                )
            )
        cloud.settle()

    def _forget_lost(self, cloud: Cloud, user: User) -> Iterator[str]:
        """Let the services of lost hosts be forgotten."""
        listed = user.ask('GET', '/os-services')
        assert listed is not None
        for service in listed.get('services'):
            if service['host'] in cloud.lost:
                path = f'/os-services/{service["id"]}'
                user.ask('PUT', path, {'forced_down': True})
                reply = user.ask('DELETE', path)
                if reply is None or reply.status != 204:
                    yield f'{service["host"]} cannot be forgotten: {reply}'

    def _judge(self, cloud: Cloud) -> list[str]:
        found = [] if cloud.settle() else list(self._why_not(cloud))
        raw = self._storage.raw
        found += laws.rows(raw, cloud.lost)
        found += laws.addresses(raw)
        found += laws.accepted(raw, cloud.accepted)
        found += laws.possessions(raw, cloud.world, cloud.lost)
        found += laws.notifications(cloud.network.told, raw)
        return found

    def _audit(self, cloud: Cloud) -> list[str]:
        """Return what our own audit finds, which should be as content."""
        records = cloud.database.read(census.gather)
        holdings = {
            host: FakeDriver(host, cloud.world).stock()
            for host in clouds.HOSTS
            if host not in cloud.lost
        }
        return [
            f'audit: {finding}'
            for finding in examine(records, holdings, clock.now())
            if finding.is_fault
        ]

    def _why_not(self, cloud: Cloud) -> Iterator[str]:
        yield f'law 3: it is not over after {cloud.scheduler.now:.0f} s'
        for name, machine in cloud.machines.items():
            if not machine.ready and not machine.gone:
                yield f'law 3: {name} is not ready'
        if cloud.unpublished():
            yield f'law 6: {cloud.unpublished()} are not published'

    def _clear(self, cloud: Cloud, run: Run, user: User) -> Iterator[str]:
        """Force-delete all there is: law 10, and nothing is left of it."""
        if cloud.lost:
            self._write_off(cloud)
        for (uuid,) in self._storage.raw.execute(
            "SELECT uuid FROM instances WHERE vm_state != 'deleted'"
        ).fetchall():
            user.server = uuid
            reply = user.act('forceDelete')
            if reply is None or reply.status != 202:
                yield f'law 10: {uuid} cannot be force-deleted: {reply}'
        if cloud.lost:
            self._write_off(cloud)
            yield from self._forget_lost(cloud, user)
        found, mended = self._judge_in_time(cloud)
        yield from found
        if not _goes_on_late(run):
            yield from mended
        for uuid, vm_state in self._storage.raw.execute(
            "SELECT uuid, vm_state FROM instances WHERE vm_state != 'deleted'"
        ):
            yield f'law 10: {uuid} is {vm_state} after a force-delete'

    # -- what runs begin from ------------------------------------------------

    def _prepare(self, name: str) -> _Prepared:
        if name not in self._prepared:
            with Cloud(self._storage, _PREPARING) as cloud:
                self._storage.put_back(self._storage.empty)
                cloud.start()
                definition.create(cloud.database, _network())
                user = User(cloud)
                for flavor, ram in (('small', 512), ('big', 1024)):
                    user.ask(
                        'POST', '/flavors', {'flavor': _flavor(flavor, ram)}
                    )
                PREPARED[name](user)
                if not cloud.settle() or _broken(cloud):
                    raise AssertionError(
                        f'{name} cannot be prepared: {_broken(cloud)[:3]}'
                    )
                self._prepared[name] = _Prepared(
                    cloud.scheduler.now,
                    self._storage.copy(),
                    cloud.world.copy(),
                    user.server,
                    tuple(cloud.network.told),
                )
        return self._prepared[name]


def _is_refusal(error: str | None) -> bool:
    return error is not None and isinstance(
        written.decode(orjson.loads(error)), exception.Refused
    )


def _must_clean(run: Run) -> bool:
    """Tell whether nothing may be left by what has ended.

    What begins with a difference needs another look when a report is lost.
    """
    return not _goes_on_late(run) and run.scenario not in BY_COMPARING


def _goes_on_late(run: Run) -> bool:
    """Tell whether a process has the rest of a hypervisor's call to do."""
    return any(fault.kind in ('twin', 'pause') for fault in run.faults)


def _flavor(name: str, ram: int) -> dict[str, Any]:
    return {'name': name, 'id': name, 'ram': ram, 'vcpus': 1, 'disk': 1}


def _network() -> Network:
    """Return the one network, which every server is on."""
    return definition.define('private', cidr='10.0.0.0/24', bridge='br0')


def _broken(cloud: Cloud) -> list[str]:
    """Return what should never happen in a service, nor at a hypervisor."""
    return [
        *(f'law 1: {double}' for double in cloud.world.doubles),
        *(f'an error of ours: {text}' for text in cloud.tracebacks),
        *(
            f'{task.process.name} {task.name} ended with {error!r}'
            for task, error in cloud.scheduler.broken
        ),
    ]
