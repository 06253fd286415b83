# SPDX-License-Identifier: Apache-2.0
"""One running step on this host, as the flows see it."""

from collections.abc import Callable
import contextlib
import dataclasses
import math
from typing import Any
from typing import cast
from typing import TypeVar

from oslo_log import log as logging

from minova import cancellation
from minova import clock
from minova import exception
from minova.compute import step_secrets
from minova.compute.change_tracker import ChangeTracker
from minova.compute.conductor_client import ConductorClient
from minova.compute.image_cache import ImageCache
from minova.compute.image_uploads import ImageUploads
from minova.compute.step_secrets import StepSecrets
from minova.context import Context
from minova.flows.base import AnyComputeStep
from minova.flows.base import ComputeStep
from minova.flows.base import ResultT
from minova.objects import checkpoints
from minova.objects.checkpoints import Checkpoint
from minova.objects.migration import Migration
from minova.objects.operation_params import LiveMigrateParams
from minova.objects.operation_params import RescueImage
from minova.objects.step import StepAssignment
from minova.virt import spec as specs
from minova.virt.driver import Driver
from minova.virt.driver import GuestSpec
from minova.virt.driver import Peer
from minova.virt.driver import TransferProgress

LOG = logging.getLogger(__name__)

T = TypeVar('T')

#: Seconds between two calls to a host that does not answer.
_RETRY_DELAY = 1.0
#: Seconds between two reports of the progress of a step.
_REPORT_INTERVAL = 2.0


class StepContext:
    """The assignment of a step, with its host and the conductor."""

    def __init__(
        self,
        assignment: StepAssignment,
        host: str,
        driver: Driver,
        images: ImageCache,
        conductor: ConductorClient,
        request_abort: Callable[[str, str], None],
        request_force: Callable[[str, str], bool],
        secrets: StepSecrets,
    ) -> None:
        self.host = host
        self.kind = assignment.kind
        self.generation = assignment.generation
        self.instance = assignment.instance
        self.params = assignment.params
        self.old_vm_state = assignment.old_vm_state
        self.is_resumed = assignment.is_resumed
        self._checkpoints = list(assignment.checkpoints)
        self.context = Context.from_values(assignment.request_context)
        self._assignment = assignment
        self._driver, self._tracker = ChangeTracker.of(driver)
        self._images = images
        #: The images that the step stores.
        self.images = ImageUploads(images.service)
        self._conductor = conductor
        self._times_replaced = conductor.times_replaced
        self._request_abort = request_abort
        self._request_force = request_force
        self._secrets = secrets
        #: The migration must end soon, at the cost of the guest. The request
        #: may be older than this start of the step.
        self.force_requested = (
            isinstance(assignment.params, LiveMigrateParams)
            and assignment.params.force_requested is not None
        )
        self._nested = dict(assignment.nested_steps)
        self._deadline = clock.monotonic() + assignment.seconds_left
        self._reported_at = clock.monotonic()
        self._local_paths: dict[str, str] = {}
        self._image_uses = contextlib.ExitStack()
        #: Ends every wait of the step.
        self.stop_signal = cancellation.Signal()
        #: Ends those that an abort of the operation ends.
        self._cancel_signal = cancellation.Signal()

    @property
    def driver(self) -> Driver:
        """The hypervisor; Stale when another incarnation has registered.

        A process that was suspended must not change guests that a newer
        incarnation has changed since.
        """
        self._conductor.require_newest(self._times_replaced)
        return self._driver

    @property
    def is_guest_untouched(self) -> bool:
        """Whether the step has certainly not changed its guest.

        An earlier attempt, which was interrupted, may have changed it.
        """
        return not self.is_resumed and not self._tracker.has_changed_guest

    @property
    def migration(self) -> Migration:
        """The migration record of the operation."""
        move = self._assignment.migration
        if move is None:
            raise LookupError(f'{self.kind} has no migration')
        return move

    # -- the guest -----------------------------------------------------------

    def spec(
        self, fetch_kernel: bool = False, rescue: RescueImage | None = None
    ) -> GuestSpec:
        """Return the definition of the guest for the hypervisor.

        With ``fetch_kernel`` the kernel and ramdisk of the image, if any, are
        on this host. ``rescue`` is the image of a rescue disk.
        """
        spec = specs.from_instance(
            self.instance,
            self._assignment.operation,
            self._assignment.generation,
            rescue.as_dict() if rescue else None,
            self._assignment.placement,
        )
        if not fetch_kernel:
            return spec
        return dataclasses.replace(
            spec,
            kernel=self._fetch(self.instance.kernel_id),
            ramdisk=self._fetch(self.instance.ramdisk_id),
        )

    def fetch_image(self, image_id: str | None = None) -> str | None:
        """Return the local path of an image, by default the instance's.

        None for a driver without images, or an instance without image.
        """
        return self._fetch(image_id or self.instance.image_ref)

    def _fetch(self, image_id: str) -> str | None:
        """Keep an image on this host until the step ends; return its path."""
        if not self._driver.uses_images or not image_id:
            return None
        if image_id not in self._local_paths:
            self._local_paths[image_id] = self._image_uses.enter_context(
                self._images.use(self.context, image_id)
            )
        return self._local_paths[image_id]

    def close(self) -> None:
        """Release the images: the step has ended."""
        self._local_paths.clear()
        self._image_uses.close()

    def peer(self) -> Peer:
        """Return the other host of the migration."""
        move = self.migration
        if move.source_host == self.host:
            return Peer(str(move.dest_host), str(move.dest_ip))
        return Peer(move.source_host, '')

    def is_current_generation(self, generation: int | None) -> bool:
        """Tell whether this operation defined the guest last."""
        return generation == self.generation

    # -- the secret ----------------------------------------------------------

    def wait_for_secret(self, timeout: float) -> str | None:
        """Return the secret of the step; None if it does not arrive."""
        return self._secrets.get(self._assignment.step, timeout)

    def encrypt_for_owner(self, secret: str) -> str | None:
        """Encrypt a secret with the key of the server; None without one."""
        return step_secrets.encrypt_for_key(secret, self.instance.key_data)

    # -- the conductor and other hosts ---------------------------------------

    def save_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Record a checkpoint; Stale after a takeover."""
        self._nested |= self._conductor.save_checkpoint(
            self.context, self._assignment.step, checkpoint
        )
        self._checkpoints.append(checkpoint)

    def find_checkpoint(
        self, kind: type[checkpoints.CheckpointT]
    ) -> checkpoints.CheckpointT | None:
        """Return the checkpoint of a class that was passed, or None."""
        return checkpoints.find(self._checkpoints, kind)

    def call_step(
        self,
        step: type[ComputeStep[Any, ResultT]],
        host: str,
        timeout: float = math.inf,
    ) -> ResultT:
        """Run a nested step on another host; return its result.

        Repeats the call while the host does not answer, for ``timeout``
        seconds and as long as the step is not cancelled; then raises
        GuestMigrationFailed.
        """
        number = self._nested[step.method]
        can_cancel = timeout < math.inf
        signal = self._cancel_signal if can_cancel else self.stop_signal
        with cancellation.scope(signal):
            result = self._call_until_answered(
                f'{step.method} on {host}',
                lambda: self._conductor.call_step(
                    self.context, host, step.method, number
                ),
                timeout,
            )
        return cast(ResultT, result)

    def _call_until_answered(
        self, what: str, call: Callable[[], T], timeout: float = math.inf
    ) -> T:
        """Repeat a call to another host until it answers.

        Raises GuestMigrationFailed after ``timeout`` seconds. A cancelled
        call may take effect late, as one without an answer.
        """
        until = clock.monotonic() + timeout
        last_logged = None
        while True:
            try:
                return cancellation.call(what, call)
            except exception.Unavailable as error:
                away = error
            if clock.monotonic() >= until:
                raise exception.GuestMigrationFailed(
                    instance_id=self.instance.uuid, reason=f'{what}: {away}'
                ) from away
            last_logged = self._log_once(f'{what}: {away}', last_logged)
            cancellation.wait(_RETRY_DELAY)

    def get_power_state(self, host: str) -> int | None:
        """Return the power state of the guest on another host, None: no guest.

        Repeats the call until the host answers.
        """
        return self._call_until_answered(
            f'power state of the guest on {host}',
            lambda: self._conductor.guest_power_state(
                self.context, host, self.instance.uuid
            ),
        )

    def _log_once(self, text: str, last_logged: str | None) -> str:
        """Log a reason for a retry once; return it."""
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
        """Report the progress of the migration, in bytes."""
        self._conductor.report_progress(
            self.context, self.migration.id, byte_counts
        )

    def report_copy(self, progress: TransferProgress) -> None:
        """Report the progress of the copy of a disk: the first half."""
        if progress.total:
            self._report_percent(50 * progress.done // progress.total)

    def report_upload(self, sent: int, size: int) -> None:
        """Report the progress of an upload: the second half."""
        self.check_cancelled()
        self._report_percent(50 + 50 * sent // max(size, 1))

    def _report_percent(self, percent: int) -> None:
        now = clock.monotonic()
        if now - self._reported_at >= _REPORT_INTERVAL:
            self._reported_at = now
            self._conductor.report_step_progress(
                self.context, self._assignment.step, percent
            )

    # -- cancellation --------------------------------------------------------

    def request_abort(self, step: type[AnyComputeStep]) -> None:
        """Cancel ``step`` of the same instance if it runs on this host."""
        self._request_abort(self.instance.uuid, step.method)

    def request_force(self, step: type[AnyComputeStep]) -> bool:
        """Set ``force_requested`` of such a step; False if none runs."""
        return self._request_force(self.instance.uuid, step.method)

    def cancel(self, reason: exception.Cancelled) -> None:
        """Cancel the step on request: at its next check, or in a call."""
        self._cancel_signal.set(reason)

    def stop(self, reason: Exception) -> None:
        """End the waits of the step with ``reason``, Stale or a stop."""
        self.stop_signal.set(reason)
        self._cancel_signal.set(reason)

    def check_cancelled(self) -> None:
        """Raise Cancelled or Stale when the step must stop."""
        self.stop_signal.check()
        self._cancel_signal.check()

    def wait(self, seconds: float) -> None:
        """Wait; raise Stale as soon as a newer operation stops the step.

        Raises ServiceStopping as soon as the service stops; the next
        incarnation then resumes the step.
        """
        self.stop_signal.wait(seconds)

    def pause(self, seconds: float) -> None:
        """Wait at most until the step must stop, for a caller that checks."""
        self.stop_signal.pause(seconds)

    def seconds_left(self) -> float:
        """Return the seconds until the deadline of the operation."""
        return self._deadline - clock.monotonic()
