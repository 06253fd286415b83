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
        'cpu_ratio': fields.number(),
        'memory_ratio': fields.number(),
        'disk_ratio': fields.number(),
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
    cpu_ratio: float
    memory_ratio: float
    disk_ratio: float


@base.register
class GuestReport(base.Object):
    """What a hypervisor says of one guest.

    ``power_state`` is None when it does not know the guest. ``generation`` is
    that of the row it was compared with (-1: no row of this host), ``mark``
    that of the operation which last defined the guest.
    """

    VERSION = '1.0'

    fields = {
        'uuid': fields.text(),
        'power_state': fields.integer(nullable=True),
        'generation': fields.integer(),
        'mark': fields.integer(nullable=True),
        'reason': fields.text(nullable=True),
    }

    uuid: str
    power_state: int | None
    generation: int
    mark: int | None
    reason: str | None


@base.register
class Holding(base.Object):
    """All that a host has under one uuid, whosever it is.

    ``power_state`` is None without a guest; ``arriving`` says that there is
    room for one that comes. ``operation`` and ``generation`` are the guest's
    mark, None for one that Minova never defined. ``disks`` says that they are
    whole, ``aside`` that some are kept for a way back, ``scraps`` that there
    are parts of a copy or a removal that was cut short, ``reserved`` that a
    network of the host keeps addresses for it.
    """

    # 1.1: reserved
    VERSION = '1.1'

    fields = {
        'uuid': fields.text(),
        'power_state': fields.integer(nullable=True),
        'arriving': fields.flag(),
        'operation': fields.text(nullable=True),
        'generation': fields.integer(nullable=True),
        'disks': fields.flag(),
        'aside': fields.flag(),
        'scraps': fields.flag(),
        'config_drive': fields.flag(),
        'reserved': fields.flag(),
    }

    uuid: str
    power_state: int | None
    arriving: bool
    operation: str | None
    generation: int | None
    disks: bool
    aside: bool
    scraps: bool
    config_drive: bool
    reserved: bool

    def obj_make_compatible(
        self, primitive: dict[str, Any], target_version: str
    ) -> None:
        """Leave out what older ones do not know."""
        super().obj_make_compatible(primitive, target_version)
        if target_version == '1.0':
            primitive.pop('reserved', None)

    def obj_load_attr(self, attrname: str) -> None:
        """Say that there is nothing where an older host has said nothing."""
        if attrname != 'reserved':
            super().obj_load_attr(attrname)
        self.reserved = False
