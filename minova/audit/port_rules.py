# SPDX-License-Identifier: Apache-2.0
"""Rules about ports: each address of an instance has one port.

The transaction that writes or deletes an instance's addresses does the same
to its ports. A difference has another cause: a restored backup, a release
without ports, a change by hand.
"""

from collections.abc import Iterator
from collections.abc import Mapping

from minova import states
from minova.audit.findings import Finding
from minova.audit.snapshot import Snapshot
from minova.db.queries.ports import Port


def find(snapshot: Snapshot) -> Iterator[Finding]:
    """Compare ports with the instances that have them."""
    known = {
        (instance.uuid, nic['id'])
        for instance in snapshot.list_existing()
        for nic in instance.network_info
    }
    owned = set()
    for port in snapshot.database.ports:
        owned.add((port.instance_uuid, port.id))
        if (port.instance_uuid, port.id) not in known:
            yield _orphan_finding(snapshot, port)
    for instance in snapshot.list_existing():
        for nic in instance.network_info:
            if (instance.uuid, nic['id']) not in owned:
                yield snapshot.instance_finding(
                    'port_missing',
                    f'The address {get_address(nic)} of network '
                    f'{nic["label"]} may be allocated again.',
                    instance.uuid,
                    host=instance.host,
                    subject=nic['id'],
                )


def _orphan_finding(snapshot: Snapshot, port: Port) -> Finding:
    instance = snapshot.database.instances.get(port.instance_uuid)
    if instance is None:
        why = 'the instance is unknown'
    elif instance.vm_state == states.DELETED:
        why = 'the instance is deleted'
    else:
        why = 'the instance has no such NIC'
    return snapshot.instance_finding(
        'port_orphan',
        f'The port has {port.address} of network {port.network_id}; {why}.',
        port.instance_uuid,
        subject=port.id,
    )


def get_address(nic: Mapping[str, object]) -> str:
    """Return the first address of a NIC of ``network_info``."""
    found = nic['addresses']
    assert isinstance(found, list)
    return str(found[0]['address'])
