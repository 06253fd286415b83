# SPDX-License-Identifier: Apache-2.0
"""Rules about ports, and their repairs: whose an address is.

A port is written and deleted with the instance that has it. So one without
the other was made by somebody else: a restored backup, a release that did not
know of ports, an operator's hand.
"""

from collections.abc import Iterator

from minova import clock
from minova import exception
from minova import states
from minova.audit.findings import Finding
from minova.audit.preconditions import lock_instance
from minova.audit.preconditions import stale_error
from minova.audit.snapshot import Snapshot
from minova.db.connections.engine import Connection
from minova.db.queries import instances
from minova.db.queries import networks
from minova.db.queries import ports
from minova.db.queries.ports import Port


def find(snapshot: Snapshot) -> Iterator[Finding]:
    """Compare ports with the instances that have them."""
    known = {
        (instance.uuid, nic['id'])
        for instance in snapshot.list_existing()
        for nic in instance.network_info
    }
    held = set()
    for port in snapshot.database.ports:
        held.add((port.instance_uuid, port.id))
        if (port.instance_uuid, port.id) not in known:
            yield _orphan_finding(snapshot, port)
    for instance in snapshot.list_existing():
        for nic in instance.network_info:
            if (instance.uuid, nic['id']) not in held:
                yield Finding(
                    'port_missing',
                    f'{_address(nic)} of network {nic["label"]} may be given '
                    'to another one.',
                    host=instance.host,
                    instance=instance.uuid,
                    generation=instance.generation,
                    subject=nic['id'],
                )


def _orphan_finding(snapshot: Snapshot, port: Port) -> Finding:
    instance = snapshot.database.instances.get(port.instance_uuid)
    if instance is None:
        why = 'there is no such instance'
    elif instance.vm_state == states.DELETED:
        why = 'the instance is deleted'
    else:
        why = 'the instance has no such nic'
    return Finding(
        'port_orphan',
        f'{port.address} is held in network {port.network_id}; {why}.',
        instance=port.instance_uuid,
        generation=instance.generation if instance else None,
        subject=port.id,
    )


def _address(nic: dict[str, object]) -> str:
    found = nic['addresses']
    assert isinstance(found, list)
    return str(found[0]['address'])


# -- repairs -----------------------------------------------------------------


def release_port(
    connection: Connection, finding: Finding, publisher: str
) -> str:
    """Give back an address that nobody has."""
    uuid = str(finding.instance)
    if finding.generation is not None:
        instance = lock_instance(connection, finding)
        nics = {nic['id'] for nic in instance.network_info}
        living = instance.vm_state != states.DELETED
        if living and finding.subject in nics:
            raise stale_error(uuid)
    elif instances.get(connection, uuid, deleted=True) is not None:
        raise stale_error(uuid)
    ports.release_port(connection, finding.subject)
    return 'The address is given back.'


def restore_port(
    connection: Connection, finding: Finding, publisher: str
) -> str:
    """Note an address as the one of the instance that has it."""
    instance = lock_instance(connection, finding)
    found = [n for n in instance.network_info if n['id'] == finding.subject]
    if not found or instance.vm_state == states.DELETED:
        raise stale_error(instance.uuid)
    nic, *_ = found
    if networks.find(connection, nic['network_id'], lock=True) is None:
        raise exception.NetworkNotFound(network_id=nic['network_id'])
    port = Port(
        id=nic['id'],
        network_id=nic['network_id'],
        instance_uuid=instance.uuid,
        address=_address(nic),
        mac=nic['mac'],
        created_at=clock.now(),
    )
    other = ports.find_conflict(connection, port)
    if other is not None:
        raise exception.Conflict(
            f'{other.address}, {other.mac} has been given to instance '
            f'{other.instance_uuid}; delete one of the two.'
        )
    ports.insert(connection, [port])
    return f'{port.address} is held for it.'
