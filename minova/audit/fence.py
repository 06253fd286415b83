# SPDX-License-Identifier: Apache-2.0
"""What every repair asks first: is the instance still as it was found?"""

from minova import exception
from minova.audit.findings import Finding
from minova.db import instances
from minova.db.engine import Connection
from minova.objects.instance import Instance


def lock(connection: Connection, finding: Finding) -> Instance:
    """Lock the finding's instance; Stale unless it is as it was found."""
    uuid = str(finding.instance)
    found = instances.get(connection, uuid, lock=True, deleted=True)
    if found is None:
        raise exception.InstanceNotFound(instance_id=uuid)
    return held(found, finding)


def held(instance: Instance, finding: Finding) -> Instance:
    """Return a locked instance; Stale unless it is as it was found."""
    if instance.generation != finding.generation:
        raise moved_on(instance.uuid)
    return instance


def moved_on(what: str) -> exception.Stale:
    """Return the error for a finding that is not true any more."""
    return exception.Stale(what=what, holder='what was found')
