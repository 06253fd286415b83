# SPDX-License-Identifier: Apache-2.0
"""The instance: the user's request and its current state."""

import datetime
from typing import Any
from typing import Final

from minova.objects import base
from minova.objects import flavor as flavor_object
from minova.objects import request_spec as request_spec_object

#: ``locked_by``: a member of the instance's project, or an administrator.
LOCKED_BY_OWNER: Final = 'owner'
LOCKED_BY_ADMIN: Final = 'admin'


@base.register
class Instance(base.Object):
    """One server of a user, as the database holds it.

    ``task_id`` is the id of the operation that owns the instance.
    ``generation`` counts the operations that began on the instance: an older
    operation has a smaller one. ``notification_seq`` is the sequence number of
    its last notification. ``usage_audited_until`` is the end of the last audit
    period whose ``exists`` was emitted, at first the time of the first launch.
    its last notification. ``encrypted_password`` is that of the administrator
    in the guest, encrypted with the user's key; None if it is not known.
    ``shelved_image_id`` is the image of a shelved server.
    """

    VERSION = '1.0'

    defaults = {'usage_audited_until': None}

    id: int
    uuid: str
    project_id: str
    user_id: str
    display_name: str
    display_description: str | None
    hostname: str
    reservation_id: str
    launch_index: int
    host: str | None
    node: str | None
    availability_zone: str | None
    request_spec: request_spec_object.RequestSpec
    vm_state: str
    task_state: str | None
    power_state: int
    task_id: str | None
    generation: int
    notification_seq: int
    progress: int | None
    flavor: flavor_object.Flavor
    image_ref: str
    image_meta: dict[str, Any]
    architecture: str | None
    os_type: str | None
    kernel_id: str
    ramdisk_id: str
    root_device_name: str | None
    metadata: dict[str, str]
    network_info: list[dict[str, Any]]
    key_name: str | None
    key_data: str | None
    encrypted_password: str | None
    user_data: str | None
    config_drive: bool
    auto_disk_config: bool
    locked: bool
    locked_by: str | None
    locked_reason: str | None
    shutdown_terminate: bool
    access_ip_v4: str | None
    access_ip_v6: str | None
    created_at: datetime.datetime | None
    updated_at: datetime.datetime | None
    launched_at: datetime.datetime | None
    terminated_at: datetime.datetime | None
    deleted_at: datetime.datetime | None
    usage_audited_until: datetime.datetime | None
    shelved_at: datetime.datetime | None
    shelved_image_id: str | None

    @property
    def name(self) -> str:
        """The name of its guest in the hypervisor."""
        return f'instance-{self.id:08x}'


@base.register
class InstanceState(base.Object):
    """The extract of an instance that power synchronization reads."""

    VERSION = '1.0'

    uuid: str
    vm_state: str
    power_state: int
    generation: int
    is_busy: bool
