# SPDX-License-Identifier: Apache-2.0
"""What every repair asks first: is the instance still as it was found?"""

from minova import exception
from minova.audit.findings import Finding
from minova.db.connections.engine import Connection
from minova.db.queries import instances
from minova.objects.instance import Instance


def lock_instance(connection: Connection, finding: Finding) -> Instance:
    """Lock the finding's instance; Stale unless it is as it was found."""
    uuid = str(finding.instance)
    found = instances.get(connection, uuid, lock=True, deleted=True)
    if found is None:
        raise exception.InstanceNotFound(instance_id=uuid)
    return require_unchanged(found, finding)


def require_unchanged(instance: Instance, finding: Finding) -> Instance:
    """Return a locked instance; Stale unless it is as it was found."""
    if instance.generation != finding.generation:
        raise stale_error(instance.uuid)
    return instance


def stale_error(what: str) -> exception.Stale:
    """Return the error for a finding that is not true any more."""
    return exception.Stale(what=what, holder='what was found')
