# SPDX-License-Identifier: Apache-2.0
"""The network interfaces of the guests of a fake host.

The definition of a guest, ``spec``, has the MACs in ``macs``; the record of a
guest that is on has those that it sees.
"""

from minova.states import POWERED_ON
from minova.virt.driver import GuestSpec
from minova.virt.driver import Nic
from minova.virt.fake.host import FakeHost
from minova.virt.fake.host import fault_injectable
from minova.virt.record_store import Record


class FakeInterfaces(FakeHost):
    """The interfaces of guests; see ``driver.NicInterface``."""

    @fault_injectable
    def interfaces(self, uuid: str) -> list[str]:
        """Return the MACs in the record."""
        with self._store.lock(uuid):
            record = self._world.apply_due(self.host, uuid)
        return [] if record is None else _visible_macs(record)

    @fault_injectable
    def attach_interface(self, spec: GuestSpec, nic: Nic) -> None:
        """Add the MAC to the definition, and to a guest that is on."""
        with self._locked_record(spec.uuid) as record:
            self._reserve_addresses(spec)
            visible = _visible_macs(record)
            record['spec']['macs'] = _with_mac(_defined_macs(record), nic)
            if record['power'] in POWERED_ON:
                record['macs'] = _with_mac(visible, nic)

    @fault_injectable
    def detach_interface(self, uuid: str, nic: Nic) -> None:
        """Remove the MAC from both; a fake guest releases it at once."""
        with self._store.lock(uuid):
            record = self._world.apply_due(self.host, uuid)
            if record is None:
                return
            visible = _visible_macs(record)
            record['spec']['macs'] = _without_mac(_defined_macs(record), nic)
            record['macs'] = _without_mac(visible, nic)
            self._store.put(f'{self.host}/guests/{uuid}', record)
            self._release_address(uuid, nic)

    def _release_address(self, uuid: str, nic: Nic) -> None:
        """Remove the addresses of a NIC from those that are reserved."""
        path = f'{self.host}/reserved/{uuid}'
        reserved = self._store.get(path)
        if reserved is None:
            return
        gone = {address['address'] for address in nic['addresses']}
        left = [one for one in reserved['addresses'] if one not in gone]
        if left:
            self._store.put(path, {'addresses': left})
        else:
            self._store.delete(path)


def _defined_macs(record: Record) -> list[str]:
    found: list[str] = record['spec'].get('macs', [])
    return found


def _visible_macs(record: Record) -> list[str]:
    """Return the MACs that a guest sees, or will see when it starts."""
    if record['power'] not in POWERED_ON:
        return _defined_macs(record)
    found: list[str] = record.get('macs', _defined_macs(record))
    return found


def _with_mac(macs: list[str], nic: Nic) -> list[str]:
    return macs if nic['mac'] in macs else [*macs, nic['mac']]


def _without_mac(macs: list[str], nic: Nic) -> list[str]:
    return [mac for mac in macs if mac != nic['mac']]
