# SPDX-License-Identifier: Apache-2.0
"""What a compute reports of its host and of the guests on it."""

from typing import Any

from minova.objects import base
from minova.objects import fields


@base.register
class HostReport(base.Object):
    """A host, what it has and how much of it may be promised.

    ``memory_mb`` and ``disk_gb`` are what the machine has; ``reserved_*`` is
    kept for the host itself. The ratios say how often each resource may be
    promised.
    """

    VERSION = '1.0'

    fields = {
        'host': fields.text(),
        'incarnation': fields.text(),
        'version': fields.text(),
        'address': fields.text(),
        'availability_zone': fields.text(),
        'hypervisor_hostname': fields.text(),
        'hypervisor_type': fields.text(),
        'hypervisor_version': fields.integer(),
        'cpu_info': fields.json(),
        'vcpus': fields.integer(),
        'memory_mb': fields.integer(),
        'disk_gb': fields.integer(),
        'reserved_memory_mb': fields.integer(),
        'reserved_disk_gb': fields.integer(),
        'cpu_allocation_ratio': fields.floating(),
        'ram_allocation_ratio': fields.floating(),
        'disk_allocation_ratio': fields.floating(),
    }

    host: str
    incarnation: str
    version: str
    address: str
    availability_zone: str
    hypervisor_hostname: str
    hypervisor_type: str
    hypervisor_version: int
    cpu_info: dict[str, Any]
    vcpus: int
    memory_mb: int
    disk_gb: int
    reserved_memory_mb: int
    reserved_disk_gb: int
    cpu_allocation_ratio: float
    ram_allocation_ratio: float
    disk_allocation_ratio: float


@base.register
class GuestReport(base.Object):
    """What a hypervisor says of one guest.

    ``power_state`` is None when it does not know the guest. ``generation`` is
    that of the row it was compared with (-1: no row of this host), ``guest_generation``
    that of the operation which last defined the guest.
    """

    VERSION = '1.0'

    fields = {
        'uuid': fields.text(),
        'power_state': fields.integer(nullable=True),
        'generation': fields.integer(),
        'guest_generation': fields.integer(nullable=True),
        'reason': fields.text(nullable=True),
    }

    uuid: str
    power_state: int | None
    generation: int
    guest_generation: int | None
    reason: str | None


@base.register
class HostArtifact(base.Object):
    """All that a host has under one uuid, whosever it is.

    ``power_state`` is None without a guest; ``is_incoming`` says that there is
    room for one that comes. ``operation`` and ``generation`` are the guest's
    guest_generation, None for one that Minova never defined. ``has_disks`` says that they are
    whole, ``has_retained_disks`` that some are kept for a way back, ``has_partial_disks`` that there
    are parts of a copy or a removal that was cut short, ``has_reserved_addresses`` that a
    network of the host keeps addresses for it.
    """

    # 1.1: has_reserved_addresses
    VERSION = '1.1'

    fields = {
        'uuid': fields.text(),
        'power_state': fields.integer(nullable=True),
        'is_incoming': fields.boolean(),
        'operation': fields.text(nullable=True),
        'generation': fields.integer(nullable=True),
        'has_disks': fields.boolean(),
        'has_retained_disks': fields.boolean(),
        'has_partial_disks': fields.boolean(),
        'has_config_drive': fields.boolean(),
        'has_reserved_addresses': fields.boolean(),
    }

    uuid: str
    power_state: int | None
    is_incoming: bool
    operation: str | None
    generation: int | None
    has_disks: bool
    has_retained_disks: bool
    has_partial_disks: bool
    has_config_drive: bool
    has_reserved_addresses: bool

    def obj_make_compatible(
        self, primitive: dict[str, Any], target_version: str
    ) -> None:
        """Leave out what older ones do not know."""
        super().obj_make_compatible(primitive, target_version)
        if target_version == '1.0':
            primitive.pop('has_reserved_addresses', None)

    def obj_load_attr(self, attrname: str) -> None:
        """Say that there is nothing where an older host has said nothing."""
        if attrname != 'has_reserved_addresses':
            super().obj_load_attr(attrname)
        self.has_reserved_addresses = False
