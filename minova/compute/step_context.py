# SPDX-License-Identifier: Apache-2.0
"""One step at work on this host; see ``flows.chain.Job``."""

from collections.abc import Callable
import contextlib
import dataclasses
import math
from typing import Any

from oslo_log import log as logging

from minova import clock
from minova import exception
from minova.compute.conductor_client import ConductorClient
from minova.compute.conductor_client import ServiceStopping
from minova.compute.image_cache import ImageCache
from minova.context import Context
from minova.flows.base import ComputeStep
from minova.flows.base import JsonDict
from minova.objects.migration import Migration
from minova.objects.operation_params import LiveMigrateParams
from minova.objects.operation_params import RescueImage
from minova.objects.step import StepAssignment
from minova.virt import spec as specs
from minova.virt.driver import Driver
from minova.virt.driver import GuestSpec
from minova.virt.driver import Peer

LOG = logging.getLogger(__name__)

#: Seconds between two tries to reach another host.
_RETRY_DELAY = 1.0


class StepContext:
    """What a step's work sees: its ticket, the host, the conductor."""

    def __init__(
        self,
        assignment: StepAssignment,
        host: str,
        driver: Driver,
        images: ImageCache,
        conductor: ConductorClient,
        request_abort: Callable[[str, str], None],
        request_force: Callable[[str, str], bool],
        stopping: clock.Event,
    ) -> None:
        self.host = host
        self.kind = assignment.kind
        self.instance = assignment.instance
        self.params = assignment.params
        self.args = assignment.args
        self.old_vm_state = assignment.old_vm_state
        self.is_resumed = assignment.is_resumed
        self.checkpoints = dict(assignment.checkpoints)
        self.context = Context.from_values(assignment.request_context)
        self._assignment = assignment
        self._driver = driver
        self._images = images
        self._conductor = conductor
        self._times_replaced = conductor.times_replaced
        self._request_abort = request_abort
        self._request_force = request_force
        #: Somebody may have asked for it while nobody was at work.
        self.force_requested = (
            isinstance(assignment.params, LiveMigrateParams)
            and assignment.params.force_requested is not None
        )
        self._stopping = stopping
        self._nested = dict(assignment.nested_steps)
        self._deadline = clock.monotonic() + assignment.seconds_left
        self._local_paths: dict[str, str] = {}
        self._image_uses = contextlib.ExitStack()
        self._stop_reason: exception.MinovaException | None = None

    @property
    def driver(self) -> Driver:
        """The hypervisor; Stale for a start of the service that is replaced.

        So who was stopped for a while does not touch guests that another
        start has changed since.
        """
        self._conductor.require_newest(self._times_replaced)
        return self._driver

    @property
    def migration(self) -> Migration:
        """The record of the move."""
        move = self._assignment.migration
        if move is None:
            raise LookupError(f'{self.kind} makes no move')
        return move

    # -- what is to be made --------------------------------------------------

    def spec(
        self, fetch_kernel: bool = False, rescue: RescueImage | None = None
    ) -> GuestSpec:
        """Return what the hypervisor is to know of the guest.

        With ``fetched`` the kernel and its ramdisk, if it has any, are on
        this host, for disks to be made with.
        """
        spec = specs.from_instance(
            self.instance,
            self._assignment.operation,
            self._assignment.generation,
            rescue.as_dict() if rescue else None,
        )
        if not fetch_kernel:
            return spec
        return dataclasses.replace(
            spec,
            kernel=self._fetch(self.instance.kernel_id),
            ramdisk=self._fetch(self.instance.ramdisk_id),
        )

    def fetch_image(self, image_id: str | None = None) -> str | None:
        """Return the path of an image, the instance's own, on this host."""
        return self._fetch(image_id or self.instance.image_ref)

    def _fetch(self, image_id: str) -> str | None:
        """Have an image on this host until the work ends; return its path."""
        if not self._driver.uses_images or not image_id:
            return None
        if image_id not in self._local_paths:
            self._local_paths[image_id] = self._image_uses.enter_context(
                self._images.use(self.context, image_id)
            )
        return self._local_paths[image_id]

    def close(self) -> None:
        """Let go of the images: the work has ended."""
        self._local_paths.clear()
        self._image_uses.close()

    def peer(self) -> Peer:
        """Return the other host of the move."""
        move = self.migration
        if move.source_host == self.host:
            return Peer(str(move.dest_host), str(move.dest_ip))
        return Peer(move.source_host, '')

    def is_current_generation(self, generation: int | None) -> bool:
        """Tell whether a guest was last defined by this operation."""
        return generation == self._assignment.generation

    # -- the conductor and other hosts ---------------------------------------

    def save_checkpoint(self, checkpoint: str, **facts: Any) -> None:
        """Record that a point was passed; Stale when taken over."""
        self._nested |= self._conductor.save_checkpoint(
            self.context, self._assignment.step, checkpoint, facts
        )
        self.checkpoints[checkpoint] = facts

    def call_step(
        self, step: type[ComputeStep], host: str, timeout: float = math.inf
    ) -> JsonDict:
        """Let another host run a nested step; return its result."""
        number = self._nested[step.method]
        until = clock.monotonic() + timeout
        last_logged = None
        while True:
            try:
                return self._conductor.call_step(
                    self.context, host, step.method, number
                )
            except exception.Unavailable as error:
                away = error
            if clock.monotonic() >= until:
                raise exception.GuestMigrationFailed(
                    instance_id=self.instance.uuid,
                    reason=f'{host} did not do its part: {away}',
                ) from away
            last_logged = self._log_once(
                f'{step.method} on {host}: {away}', last_logged
            )
            self.wait(_RETRY_DELAY)
            if timeout == math.inf:
                self._check_stale()
            else:
                self.check_cancelled()

    def get_power_state(self, host: str) -> int | None:
        """Ask another host for the guest's power state until it answers."""
        last_logged = None
        while True:
            try:
                return self._conductor.guest_power_state(
                    self.context, host, self.instance.uuid
                )
            except exception.Unavailable as error:
                away = error
            last_logged = self._log_once(
                f'whether the guest runs at {host} is asked again: {away}',
                last_logged,
            )
            self.wait(_RETRY_DELAY)
            self._check_stale()

    def _log_once(self, text: str, last_logged: str | None) -> str:
        """Log why it is tried again, unless it is what was told before."""
        if text != last_logged:
            LOG.warning(
                '%s %s of %s: %s',
                self.kind,
                self._assignment.operation,
                self.instance.uuid,
                text,
            )
        return text

    def report_progress(self, **byte_counts: int) -> None:
        """Tell how far a migration is."""
        self._conductor.report_progress(
            self.context, self.migration.id, byte_counts
        )

    # -- whether it is wanted ------------------------------------------------

    def request_abort(self, step: type[ComputeStep]) -> None:
        """Let ``step`` of the same instance, at work here, stop."""
        self._request_abort(self.instance.uuid, step.method)

    def request_force(self, step: type[ComputeStep]) -> bool:
        """Let ``step``, as above, end soon; False when it is not at work."""
        return self._request_force(self.instance.uuid, step.method)

    def stop(self, reason: exception.MinovaException) -> None:
        """Let the work end at its next look; Stale outlasts Cancelled."""
        if not isinstance(self._stop_reason, exception.Stale):
            self._stop_reason = reason

    def check_cancelled(self) -> None:
        """Raise Cancelled or Stale when the work is not wanted any more."""
        if self._stop_reason is not None:
            raise self._stop_reason

    def _check_stale(self) -> None:
        if isinstance(self._stop_reason, exception.Stale):
            raise self._stop_reason

    def wait(self, seconds: float) -> None:
        """Let time pass; ``check`` afterwards.

        When the service ends the work ends here, and is gone on with by the
        next start of the service.
        """
        if self._stopping.wait(seconds):
            raise ServiceStopping(self._assignment.method)

    def seconds_left(self) -> float:
        """Seconds until the operation's deadline."""
        return self._deadline - clock.monotonic()
