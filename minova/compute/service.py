# SPDX-License-Identifier: Apache-2.0
"""One compute: what it is made of and how it lives."""

from collections.abc import Callable

from oslo_log import log as logging

from minova import clock
from minova import exception
from minova import version
from minova.compute.asking import Asking
from minova.compute.image_cache import ImageCache
from minova.compute.manager import Manager
from minova.compute.power import Reconciler
from minova.compute.runner import Runner
from minova.conf import CONF
from minova.context import internal
from minova.images import Images
from minova.loop import Loop
from minova.objects.host import HostReport
from minova.objects.step import Duty
from minova.rpc import compute as rpc
from minova.rpc import conductor as rpc_conductor
from minova.rpc.bus import Bus
from minova.rpc.compute import Computes
from minova.rpc.contract import Dispatcher
from minova.rpc.hearing import Hearing
from minova.rpc.wakes import Waker
from minova.virt.driver import Driver

LOG = logging.getLogger(__name__)


class ComputeService:
    """The compute of ``host``; each start of it is an incarnation.

    Only the newest incarnation may take steps: one that is woken after a long
    sleep finds itself replaced and stops acting.
    """

    def __init__(
        self,
        host: str,
        bus: Bus,
        driver: Driver,
        images: Images,
        give_up: Callable[[str], None] | None = None,
    ) -> None:
        """``give_up`` ends the process when it cannot be made to hear."""
        self._bus = bus
        self.host = host
        self.driver = driver
        self.incarnation = clock.uuid4()
        self._conductor = rpc_conductor.client(bus)
        computes = Computes(bus)
        self._asking = Asking(
            self._conductor, computes, host, self.incarnation
        )
        cache = CONF.compute.image_cache_directory
        self.images = ImageCache(images, cache, host)
        self.runner = Runner(
            host,
            driver,
            self.images,
            self._asking,
            Waker(computes, self._conductor),
            CONF.compute.max_concurrent_steps,
        )
        manager = Manager(
            host, driver, self.runner, computes, self.incarnation
        )
        self._dispatcher = Dispatcher(
            rpc.INTERFACE, manager, CONF.upgrade_levels.compute
        )
        myself = rpc.to_itself(bus, host)
        self.hearing = Hearing(
            f'Compute {host}',
            self.incarnation,
            lambda: self._dispatcher.serve(bus, rpc.TOPIC, host),
            lambda: myself.ping(internal()),
            give_up,
        )
        self.reconciler = Reconciler(host, driver, self._conductor)
        self._beats = Loop(
            f'beat-{host}', self._beat, lambda: CONF.compute.heartbeat_interval
        )
        self._ageing = Loop(
            f'image-cache-{host}',
            lambda: self.images.age(driver.images_in_use),
            lambda: CONF.compute.image_cache_interval,
        )
        self._registered = clock.event()

    def start(self) -> None:
        """Answer, register, take up what is owed, watch the guests.

        Registering goes on in the background until a conductor answers.
        """
        self.hearing.start()
        self._beats.start()
        if self.driver.uses_images:
            self._ageing.start()

    @property
    def is_registered(self) -> bool:
        """Whether a conductor knows the host."""
        return self._registered.is_set()

    def wait_until_ready(self, timeout: float = 30) -> None:
        """Wait until a conductor knows the host; Unavailable after timeout."""
        if not self._registered.wait(timeout):
            raise exception.Unavailable(
                what=f'Compute {self.host}', reason='no conductor answers'
            )

    def stop(self) -> None:
        """Finish what is quick, leave the rest owed to the next start."""
        self.hearing.stop()
        self._beats.stop()
        self._ageing.stop()
        if self._registered.is_set():
            self.reconciler.stop()
        self.runner.stop()
        self.driver.close()
        LOG.info('Compute %s has stopped.', self.host)

    # -- signs of life -------------------------------------------------------

    def _beat(self) -> None:
        if not self._registered.is_set():
            duties = self._register()
            self.runner.begin()
            self._take_up(duties)
            self.reconciler.start()
            self._registered.set()
            LOG.info('Compute %s is ready.', self.host)
            return
        try:
            duties = self._asking.beat()
        except exception.Superseded:
            LOG.warning(
                'Another start of the compute %s had registered and is not '
                'heard of; this one takes its place again.',
                self.host,
            )
            duties = self._register()
        except exception.Stale:
            LOG.error(
                'Another start of the compute %s has registered; this one '
                'takes no more steps. Two hosts must not share a name.',
                self.host,
            )
            return
        self._take_up(duties)

    def _register(self) -> list[Duty]:
        have = self.driver.inventory()
        options = CONF.compute
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
            vcpus=have.vcpus,
            memory_mb=have.memory_mb,
            disk_gb=have.disk_gb,
            reserved_memory_mb=options.reserved_host_memory_mb,
            reserved_disk_gb=options.reserved_host_disk_gb,
            cpu_ratio=options.cpu_allocation_ratio,
            memory_ratio=options.ram_allocation_ratio,
            disk_ratio=options.disk_allocation_ratio,
        )
        return self._conductor.register_host(internal(), report=report)

    def _take_up(self, duties: list[Duty]) -> None:
        for duty in duties:
            self.runner.wake(internal(), duty.step)
