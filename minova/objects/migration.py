# SPDX-License-Identifier: Apache-2.0
"""The record of one resize or migration of one instance."""

import datetime

from minova.objects import base
from minova.objects import flavor


@base.register
class Migration(base.Object):
    """A cold migration, a resize or a live migration.

    ``migration_states`` has the table of ``kind`` and ``status``.
    ``old_vm_state`` is the vm_state before the operation. The memory and disk
    counts are in bytes.
    """

    VERSION = '1.0'

    id: int
    uuid: str
    instance_uuid: str
    operation_id: str
    kind: str
    status: str
    old_vm_state: str
    source_host: str
    source_node: str
    dest_host: str | None
    dest_node: str | None
    dest_ip: str | None
    old_flavor: flavor.Flavor
    new_flavor: flavor.Flavor
    user_id: str | None
    project_id: str | None
    memory_total: int | None
    memory_processed: int | None
    memory_remaining: int | None
    disk_total: int | None
    disk_processed: int | None
    disk_remaining: int | None
    created_at: datetime.datetime | None
    updated_at: datetime.datetime | None

    @property
    def is_same_host(self) -> bool:
        """Tell whether source and destination are one host."""
        return self.source_host == self.dest_host
