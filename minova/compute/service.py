# SPDX-License-Identifier: Apache-2.0
"""The compute service of one host: its parts, start, heartbeats and stop."""

from collections.abc import Callable

from oslo_log import log as logging

from minova import clock
from minova import exception
from minova import version
from minova.compute import stale_guests
from minova.compute.conductor_client import ConductorClient
from minova.compute.console_listener import ConsoleListener
from minova.compute.enrollment import Enrollment
from minova.compute.hypervisor_health import HypervisorHealth
from minova.compute.image_cache import ImageCache
from minova.compute.manager import ComputeManager
from minova.compute.power_sync import Reconciler
from minova.compute.step_runner import StepRunner
from minova.conf import CONF
from minova.context import get_admin_context
from minova.flows import interfaces
from minova.images import ImageService
from minova.numa import host_cells
from minova.numa.host_cells import HostCell
from minova.objects.host import HostReport
from minova.objects.step import DueStep
from minova.periodic import PeriodicTask
from minova.rpc import compute as rpc
from minova.rpc.bus import Bus
from minova.rpc.compute import ComputeClients
from minova.rpc.contract import Dispatcher
from minova.rpc.self_check import RpcSelfCheck
from minova.rpc.signing import SigningKey
from minova.rpc.verifier import Verifier
from minova.rpc.wakeups import Waker
from minova.virt.driver import Driver
from minova.virt.driver import Inventory

LOG = logging.getLogger(__name__)


def _assign_cpus(have: Inventory) -> list[HostCell]:
    """Return the NUMA cells with the CPUs that the options give to guests."""
    options = CONF.compute
    return host_cells.assign_cpus(
        [HostCell.from_json(one) for one in have.numa_cells],
        options.cpu_dedicated_set,
        options.cpu_shared_set,
    )


def _heartbeat_interval() -> float:
    return float(CONF.heartbeat_interval)


class ComputeService:
    """The compute of ``host``; each start of it is an incarnation.

    Only the newest incarnation may run steps. A process that was suspended
    for long finds that it was replaced and runs no more steps.
    """

    def __init__(
        self,
        host: str,
        bus: Bus,
        driver: Driver,
        images: ImageService,
        key: SigningKey,
        on_fatal: Callable[[str], None] | None = None,
    ) -> None:
        """``key`` signs the messages of the host, in all its incarnations.

        ``on_fatal`` exits the process after failed RPC self-checks.
        """
        self.host = host
        self.driver = driver
        self.incarnation = clock.uuid4()
        self._enrollment = Enrollment(host, self.incarnation, key, bus)
        self._conductor = self._enrollment.conductor
        signer = self._enrollment.signer
        computes = ComputeClients(bus, signer)
        steps = interfaces.step_client(bus, signer)
        self._conductor_client = ConductorClient(
            self._conductor, computes, steps, host, self.incarnation
        )
        self._heartbeats = PeriodicTask(
            f'heartbeat-{host}', self._heartbeat, _heartbeat_interval
        )
        self.health = HypervisorHealth(host, driver, self._heartbeats.wake)
        self._conductor_client.report_health = self.health.report
        cache = CONF.compute.image_cache_directory
        self.images = ImageCache(images, cache, host)
        self.runner = StepRunner(
            host,
            driver,
            self.images,
            self._conductor_client,
            Waker(steps),
            CONF.compute.max_concurrent_steps,
            self.health.check_soon,
        )
        self._console_listener = ConsoleListener(host, driver)
        manager = ComputeManager(
            host,
            driver,
            self.runner,
            computes,
            self.incarnation,
            self._console_listener,
        )
        self.self_check = self._serve(manager, bus, on_fatal)
        self.reconciler = Reconciler(host, driver, self._conductor)
        self._image_expiry = PeriodicTask(
            f'image-cache-{host}',
            lambda: self.images.remove_expired(driver.images_in_use),
            lambda: CONF.compute.image_cache_manager_interval,
        )
        self._registered = clock.event()

    def _serve(
        self,
        manager: ComputeManager,
        bus: Bus,
        on_fatal: Callable[[str], None] | None,
    ) -> RpcSelfCheck:
        """Return the RPC server of the host, not started."""
        dispatcher = Dispatcher(
            interfaces.COMPUTE,
            manager,
            Verifier(self._enrollment),
            self.host,
            CONF.upgrade_levels.compute,
            manager.handle_step,
        )
        myself = rpc.self_client(bus, self._enrollment.signer, self.host)
        return RpcSelfCheck(
            f'Compute {self.host}',
            self.incarnation,
            lambda: dispatcher.serve(bus),
            lambda: myself.ping(get_admin_context()),
            on_fatal,
        )

    def start(self) -> None:
        """Start the RPC server and the heartbeats.

        The first heartbeat registers the host, in the background and until
        the hypervisor works and a conductor answers; then due steps start.
        """
        self._console_listener.start()
        self.self_check.start()
        self._heartbeats.start()
        if self.driver.uses_images:
            self._image_expiry.start()

    @property
    def is_registered(self) -> bool:
        """Whether the host is registered with a conductor."""
        return self._registered.is_set()

    def wait_until_ready(self, timeout: float = 30) -> None:
        """Wait for the registration; Unavailable after ``timeout`` seconds."""
        if not self._registered.wait(timeout):
            raise exception.Unavailable(
                what=f'Compute {self.host}',
                reason=self._enrollment.refusal or 'no conductor answers',
            )

    def stop(self) -> None:
        """Stop; the next incarnation resumes the unfinished steps."""
        # The server waits for its nested steps, which wait for a conductor.
        self.runner.begin_stop()
        self.self_check.stop()
        self._console_listener.stop()
        self._heartbeats.stop()
        self._image_expiry.stop()
        if self._registered.is_set():
            self.reconciler.stop()
            self.health.stop()
        self.runner.stop()
        self.driver.close()
        LOG.info('Compute %s has stopped.', self.host)

    # -- heartbeats ----------------------------------------------------------

    def _heartbeat(self) -> None:
        try:
            self._enrollment.ensure()
            self._send_heartbeat()
        except exception.MessageRefused as error:
            self._enrollment.handle_refusal(error)

    def _send_heartbeat(self) -> None:
        if not self._registered.is_set():
            have = self._inventory()
            if have is None:
                return
            if not self._remove_stale_guests():
                return
            due_steps = self._register(have)
            self.runner.accept_steps()
            self._wake_due_steps(due_steps)
            self.reconciler.start()
            self.health.start()
            self._registered.set()
            LOG.info('Compute %s is ready.', self.host)
            return
        try:
            due_steps = self._conductor_client.heartbeat()
        except exception.Superseded:
            LOG.warning(
                'Compute %s: a newer incarnation sends no heartbeats; '
                'registering again',
                self.host,
            )
            if not self._remove_stale_guests():
                return
            due_steps = self._register(
                self._inventory() or self._registered_as
            )
        except exception.Stale:
            LOG.error(
                'Compute %s: a newer incarnation has registered; this one '
                'runs no more steps. Two hosts must not have the same name.',
                self.host,
            )
            return
        self._wake_due_steps(due_steps)

    def _remove_stale_guests(self) -> bool:
        """Destroy the guests that run elsewhere now; False for a retry.

        The host gets no step, and no server, before.
        """
        try:
            stale_guests.remove(self.host, self.driver, self._conductor)
        except (exception.GuestFailed, OSError) as error:
            LOG.error(
                'Compute %s is not registered: its stale guests cannot be '
                'removed: %s. Retrying in %g s.',
                self.host,
                error,
                CONF.heartbeat_interval,
            )
            return False
        return True

    def _inventory(self) -> Inventory | None:
        """Ask the hypervisor; None, which is logged, when it is unusable."""
        try:
            have = self.driver.inventory()
            _assign_cpus(have)
            return have
        except (
            exception.GuestFailed,
            exception.ConfigInvalid,
            OSError,
        ) as error:
            LOG.error(
                'Compute %s is not registered and gets no servers: its '
                'hypervisor cannot be used: %s. Retrying in %g s.',
                self.host,
                error,
                CONF.heartbeat_interval,
            )
            return None

    def _register(self, have: Inventory) -> list[DueStep]:
        self._registered_as = have
        options = CONF.compute
        cells = _assign_cpus(have)
        vcpus = have.vcpus
        if options.cpu_dedicated_set or options.cpu_shared_set:
            vcpus = sum(len(cell.cpus) for cell in cells)
        report = HostReport(
            host=self.host,
            incarnation=self.incarnation,
            version=version.release(),
            address=CONF.my_ip,
            availability_zone=options.availability_zone,
            hypervisor_hostname=have.hypervisor_hostname,
            hypervisor_type=have.hypervisor_type,
            hypervisor_version=have.version,
            cpu_info=have.cpu_info,
            supported_instances=[
                list(one) for one in have.supported_instances
            ],
            traits=sorted(have.traits),
            numa_cells=[cell.to_json() for cell in cells],
            vcpus=vcpus,
            pcpus=sum(len(cell.pcpus) for cell in cells),
            memory_mb=have.memory_mb,
            disk_gb=have.disk_gb,
            reserved_memory_mb=options.reserved_host_memory_mb,
            reserved_disk_gb=options.reserved_host_disk_gb,
            cpu_allocation_ratio=options.cpu_allocation_ratio,
            ram_allocation_ratio=options.ram_allocation_ratio,
            disk_allocation_ratio=options.disk_allocation_ratio,
        )
        return self._conductor.register_host(
            get_admin_context(), report=report
        )

    def _wake_due_steps(self, due_steps: list[DueStep]) -> None:
        for due_step in due_steps:
            self.runner.wake(
                get_admin_context(), due_step.step, due_step.method
            )
