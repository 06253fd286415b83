# SPDX-License-Identifier: Apache-2.0
"""The parameters of operations: one class for each kind that has any.

The row of an operation holds them in their wire form. ``params_class`` of a
flow (``minova.flows``) names the class of its kind.
"""

import datetime
from typing import Any

from minova.objects import base
from minova.objects.flavor import Flavor
from minova.objects.live_migrate_data import LiveMigrateData
from minova.objects.snapshot_image import SnapshotImage


@base.register
class OperationParams(base.Object):
    """The base class of all parameters."""

    VERSION = '1.0'


@base.register
class NoParams(OperationParams):
    """A kind that needs no parameters."""

    VERSION = '1.0'


@base.register
class CreateParams(OperationParams):
    """create: the name of the image, and the requested host."""

    VERSION = '1.0'

    image_name: str = ''
    host: str | None = None


@base.register
class MigrateParams(OperationParams):
    """migrate: the requested destination, None for any."""

    VERSION = '1.0'

    host: str | None = None


@base.register
class ResizeParams(MigrateParams):
    """resize: the new flavor."""

    VERSION = '1.0'

    flavor: Flavor


@base.register
class UnconfirmedResizeParams(OperationParams):
    """confirm_resize, revert_resize: the id of the finished migration."""

    VERSION = '1.0'

    migration_id: int


@base.register
class LiveMigrateParams(OperationParams):
    """live_migrate: the request, and what later operations ask of it.

    ``block_migration`` None: copy the disks unless both hosts share them.
    ``force``: migrate to ``host`` although it is disabled or in a zone that
    the server must not be in.
    ``abort_requested`` and ``force_requested`` are the ids of the operations
    that ask for the abort and for the forced completion.
    """

    VERSION = '1.0'

    host: str | None = None
    force: bool = False
    block_migration: bool | None = None
    disk_over_commit: bool | None = None
    abort_requested: str | None = None
    force_requested: str | None = None


@base.register
class PreemptParams(OperationParams):
    """The parameters of an operation that may preempt another one.

    ``preempted`` is the id of the operation that was preempted,
    ``other_hosts`` are the hosts other than the instance's own that may hold
    parts of the instance.
    """

    VERSION = '1.0'

    preempted: str | None = None
    other_hosts: list[str]


@base.register
class DeleteParams(PreemptParams):
    """delete, force_delete: the state of the instance when it is deleted.

    ``host_down``: the compute of the instance's host is down, or its
    hypervisor cannot be used.
    """

    VERSION = '1.0'

    host_down: bool


@base.register
class EvacuateParams(PreemptParams):
    """evacuate: the request, and the vm_state in which it ends.

    ``force``: use ``host`` although it is disabled or in a zone that the
    server must not be in. ``fences_host``: the old host must be fenced first,
    not before ``begins_at``, when it counts as down. ``needs_disk_lock``:
    only the lock of a shared disk proves that the old host does not run the
    guest. ``on_shared_storage`` is the claim of a request below 2.14, None
    when the destination finds out. ``keeps_disks``: the destination has taken
    the shared disks of the old host.
    """

    VERSION = '1.0'

    host: str | None = None
    force: bool = False
    fences_host: bool = False
    begins_at: datetime.datetime | None = None
    needs_disk_lock: bool = False
    on_shared_storage: bool | None = None
    keeps_disks: bool = False
    target_state: str
    image_name: str = ''


@base.register
class ResetStateParams(PreemptParams):
    """reset_state: the new vm_state, and what its hosts must settle.

    ``mode`` is the value of a ``flows.reset_state.Mode``: what the preempted
    operation has left. ``migration_id`` is that of its migration. The instance
    has its claim on the destination if ``claims_dest``, else on the source;
    ``consumer`` has the claim on the other host. ``was_active``: the guest ran
    before. ``migrate_data`` is that of a live migration, ``before`` has the
    fields that a rebuild has changed. ``keeps_disks`` is that of an
    evacuation.
    """

    VERSION = '1.0'

    target_state: str
    mode: str
    migration_id: int | None = None
    claims_dest: bool = False
    consumer: str | None = None
    was_active: bool = False
    migrate_data: LiveMigrateData | None = None
    keeps_disks: bool = False
    before: dict[str, Any] = {}


@base.register
class SoftDeleteParams(OperationParams):
    """soft_delete: whether the guest's host, or its hypervisor, is down."""

    VERSION = '1.0'

    host_down: bool


@base.register
class LockParams(OperationParams):
    """lock: who locks the instance, LOCKED_BY_OWNER or _ADMIN, and why."""

    VERSION = '1.0'

    locked_by: str
    reason: str | None = None


@base.register
class AdminPasswordParams(OperationParams):
    """set_admin_password: the user in the guest; never the password."""

    VERSION = '1.0'

    user: str


@base.register
class CleanupStaleGuestParams(OperationParams):
    """cleanup_stale_guest: the host that removes what it has.

    ``retained_only``: the host owns the instance and removes nothing but the
    retained disks of a resize that can no longer be reverted.
    """

    VERSION = '1.0'

    host: str
    retained_only: bool = False


@base.register
class PowerSyncParams(OperationParams):
    """power_sync: the states that the instance takes over from its guest."""

    VERSION = '1.0'

    vm_state: str
    power_state: int


@base.register
class RebuildParams(OperationParams):
    """rebuild: the fields of the instance that change, before and after.

    ``image_name`` is that of the new image. ``preserve_ephemeral`` keeps the
    ephemeral disk.
    """

    VERSION = '1.0'

    image_name: str = ''
    changes: dict[str, Any]
    before: dict[str, Any]
    preserve_ephemeral: bool = False


@base.register
class RescueImage(base.Object):
    """The image from which a guest starts while it is rescued."""

    VERSION = '1.0'

    image_id: str
    name: str
    disk_format: str | None


@base.register
class RescueParams(OperationParams):
    """rescue, unrescue: the rescue image, None for the instance's own."""

    VERSION = '1.0'

    image: RescueImage | None = None


@base.register
class InterfaceParams(OperationParams):
    """attach_interface, detach_interface and the actions on fixed IPs.

    ``nic`` is the NIC of ``Instance.network_info``. ``is_new``: the port was
    allocated for the operation, which releases it when it fails.
    """

    VERSION = '1.0'

    nic: dict[str, Any]
    is_new: bool = False


@base.register
class SnapshotParams(OperationParams):
    """snapshot: the image that the server's disk becomes.

    ``quiesce``: the guest agent freezes the file systems for the copy.
    """

    VERSION = '1.0'

    image: SnapshotImage
    quiesce: bool = False


@base.register
class BackupParams(OperationParams):
    """backup: the image, and how many of its kind remain.

    ``image`` is None with a ``rotation`` of 0, which only deletes backups.
    ``project_id`` owns the backups, ``backup_type`` is their kind.
    """

    VERSION = '1.0'

    image: SnapshotImage | None = None
    quiesce: bool = False
    project_id: str
    backup_type: str
    rotation: int


@base.register
class DiscardSnapshotParams(OperationParams):
    """discard_snapshot: the host of a snapshot without owner, and its image.

    ``image_id`` is None for copies on the host whose image is not known.
    """

    VERSION = '1.0'

    host: str
    image_id: str | None = None


@base.register
class ShelveParams(OperationParams):
    """shelve: the image that the server's disk becomes."""

    VERSION = '1.0'

    image: SnapshotImage


@base.register
class UnshelveParams(OperationParams):
    """unshelve: the format of the image, and the requested destination.

    ``sets_zone``: the server stays in ``availability_zone`` from now on, None
    for any; ``previous_zone`` is that of its request before.
    """

    VERSION = '1.0'

    disk_format: str | None = None
    host: str | None = None
    sets_zone: bool = False
    availability_zone: str | None = None
    previous_zone: str | None = None
