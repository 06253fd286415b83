# SPDX-License-Identifier: Apache-2.0
"""The arguments of steps: a class for each step that has any.

The step that enqueues another one writes its arguments, and the row of the
step holds them in their wire form. The step that undoes a step gets the same
arguments.
"""

from minova.objects import base
from minova.objects.live_migrate_data import LiveMigrateData
from minova.objects.transfer_ticket import TransferTicket


@base.register
class StepArgs(base.Object):
    """The base class of all arguments."""

    VERSION = '1.0'


@base.register
class NoArgs(StepArgs):
    """A step that needs no arguments."""

    VERSION = '1.0'


@base.register
class SelectHostArgs(StepArgs):
    """build_instances, migrate_server: the hosts that have failed before.

    ``excluded_hosts`` has the reason of each by its name.
    """

    VERSION = '1.0'

    excluded_hosts: dict[str, str]


@base.register
class LiveMigrateArgs(StepArgs):
    """live_migration and its nested steps: what both hosts agreed on."""

    VERSION = '1.0'

    migrate_data: LiveMigrateData


@base.register
class ResizeInstanceArgs(StepArgs):
    """resize_instance: the permission to send disks to the destination.

    ``transfer_ticket`` is None when source and destination are one host.
    """

    VERSION = '1.0'

    transfer_ticket: TransferTicket | None


@base.register
class RescueArgs(StepArgs):
    """rescue_instance, unrescue_instance: whether the guest was running."""

    VERSION = '1.0'

    was_on: bool


@base.register
class RebuildInstanceArgs(StepArgs):
    """rebuild_instance: whether the guest was running."""

    VERSION = '1.0'

    was_on: bool


@base.register
class RecheckArgs(StepArgs):
    """terminate_instance: the hosts that clean up once more at its end."""

    VERSION = '1.0'

    recheck_hosts: list[str]


def recheck_hosts(args: StepArgs) -> list[str]:
    """Return the hosts that clean up once more at the end of a step."""
    return args.recheck_hosts if isinstance(args, RecheckArgs) else []


@base.register
class CleanupStaleGuestArgs(RecheckArgs):
    """cleanup_stale_guest: what to remove, as CleanupStaleGuestParams has it.

    ``recheck_hosts`` are the hosts that clean up once more at its end.
    ``shuts_down``: the host owned the instance, which was deleted before its
    guest was removed; the step emits the removal as ``shutdown``.
    """

    VERSION = '1.0'

    retained_only: bool = False
    shuts_down: bool = False


@base.register
class RemoveLeftoversArgs(StepArgs):
    """remove_leftovers: the consumer of the claim that the step releases."""

    VERSION = '1.0'

    consumer: str | None


@base.register
class SnapshotArgs(StepArgs):
    """snapshot_instance and its undo, discard_image: the id of the image.

    None: every copy of a disk on the host, or no image at all.
    """

    VERSION = '1.0'

    image_id: str | None
