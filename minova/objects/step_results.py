# SPDX-License-Identifier: Apache-2.0
"""The results of steps: a class for each step that has any.

``run`` of a step returns the result, ``on_success`` reads it, and the row of
the step holds it in its wire form.
"""

from minova.objects import base
from minova.objects.live_migrate_data import LiveMigrateData
from minova.objects.transfer_ticket import TransferTicket


@base.register
class StepResult(base.Object):
    """The base class of all results."""

    VERSION = '1.0'


@base.register
class NoResult(StepResult):
    """A step whose end says everything."""

    VERSION = '1.0'


@base.register
class HostSelected(StepResult):
    """build_instances, migrate_server: the host with the new claim."""

    VERSION = '1.0'

    host: str


@base.register
class HostFenced(StepResult):
    """fence_host: the program that fenced the host, and what it answered.

    ``output`` has at most 255 characters, ``seconds`` is its duration.
    """

    VERSION = '1.0'

    host: str
    agent: str
    exit_code: int
    output: str
    seconds: float

    def describe(self) -> str:
        """Return the result as operators read it."""
        printed = f': {self.output}' if self.output else ''
        return (
            f'{self.host} fenced by {self.agent}, exit code '
            f'{self.exit_code} after {self.seconds:.1f} s{printed}'
        )


@base.register
class GuestState(StepResult):
    """The power state of the guest at the end of the step."""

    VERSION = '1.0'

    power_state: int


@base.register
class GuestSettled(GuestState):
    """settle_guest and its kin: which copy of the guest is the good one.

    ``is_new``: that on the destination, or the new disks of a rebuild.
    """

    VERSION = '1.0'

    is_new: bool


@base.register
class GuestBuilt(GuestState):
    """build_and_run_instance: whether the guest got a config drive."""

    VERSION = '1.0'

    config_drive: bool


@base.register
class PasswordSet(StepResult):
    """set_admin_password: the password for the owner of the server's key.

    In base64, encrypted with that key; None without an RSA key.
    """

    VERSION = '1.0'

    encrypted_password: str | None


@base.register
class DestinationPrepared(StepResult):
    """prep_resize: the permission to send disks; None on the same host."""

    VERSION = '1.0'

    transfer_ticket: TransferTicket | None = None


@base.register
class DisksSent(GuestState):
    """resize_instance: the bytes of the disks that were sent.

    The counts are None when no disks were sent, or when an earlier attempt
    sent them.
    """

    VERSION = '1.0'

    disk_total: int | None = None
    disk_processed: int | None = None
    disk_remaining: int | None = None


@base.register
class LiveMigrationPrepared(StepResult):
    """pre_live_migration: the agreement, completed by the destination."""

    VERSION = '1.0'

    migrate_data: LiveMigrateData
