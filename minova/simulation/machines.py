# SPDX-License-Identifier: Apache-2.0
"""The service processes of a simulated cloud."""

from collections.abc import Callable
import functools
from typing import Any

from oslo_log import log as logging

from minova import clock
from minova import exception
from minova.api import app
from minova.api import backend
from minova.api.http import errors
from minova.compute.service import ComputeService
from minova.conductor.host_fencing import Fence
from minova.conductor.service import ConductorService
from minova.engine.sender_keys import SenderKeys
from minova.flows import interfaces
from minova.images import ImageService
from minova.rpc import conductor as rpc_conductor
from minova.rpc.compute import ComputeClients
from minova.rpc.signing import SigningKey
from minova.rpc.wakeups import Waker
from minova.simulation.database import SimulatedDatabase
from minova.simulation.hypervisor import SimulatedDriver
from minova.simulation.hypervisor import SimulatedWorld
from minova.simulation.network import Network
from minova.simulation.network import SimulatedBus
from minova.simulation.scheduler import Process
from minova.simulation.scheduler import Scheduler

LOG = logging.getLogger(__name__)

#: Seconds between two attempts to start, as in ``minova.service``.
_RETRY_DELAY = 2.0
#: Seconds for which a stale process runs concurrently with its successor.
_OVERLAP_SECONDS = 60.0


class Machine:
    """A service that can be started, killed and restarted."""

    def __init__(
        self,
        name: str,
        scheduler: Scheduler,
        network: Network,
        build: 'Builder',
    ) -> None:
        self.name = name
        #: Lost for good: it is never restarted.
        self.is_lost = False
        self.scheduler = scheduler
        self.service: Any = None
        self._network = network
        self._build = build
        self._skew = 0.0
        #: Older processes of this service that may still run.
        self.stale_processes: list[Process] = []
        self.process = Process(name)
        self.process.dead = True

    @property
    def is_up(self) -> bool:
        """Whether the process exists; it may be paused."""
        return not self.process.dead

    @property
    def is_ready(self) -> bool:
        """Whether the service has started and runs."""
        return (
            self.is_up and self.service is not None and not self.process.paused
        )

    def bus(self) -> SimulatedBus:
        """Return the message bus of the current process."""
        return SimulatedBus(self._network, self.process)

    def start(self) -> None:
        """Start a new process unless one exists."""
        if self.is_up or self.is_lost:
            return
        self.service = None
        self.process = Process(self.name)
        self.process.skew = self._skew
        self.scheduler.spawn(f'start-{self.name}', self.process, self._start)

    def _start(self) -> None:
        while True:
            try:
                service = self._build(self)
                service.start()
            except exception.Unavailable as error:
                LOG.warning(
                    'Service %s cannot start yet; retrying: %s',
                    self.name,
                    error,
                )
            else:
                self.service = service
                return
            clock.sleep(_RETRY_DELAY)

    def crash(self) -> None:
        """Kill the current process."""
        self.service = None
        self.kill(self.process)

    def kill(self, process: Process) -> None:
        """Kill a process of this service, the current or a stale one."""
        self.scheduler.kill(process)
        self._network.leave_all(process)

    def pause(self, seconds: float) -> None:
        """Stop the process for ``seconds``."""
        process = self.process

        def resume() -> None:
            process.paused = False

        process.paused = True
        self.scheduler.call_later(seconds, resume)

    def leave_stale_process(self, seconds: float) -> None:
        """Stop the process for ``seconds`` and start another one meanwhile.

        The stale process then runs for a minute more and is killed.
        """
        old = self.process
        self.pause(seconds)
        self.service = None
        self.process = Process(self.name)
        self.process.dead = True
        self.start()
        self.stale_processes.append(old)
        self.scheduler.call_later(
            seconds + _OVERLAP_SECONDS, lambda: self.kill(old)
        )

    def skew(self, seconds: float) -> None:
        """Let the clock of its machine jump."""
        self._skew += seconds
        self.process.skew = self._skew


#: Builds the service of a machine.
Builder = Callable[[Machine], Any]


class Api:
    """The api: the application that handles requests."""

    def __init__(self, application: errors.App) -> None:
        self.app = application

    def start(self) -> None:
        """Do nothing; the simulated clients call the application."""


class _Dependencies:
    """The dependencies of the application, new with each start of an api.

    The application itself takes long to build and is shared by all runs.
    """

    database: SimulatedDatabase
    conductor: rpc_conductor.Conductor
    computes: ComputeClients
    waker: Waker
    timed_calls: backend.TimedCalls
    images: ImageService


class _DependencyProxy:
    """Forwards to the current dependency of this name."""

    def __init__(self, dependencies: _Dependencies, name: str) -> None:
        self._dependencies = dependencies
        self._name = name

    def __getattr__(self, name: str) -> Any:
        return getattr(getattr(self._dependencies, self._name), name)


_dependencies = _Dependencies()
_app: errors.App | None = None


def _application() -> errors.App:
    global _app
    if _app is None:
        proxies: Any = {
            name: _DependencyProxy(_dependencies, name)
            for name in _Dependencies.__annotations__
        }
        _app = app.make_app(backend.Backend(host='api', **proxies))
    return _app


def api(
    database: SimulatedDatabase, images: ImageService
) -> Callable[[Machine], Api]:
    """Return a builder of an api."""

    def build(machine: Machine) -> Api:
        bus = machine.bus()
        signer = SenderKeys(database).signer(machine.name)
        _dependencies.database = database
        _dependencies.conductor = rpc_conductor.client(bus, signer)
        _dependencies.computes = ComputeClients(bus, signer)
        _dependencies.waker = Waker(
            interfaces.step_client(bus, signer), in_background=True
        )
        _dependencies.timed_calls = backend.TimedCalls()
        _dependencies.images = images
        return Api(_application())

    return build


def conductor(
    database: SimulatedDatabase, fence: Fence
) -> Callable[[Machine], ConductorService]:
    """Return a builder of a conductor, which fences hosts by ``fence``."""

    def build(machine: Machine) -> ConductorService:
        return ConductorService(
            database, machine.bus(), machine.name, fence=fence
        )

    return build


def compute(
    world: SimulatedWorld, images: ImageService
) -> Callable[[Machine], ComputeService]:
    """Return a builder of the compute of a host."""

    def build(machine: Machine) -> ComputeService:
        driver = SimulatedDriver(machine.name, world, machine.scheduler)
        return ComputeService(
            machine.name, machine.bus(), driver, images, _key(machine.name)
        )

    return build


@functools.cache
def _key(host: str) -> SigningKey:
    """Return the key of a host, which keeps it from run to run."""
    return SigningKey.generate()
