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
from minova.audit.fence import lock
from minova.audit.fence import moved_on
from minova.audit.findings import Finding
from minova.audit.view import View
from minova.db import instances
from minova.db import networks
from minova.db import ports
from minova.db.engine import Connection
from minova.db.ports import Port


def find(view: View) -> Iterator[Finding]:
    """Compare ports with the instances that have them."""
    known = {
        (instance.uuid, nic['id'])
        for instance in view.living()
        for nic in instance.network_info
    }
    held = set()
    for port in view.records.ports:
        held.add((port.instance_uuid, port.id))
        if (port.instance_uuid, port.id) not in known:
            yield _orphan(view, port)
    for instance in view.living():
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


def _orphan(view: View, port: Port) -> Finding:
    instance = view.records.instances.get(port.instance_uuid)
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
        instance = lock(connection, finding)
        nics = {nic['id'] for nic in instance.network_info}
        living = instance.vm_state != states.DELETED
        if living and finding.subject in nics:
            raise moved_on(uuid)
    elif instances.get(connection, uuid, deleted=True) is not None:
        raise moved_on(uuid)
    ports.release_one(connection, finding.subject)
    return 'The address is given back.'


def hold_port(connection: Connection, finding: Finding, publisher: str) -> str:
    """Note an address as the one of the instance that has it."""
    instance = lock(connection, finding)
    found = [n for n in instance.network_info if n['id'] == finding.subject]
    if not found or instance.vm_state == states.DELETED:
        raise moved_on(instance.uuid)
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
    other = ports.like(connection, port)
    if other is not None:
        raise exception.Conflict(
            f'{other.address}, {other.mac} has been given to instance '
            f'{other.instance_uuid}; delete one of the two.'
        )
    ports.insert(connection, [port])
    return f'{port.address} is held for it.'
