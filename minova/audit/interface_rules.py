# SPDX-License-Identifier: Apache-2.0
"""Rules about the interfaces of guests: each NIC has one, by its MAC.

A guest may release an interface after the host has stopped to wait for it, and
operators change definitions by hand.
"""

from collections.abc import Iterator
from typing import Final

from minova import states
from minova.audit.findings import Finding
from minova.audit.snapshot import Snapshot
from minova.db.queries.audit_snapshot import InstanceRow

#: Every operation that changes interfaces begins from the same states.
_REPAIRABLE: Final = states.TABLE['attach_interface'].from_states


def find(snapshot: Snapshot) -> Iterator[Finding]:
    """Compare the guest on the host of each instance with its NICs."""
    for instance in snapshot.list_existing():
        host = str(instance.host)
        artifact = snapshot.artifacts.get((host, instance.uuid))
        if artifact is None or artifact.macs is None:
            continue
        is_busy = snapshot.get_owner(instance) is not None
        if is_busy or snapshot.is_explained(instance.uuid, host):
            continue
        yield from _compare(snapshot, instance, host, set(artifact.macs))


def _compare(
    snapshot: Snapshot, instance: InstanceRow, host: str, macs: set[str]
) -> Iterator[Finding]:
    repairable = instance.vm_state in _REPAIRABLE
    known = {nic['mac'].lower(): nic for nic in instance.network_info}
    for mac in sorted(known.keys() - macs):
        yield snapshot.instance_finding(
            'interface_missing',
            f'The guest on {host} has no interface {mac} of network '
            f'{known[mac]["label"]}.',
            instance.uuid,
            host=host,
            subject=mac,
            is_repairable=repairable,
        )
    for mac in sorted(macs - known.keys()):
        yield snapshot.instance_finding(
            'interface_unknown',
            f'The guest on {host} has the interface {mac}; the instance has '
            'no such NIC.',
            instance.uuid,
            host=host,
            subject=mac,
            is_repairable=repairable,
        )
