# SPDX-License-Identifier: Apache-2.0
"""What all parts of a fake host stand on: records, and orders to fail."""

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
from minova.states import ON
from minova.states import Power
from minova.virt.driver import Guest
from minova.virt.driver import Spec
from minova.virt.fake.world import World
from minova.virt.shelf import Record

H = TypeVar('H', bound='FakeHost')
P = ParamSpec('P')
R = TypeVar('R')


def faulty(
    method: 'Callable[Concatenate[H, P], R]',
) -> 'Callable[Concatenate[H, P], R]':
    """Let a method fail or take time when that was ordered."""

    @functools.wraps(method)
    def wrapped(self: H, *args: P.args, **kwargs: P.kwargs) -> R:
        name = method.__name__
        self.take_time(name)
        self.fail_if_ordered(name)
        try:
            return method(self, *args, **kwargs)
        finally:
            self.take_time(name, after=True)

    return cast('Callable[Concatenate[H, P], R]', wrapped)


class FakeHost:
    """A host of the world, and its guests one by one."""

    def __init__(self, host: str, world: World) -> None:
        self.host = host
        self._world = world
        self._shelf = world.shelf
        self._shelf.put(f'hosts/{host}', {})

    def take_time(self, method: str, after: bool = False) -> None:
        """Take the time that was ordered, before or after the call."""
        seconds = self._world.delay(self.host, method, after)
        if seconds:
            clock.sleep(seconds)

    def fail_if_ordered(self, method: str) -> None:
        """Raise the error that was ordered."""
        path = f'{self.host}/faults/{method}'
        order = self._shelf.get(path)
        if order is None:
            return
        if order['times'] > 1:
            self._shelf.put(path, order | {'times': order['times'] - 1})
        else:
            self._shelf.delete(path)
        kind = getattr(exception, order['kind'])
        raise kind(
            instance_id='(any)', reason=f'{method} failed: {order["error"]}'
        )

    # -- its guests ----------------------------------------------------------

    def _look(self, uuid: str) -> Guest | None:
        """Return a guest, as it is now."""
        with self._shelf.alone(uuid):
            record = self._world.settle(self.host, uuid)
            arriving = self._shelf.get(f'{self.host}/arriving/{uuid}')
        if record is None:
            if arriving is None:
                return None
            return Guest(uuid, Power.PAUSED, None, None, None, arriving=True)
        power = Power(record['power'])
        on = power in ON
        return Guest(
            uuid,
            power,
            record['boot'] if on else None,
            record['spec']['operation'],
            record['spec']['generation'],
            trouble=record.get('trouble'),
        )

    def _reserve(self, spec: Spec) -> None:
        """Note what networks of libvirt would keep for a guest."""
        found = [
            address['address']
            for nic in spec.nics
            if 'libvirt_network' in nic
            for address in nic['addresses']
        ]
        if found:
            path = f'{self.host}/reserved/{spec.uuid}'
            self._shelf.put(path, {'addresses': found})

    @contextlib.contextmanager
    def _changing(self, uuid: str) -> Iterator[Record]:
        """Have a guest's record to oneself; write it back when it is well."""
        with self._shelf.alone(uuid):
            record = self._world.settle(self.host, uuid)
            if record is None:
                raise exception.GuestFailed(
                    instance_id=uuid,
                    reason=f'host {self.host} does not know it',
                )
            yield record
            self._shelf.put(f'{self.host}/guests/{uuid}', record)
