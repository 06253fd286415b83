# SPDX-License-Identifier: Apache-2.0
"""The job that libvirt runs for a domain, if it is a migration."""

from typing import Final

import libvirt

from minova import exception
from minova.virt.driver import MigrationStatus
from minova.virt.libvirt.errors import error_message
from minova.virt.libvirt.errors import has_error_code

_OUT: Final = libvirt.VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT
_UNDER_WAY: Final = (
    libvirt.VIR_DOMAIN_JOB_BOUNDED,
    libvirt.VIR_DOMAIN_JOB_UNBOUNDED,
)


def migration_job_status(
    uuid: str, domain: libvirt.virDomain
) -> MigrationStatus | None:
    """Return the progress of an outgoing migration, None without one."""
    stats = _job_stats(uuid, domain)
    # Other jobs, such as managedSave, have another operation.
    operation = stats.get('operation', _OUT)
    if stats.get('type') not in _UNDER_WAY or operation != _OUT:
        return None

    def count(name: str) -> int:
        return int(stats.get(name, 0))

    return MigrationStatus(
        'running',
        memory_total=count('memory_total'),
        memory_processed=count('memory_processed'),
        memory_remaining=count('memory_remaining'),
        disk_total=count('disk_total'),
        disk_processed=count('disk_processed'),
        disk_remaining=count('disk_remaining'),
    )


def _job_stats(uuid: str, domain: libvirt.virDomain) -> dict[str, int]:
    """Return the statistics of a domain's job, {} for one that is off."""
    try:
        stats: dict[str, int] = domain.jobStats()
    except libvirt.libvirtError as error:
        if has_error_code(
            error,
            libvirt.VIR_ERR_NO_DOMAIN,
            libvirt.VIR_ERR_OPERATION_INVALID,
        ):
            return {}
        raise exception.GuestFailed(
            instance_id=uuid, reason=error_message(error)
        ) from error
    return stats
