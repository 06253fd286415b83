# SPDX-License-Identifier: Apache-2.0
"""The precondition of every repair: the instance is as the scan found it."""

from minova import exception
from minova.audit.findings import Finding
from minova.db.connections.engine import Connection
from minova.db.queries import instances
from minova.objects.instance import Instance


def lock_instance(connection: Connection, finding: Finding) -> Instance:
    """Lock the finding's instance; raise Stale if it has changed since."""
    uuid = str(finding.instance)
    found = instances.get(connection, uuid, lock=True, deleted=True)
    if found is None:
        raise exception.InstanceNotFound(instance_id=uuid)
    return require_unchanged(found, finding)


def require_unchanged(instance: Instance, finding: Finding) -> Instance:
    """Return a locked instance; raise Stale if it has changed since."""
    if instance.generation != finding.generation:
        raise stale_error(f'Instance {instance.uuid}')
    return instance


def stale_error(what: str) -> exception.Stale:
    """Return the error for a finding that no longer holds."""
    return exception.Stale(
        f'{what} has changed since the scan; run the audit again.'
    )
