# SPDX-License-Identifier: Apache-2.0
"""Repairs of ports."""

from minova import clock
from minova import exception
from minova import states
from minova.audit.findings import Finding
from minova.audit.port_rules import get_address
from minova.audit.preconditions import lock_instance
from minova.audit.preconditions import stale_error
from minova.db.connections.engine import Connection
from minova.db.queries import instances
from minova.db.queries import networks
from minova.db.queries import ports
from minova.db.queries.ports import Port


def release_port(
    connection: Connection, finding: Finding, publisher: str
) -> str:
    """Delete a port whose instance does not have its address."""
    uuid = str(finding.instance)
    if finding.generation is not None:
        instance = lock_instance(connection, finding)
        nics = {nic['id'] for nic in instance.network_info}
        exists = instance.vm_state != states.DELETED
        if exists and finding.subject in nics:
            raise stale_error(f'Instance {uuid}')
    elif instances.get(connection, uuid, deleted=True) is not None:
        raise stale_error(f'Instance {uuid}')
    ports.release_port(connection, finding.subject)
    return 'The port is deleted.'


def restore_port(
    connection: Connection, finding: Finding, publisher: str
) -> str:
    """Create the port of an address that an instance has."""
    instance = lock_instance(connection, finding)
    found = [n for n in instance.network_info if n['id'] == finding.subject]
    if not found or instance.vm_state == states.DELETED:
        raise stale_error(f'Instance {instance.uuid}')
    nic, *_ = found
    if networks.find(connection, nic['network_id'], lock=True) is None:
        raise exception.NetworkNotFound(network_id=nic['network_id'])
    port = Port(
        id=nic['id'],
        network_id=nic['network_id'],
        instance_uuid=instance.uuid,
        project_id=instance.project_id,
        address=get_address(nic),
        mac=nic['mac'],
        created_at=clock.now(),
    )
    other = ports.find_conflict(connection, port)
    if other is not None:
        raise exception.Conflict(
            f'The address {other.address} ({other.mac}) now belongs to '
            f'instance {other.instance_uuid}; delete one of the two.'
        )
    ports.insert(connection, [port])
    return f'The port of {port.address} is created.'
