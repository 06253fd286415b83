# SPDX-License-Identifier: Apache-2.0
"""A simulated cloud: an api, conductors and computes, and their faults."""

from collections.abc import Callable
import logging
import types
from typing import Any
from typing import Self

import orjson
import oslo_messaging

from minova import clock
from minova.api.http import errors
from minova.conf import CONF
from minova.rpc.bus import Json
from minova.simulation import machines
from minova.simulation.clock import SimulatedClock
from minova.simulation.database import SimulatedDatabase
from minova.simulation.database import Storage
from minova.simulation.faults import Fault
from minova.simulation.faults import Points
from minova.simulation.fencing import SimulatedFenceAgent
from minova.simulation.hypervisor import SimulatedWorld
from minova.simulation.image_service import SimulatedImages
from minova.simulation.machines import Builder
from minova.simulation.machines import Machine
from minova.simulation.network import Network
from minova.simulation.scheduler import Process
from minova.simulation.scheduler import Scheduler

HOSTS = ('a', 'b', 'c')
CONDUCTORS = ('c0', 'c1')

#: Virtual seconds within which all operations must end.
SETTLE_TIMEOUT = 1500.0
#: The actions that later microversions do not have.
_OLD_ACTIONS = frozenset({'addFixedIp', 'removeFixedIp'})


class _LogCollector(logging.Handler):
    """Collects the log lines, and the tracebacks in them."""

    def __init__(self, cloud: 'Cloud') -> None:
        super().__init__(logging.INFO)
        self._cloud = cloud

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line; a traceback is an internal error of a service."""
        cloud = self._cloud
        process = cloud.scheduler.current.process.name
        text = record.getMessage()
        if cloud.verbose:
            cloud.log_lines.append((cloud.scheduler.now, process, text))
        if record.exc_info and record.exc_info[1] is not None:
            error = record.exc_info[1]
            cloud.tracebacks.append(
                f'{cloud.scheduler.now:.3f} s {process}: {text}: '
                f'{type(error).__name__}: {error}'
            )
            if cloud.verbose:
                formatted = logging.Formatter().formatException(
                    record.exc_info
                )
                cloud.log_lines.append(
                    (cloud.scheduler.now, process, formatted)
                )


class Cloud:
    """One simulation, from a seed; a context manager."""

    def __init__(
        self, storage: Storage, seed: int = 0, verbose: bool = False
    ) -> None:
        """Build the cloud; ``verbose`` keeps all log lines."""
        self.verbose = verbose
        self.scheduler = Scheduler(seed)
        self.points = Points(self.scheduler, self._inject_fault)
        self.network = Network(self.scheduler, self.points)
        self.database = SimulatedDatabase(storage, self.scheduler, self.points)
        self.world = SimulatedWorld(self.scheduler, self.points)
        self.storage = storage
        #: The log lines: time, process, text.
        self.log_lines: list[tuple[float, str, str]] = []
        #: Internal errors of services.
        self.tracebacks: list[str] = []
        #: The ids of the accepted requests that begin an operation.
        self.accepted_requests: list[str] = []
        #: The number of requests refused with 4xx.
        self.rejected_requests = 0
        self.machines: dict[str, Machine] = {}
        self.images = SimulatedImages(self.scheduler, self.points)
        self.fence_agent = SimulatedFenceAgent(self.world, self.machines)
        self._add('api', machines.api(self.database, self.images))
        for name in CONDUCTORS:
            self._add(
                name,
                machines.conductor(self.database, self.fence_agent.fence),
            )
        for name in HOSTS:
            self._add(name, machines.compute(self.world, self.images))

    def _add(self, name: str, build: Builder) -> None:
        self.machines[name] = Machine(
            name, self.scheduler, self.network, build
        )

    # -- start and end -------------------------------------------------------

    def __enter__(self) -> Self:
        self._clock_before = clock.install(SimulatedClock(self.scheduler))
        self._handler = _LogCollector(self)
        self._logger = logging.getLogger('minova')
        self._level = self._logger.level
        self._propagates = self._logger.propagate
        self._logger.addHandler(self._handler)
        self._logger.propagate = False
        self._logger.setLevel(logging.INFO if self.verbose else logging.ERROR)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: types.TracebackType | None,
    ) -> None:
        self.points.is_counting = False
        for machine in self.machines.values():
            for process in (machine.process, *machine.stale_processes):
                self.scheduler.kill(process)
        self.scheduler.end_killed()
        self._logger.removeHandler(self._handler)
        self._logger.propagate = self._propagates
        self._logger.setLevel(self._level)
        clock.install(self._clock_before)

    def start(self) -> None:
        """Start all services; return when all computes have registered."""
        for machine in self.machines.values():
            machine.start()
        self.wait(self._all_ready, 300)

    def _all_ready(self) -> bool:
        return all(m.is_ready for m in self.machines.values()) and all(
            self.machines[host].service.is_registered for host in HOSTS
        )

    def wait(
        self, predicate: Callable[[], bool], seconds: float = SETTLE_TIMEOUT
    ) -> bool:
        """Wait until a condition is true; False after ``seconds``."""
        until = self.scheduler.now + seconds
        pause = 0.25
        while not predicate():
            if self.scheduler.now > until:
                return False
            self.scheduler.wait(pause)
            pause = min(pause * 1.2, 15.0)
        return True

    # -- faults --------------------------------------------------------------

    def _inject_fault(self, fault: Fault, process: Process) -> None:
        after = self.scheduler.call_later
        if fault.kind == 'broker':
            self.network.fail()
            after(fault.seconds, self.network.recover)
            return
        if fault.kind == 'database':
            self.database.is_up = False
            after(fault.seconds, self._restore_database)
            return
        name = fault.target or process.name
        if fault.kind == 'hypervisor':
            if name in HOSTS:
                self.world.stop_hypervisor(name)
                after(fault.seconds, lambda: self.world.start_hypervisor(name))
            return
        machine = self.machines[name]
        if fault.kind == 'skew':
            machine.skew(fault.seconds)
        elif fault.kind == 'pause' and machine.is_up:
            machine.pause(fault.seconds)
        elif fault.kind == 'stale_process' and process is machine.process:
            machine.leave_stale_process(fault.seconds)
        elif fault.kind == 'host_lost':
            machine.is_lost = True
            machine.crash()
            self.world.lose_host(machine.name)
        elif fault.kind == 'crash' and process in machine.stale_processes:
            machine.kill(process)
        elif fault.kind == 'crash' and machine.is_up:
            machine.crash()
            after(fault.seconds, machine.start)

    def _restore_database(self) -> None:
        self.database.is_up = True

    # -- settling ------------------------------------------------------------

    @property
    def lost_hosts(self) -> list[str]:
        """The hosts that are lost for good."""
        return [name for name, m in self.machines.items() if m.is_lost]

    def settle(self, seconds: float = SETTLE_TIMEOUT) -> bool:
        """Wait until all is up, ended and published; tell whether it is."""
        return self.wait(self._is_settled, seconds)

    def _is_settled(self) -> bool:
        if not self.network.is_up or not self.database.is_up:
            return False
        if any(map(self.world.hypervisor_error, HOSTS)):
            return False
        machines = self.machines.values()
        if not all(m.is_ready or m.is_lost for m in machines):
            return False
        if any(not old.dead for m in machines for old in m.stale_processes):
            return False
        return not self.count_unpublished() and not any(
            not self._waits_for_lost_host(wait_reason)
            for (wait_reason,) in self.storage.raw.execute(
                "SELECT wait_reason FROM operations WHERE state = 'running'"
            )
        )

    def count_unpublished(self) -> int:
        """Return the number of unpublished notifications."""
        (count,) = self.storage.raw.execute(
            'SELECT count(*) FROM outbox WHERE published_at IS NULL'
        ).fetchone()
        return int(count)

    def _waits_for_lost_host(self, wait_reason: str | None) -> bool:
        return any(
            f'host {host} ' in (wait_reason or '') for host in self.lost_hosts
        )

    def sync_power_states(self) -> None:
        """Start a power synchronization on every compute."""
        for host in HOSTS:
            if self.machines[host].is_ready:
                self.machines[host].service.reconciler.reconcile_soon()

    # -- requests ------------------------------------------------------------

    def request(
        self, method: str, path: str, body: Json | None = None
    ) -> 'Reply | None':
        """Send a request to the api; None if the connection was lost.

        Waits for an api that is down, as a client that retries.
        """
        machine = self.machines['api']
        self.wait(lambda: machine.is_ready, SETTLE_TIMEOUT)
        replies: list[Reply] = []
        task = self.scheduler.spawn(
            f'{method} {path}',
            machine.process,
            lambda: replies.append(
                _call_app(machine.service.app, method, path, body)
            ),
        )
        self.scheduler.join(task)
        if not replies:
            return None
        self.rejected_requests += 400 <= replies[0].status < 500
        # A repeated delete begins no operation.
        accepts = (202, 204) if not path.endswith('os-interface') else (200,)
        if replies[0].status in accepts and method != 'DELETE':
            self.accepted_requests.append(replies[0].request_id)
        return replies[0]


class Reply:
    """The response to a request."""

    def __init__(
        self, line: str, headers: list[tuple[str, str]], content: bytes
    ) -> None:
        self.status = int(line.split()[0])
        names = {name.lower(): value for name, value in headers}
        self.request_id: str = names['x-openstack-request-id']
        self.body: Any = orjson.loads(content) if content else None

    def get(self, name: str) -> Any:
        """Return a member of the body."""
        return self.body[name]

    def __repr__(self) -> str:
        return f'{self.status} {self.body}'


def _choose_version(body: Json | None) -> str:
    """Return a microversion that has the action of a body."""
    is_old = not _OLD_ACTIONS.isdisjoint(body or ())
    return '2.43' if is_old else '2.79'


def _call_app(
    app: errors.App, method: str, path: str, body: Json | None
) -> Reply:
    content = b'' if body is None else orjson.dumps(body)
    started: list[tuple[str, list[tuple[str, str]]]] = []
    environ = {
        'REQUEST_METHOD': method,
        'PATH_INFO': f'/v2.1{path}',
        'QUERY_STRING': '',
        'SERVER_NAME': 'api',
        'SERVER_PORT': '80',
        'SERVER_PROTOCOL': 'HTTP/1.1',
        'wsgi.version': (1, 0),
        'wsgi.url_scheme': 'http',
        'wsgi.input': _Body(content),
        'wsgi.errors': None,
        'wsgi.multithread': True,
        'wsgi.multiprocess': False,
        'wsgi.run_once': False,
        'CONTENT_TYPE': 'application/json',
        'CONTENT_LENGTH': str(len(content)),
        'HTTP_X_AUTH_TOKEN': 'admin:11111111aaaaaaaa',
        'HTTP_OPENSTACK_API_VERSION': f'compute {_choose_version(body)}',
    }

    def start_response(
        line: str, headers: list[tuple[str, str]], error: object = None, /
    ) -> Callable[[bytes], object]:
        started.append((line, headers))
        return lambda content: None

    content_parts = app(environ, start_response)
    return Reply(*started[0], b''.join(content_parts))


class _Body:
    """The body of a request, as a stream."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def read(self, size: int = -1) -> bytes:
        """Return the whole body once."""
        content, self._content = self._content, b''
        return content


def register_options() -> None:
    """Register the options of notifications, which a transport does."""
    oslo_messaging.get_notification_transport(CONF, 'fake://').cleanup()


def configure() -> None:
    """Set the options of all simulated services, at the begin of a run."""
    for group, options in _OPTIONS.items():
        for name, value in options.items():
            CONF.set_override(name, value, group)


_OPTIONS: dict[str | None, dict[str, str | float | bool | list[str]]] = {
    None: {'heartbeat_interval': 20.0},
    'api': {'auth_strategy': 'noauth2'},
    'conductor': {
        'unexpected_running_instance_action': 'adopt',
        'reclaim_instance_interval': 0,
        'shelved_offload_time': -1,
        'sweep_interval': 20.0,
    },
    'notifications': {
        'relay_interval': 5.0,
        'instance_usage_audit': False,
        'instance_usage_audit_period': 'month',
    },
    'compute': {
        'compute_driver': 'fake',
        'cpu_dedicated_set': '0-7,500-507',
        'cpu_shared_set': '8-499,508-999',
        'shutdown_timeout': 10.0,
    },
    'fencing': {'trust_disk_locks': False},
    'fake': {
        'shutdown_seconds': 1.0,
        'migration_seconds': 1.5,
        'numa_nodes': 2,
        'huge_pages': ['2048:100000'],
    },
    'scheduler': {'allow_resize_to_same_host': False},
}
