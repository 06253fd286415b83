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
from minova.compute.asking import Asking
from minova.compute.asking import Stopping
from minova.compute.image_cache import ImageCache
from minova.context import Context
from minova.flows.chain import Facts
from minova.flows.chain import HostStep
from minova.objects.migration import Migration
from minova.objects.step import Ticket
from minova.virt import spec as specs
from minova.virt.driver import Driver
from minova.virt.driver import Peer
from minova.virt.driver import Spec

LOG = logging.getLogger(__name__)

#: Seconds between two tries to reach another host.
_AGAIN = 1.0


class Job:
    """What a step's work sees: its ticket, the host, the conductor."""

    def __init__(
        self,
        ticket: Ticket,
        host: str,
        driver: Driver,
        images: ImageCache,
        asking: Asking,
        cancel: Callable[[str, str], None],
        force: Callable[[str, str], bool],
        leaving: clock.Event,
    ) -> None:
        self.host = host
        self.kind = ticket.kind
        self.instance = ticket.instance
        self.params = ticket.params
        self.args = ticket.args
        self.origin = ticket.origin
        self.resumed = ticket.resumed
        self.passed = dict(ticket.saved)
        self.context = Context.of(ticket.asker)
        self._ticket = ticket
        self._driver = driver
        self._images = images
        self._asking = asking
        self._replaced = asking.replaced
        self._cancel = cancel
        self._force = force
        #: Somebody may have asked for it while nobody was at work.
        self.forced = bool(ticket.params.get('forced'))
        self._leaving = leaving
        self._nested = dict(ticket.nested)
        self._ends_at = clock.monotonic() + ticket.seconds_left
        self._local_paths: dict[str, str] = {}
        self._used = contextlib.ExitStack()
        self._unwanted: exception.MinovaException | None = None

    @property
    def driver(self) -> Driver:
        """The hypervisor; Stale for a start of the service that is replaced.

        So who was stopped for a while does not touch guests that another
        start has changed since.
        """
        self._asking.require_newest(self._replaced)
        return self._driver

    @property
    def migration(self) -> Migration:
        """The record of the move."""
        move = self._ticket.migration
        if move is None:
            raise LookupError(f'{self.kind} makes no move')
        return move

    # -- what is to be made --------------------------------------------------

    def spec(self, fetched: bool = False, rescue: Facts | None = None) -> Spec:
        """Return what the hypervisor is to know of the guest.

        With ``fetched`` the kernel and its ramdisk, if it has any, are on
        this host, for disks to be made with.
        """
        spec = specs.of(
            self.instance,
            self._ticket.operation,
            self._ticket.generation,
            rescue,
        )
        if not fetched:
            return spec
        return dataclasses.replace(
            spec,
            kernel=self._local(self.instance.kernel_id),
            ramdisk=self._local(self.instance.ramdisk_id),
        )

    def image(self, image_id: str | None = None) -> str | None:
        """Return the path of an image, the instance's own, on this host."""
        return self._local(image_id or self.instance.image_ref)

    def _local(self, image_id: str) -> str | None:
        """Have an image on this host until the work ends; return its path."""
        if not self._driver.uses_images or not image_id:
            return None
        if image_id not in self._local_paths:
            self._local_paths[image_id] = self._used.enter_context(
                self._images.use(self.context, image_id)
            )
        return self._local_paths[image_id]

    def close(self) -> None:
        """Let go of the images: the work has ended."""
        self._local_paths.clear()
        self._used.close()

    def peer(self) -> Peer:
        """Return the other host of the move."""
        move = self.migration
        if move.source_host == self.host:
            return Peer(str(move.dest_host), str(move.dest_ip))
        return Peer(move.source_host, '')

    def is_mine(self, generation: int | None) -> bool:
        """Tell whether a guest was last defined by this operation."""
        return generation == self._ticket.generation

    # -- the conductor and other hosts ---------------------------------------

    def save(self, milestone: str, **facts: Any) -> None:
        """Record that a point was passed; Stale when taken over."""
        self._nested |= self._asking.save(
            self.context, self._ticket.step, milestone, facts
        )
        self.passed[milestone] = facts

    def call(
        self, step: type[HostStep], host: str, patience: float = math.inf
    ) -> Facts:
        """Let another host run a nested step; return its result."""
        number = self._nested[step.method]
        until = clock.monotonic() + patience
        told = None
        while True:
            try:
                return self._asking.other(
                    self.context, host, step.method, number
                )
            except exception.Unavailable as error:
                away = error
            if clock.monotonic() >= until:
                raise exception.GuestMigrationFailed(
                    instance_id=self.instance.uuid,
                    reason=f'{host} did not do its part: {away}',
                ) from away
            told = self._tell_once(f'{step.method} on {host}: {away}', told)
            self.wait(_AGAIN)
            if patience == math.inf:
                self._require_wanted()
            else:
                self.check()

    def probe(self, host: str) -> int | None:
        """Ask another host for the guest's power state until it answers."""
        told = None
        while True:
            try:
                return self._asking.probe(
                    self.context, host, self.instance.uuid
                )
            except exception.Unavailable as error:
                away = error
            told = self._tell_once(
                f'whether the guest runs at {host} is asked again: {away}',
                told,
            )
            self.wait(_AGAIN)
            self._require_wanted()

    def _tell_once(self, text: str, told: str | None) -> str:
        """Log why it is tried again, unless it is what was told before."""
        if text != told:
            LOG.warning(
                '%s %s of %s: %s',
                self.kind,
                self._ticket.operation,
                self.instance.uuid,
                text,
            )
        return text

    def report(self, **figures: int) -> None:
        """Tell how far a migration is."""
        self._asking.report(self.context, self.migration.id, figures)

    # -- whether it is wanted ------------------------------------------------

    def cancel(self, step: type[HostStep]) -> None:
        """Let ``step`` of the same instance, at work here, stop."""
        self._cancel(self.instance.uuid, step.method)

    def force(self, step: type[HostStep]) -> bool:
        """Let ``step``, as above, end soon; False when it is not at work."""
        return self._force(self.instance.uuid, step.method)

    def stop(self, reason: exception.MinovaException) -> None:
        """Let the work end at its next look; Stale outlasts Cancelled."""
        if not isinstance(self._unwanted, exception.Stale):
            self._unwanted = reason

    def check(self) -> None:
        """Raise Cancelled or Stale when the work is not wanted any more."""
        if self._unwanted is not None:
            raise self._unwanted

    def _require_wanted(self) -> None:
        if isinstance(self._unwanted, exception.Stale):
            raise self._unwanted

    def wait(self, seconds: float) -> None:
        """Let time pass; ``check`` afterwards.

        When the service ends the work ends here, and is gone on with by the
        next start of the service.
        """
        if self._leaving.wait(seconds):
            raise Stopping(self._ticket.method)

    def seconds_left(self) -> float:
        """Seconds until the operation's deadline."""
        return self._ends_at - clock.monotonic()
