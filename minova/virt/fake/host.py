# SPDX-License-Identifier: Apache-2.0
"""A fake host: its records, and the faults and delays of its calls."""

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import functools
from typing import cast
from typing import Concatenate
from typing import ParamSpec
from typing import TypeVar

from minova import clock
from minova import exception
from minova.states import POWERED_ON
from minova.states import PowerState
from minova.virt.driver import Guest
from minova.virt.driver import GuestSpec
from minova.virt.fake.world import World
from minova.virt.record_store import Record

H = TypeVar('H', bound='FakeHost')
P = ParamSpec('P')
R = TypeVar('R')


def fault_injectable(
    method: 'Callable[Concatenate[H, P], R]',
) -> 'Callable[Concatenate[H, P], R]':
    """Apply the injected delay and fault of a method.

    The methods of disks need no hypervisor.
    """
    needs_hypervisor = not method.__qualname__.startswith('FakeDisks.')

    @functools.wraps(method)
    def wrapped(self: H, *args: P.args, **kwargs: P.kwargs) -> R:
        name = method.__name__
        self.apply_delay(name)
        self.raise_injected_fault(name)
        if needs_hypervisor:
            self.require_hypervisor(exception.HypervisorUnavailable, name)
        try:
            result = method(self, *args, **kwargs)
        finally:
            self.apply_delay(name, after=True)
        if needs_hypervisor:
            # The answer of a hypervisor that died meanwhile is lost.
            self.require_hypervisor(exception.GuestFailed, name)
        return result

    return cast('Callable[Concatenate[H, P], R]', wrapped)


class FakeHost:
    """A host of the world, and its guests one by one."""

    def __init__(self, host: str, world: World) -> None:
        self.host = host
        self._world = world
        self._store = world.store
        self._store.put(f'hosts/{host}', {})

    def apply_delay(self, method: str, after: bool = False) -> None:
        """Wait for the injected delay, before or after the call."""
        seconds = self._world.delay(self.host, method, after)
        if seconds:
            clock.sleep(seconds)

    def raise_injected_fault(self, method: str) -> None:
        """Raise the injected fault."""
        path = f'{self.host}/faults/{method}'
        fault = self._store.get(path)
        if fault is None:
            return
        if fault['times'] > 1:
            self._store.put(path, fault | {'times': fault['times'] - 1})
        else:
            self._store.delete(path)
        kind = getattr(exception, fault['kind'])
        raise kind(
            instance_id='(any)', reason=f'{method} failed: {fault["error"]}'
        )

    def require_hypervisor(
        self, kind: type[exception.GuestFailed], method: str
    ) -> None:
        """Raise an error of ``kind`` while the hypervisor is away."""
        error = self._world.hypervisor_error(self.host)
        if error is not None:
            raise kind(instance_id='(any)', reason=f'{method}: {error}')

    # -- its guests ----------------------------------------------------------

    def _get_guest(self, uuid: str) -> Guest | None:
        """Return the current state of a guest."""
        with self._store.lock(uuid):
            record = self._world.apply_due(self.host, uuid)
            incoming = self._store.get(f'{self.host}/incoming/{uuid}')
        if record is None:
            if incoming is None:
                return None
            return Guest(
                uuid, PowerState.PAUSED, None, None, None, is_incoming=True
            )
        power = PowerState(record['power'])
        on = power in POWERED_ON
        return Guest(
            uuid,
            power,
            record['boot'] if on else None,
            record['spec']['operation'],
            record['spec']['generation'],
            fault=record.get('fault'),
        )

    def _reserve_addresses(self, spec: GuestSpec) -> None:
        """Record the addresses that libvirt networks would reserve."""
        found = [
            address['address']
            for nic in spec.nics
            if 'libvirt_network' in nic
            for address in nic['addresses']
        ]
        if found:
            path = f'{self.host}/reserved/{spec.uuid}'
            self._store.put(path, {'addresses': found})

    @contextlib.contextmanager
    def _locked_record(self, uuid: str) -> Iterator[Record]:
        """Yield the record of a guest under its lock; store it afterwards."""
        with self._store.lock(uuid):
            record = self._world.apply_due(self.host, uuid)
            if record is None:
                raise exception.GuestFailed(
                    instance_id=uuid,
                    reason=f'host {self.host} has no guest with this uuid',
                )
            yield record
            self._store.put(f'{self.host}/guests/{uuid}', record)
