# SPDX-License-Identifier: Apache-2.0
"""The fake hypervisor from another process, through its socket.

Nothing is kept here: whoever asks may be killed or frozen at any point, and
what it asked for is then done or not done. ``hypervisor`` is the other side.
"""

import socket
from typing import Any
from typing import cast

from minova import clock
from minova import exception
from minova.objects.host import Holding
from minova.states import Power
from minova.virt.driver import Guest
from minova.virt.driver import Inventory
from minova.virt.driver import Migration
from minova.virt.driver import Peer
from minova.virt.driver import Progress
from minova.virt.driver import Screen
from minova.virt.driver import Spec
from minova.virt.fake import wire
from minova.virt.shelf import Record

Facts = dict[str, Any]


class Line:
    """Connections to a hypervisor: as many as questions at one time."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._guard = clock.lock()
        self._idle: list[socket.socket] = []

    def ask(self, frame: wire.Json) -> Any:
        """Ask and return the answer; OSError when nobody answers.

        Every question may be put again, so one on a connection that has
        ended meanwhile is put again on a new one.
        """
        with self._guard:
            connection = self._idle.pop() if self._idle else None
        answer = None
        if connection is not None:
            answer = self._put(connection, frame)
        if answer is None:
            answer = self._put(self._connect(), frame)
        if answer is None:
            raise ConnectionError(f'{self.path} has hung up')
        return wire.open_answer(answer)

    def _connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(self.path)
        except OSError:
            connection.close()
            raise
        return connection

    def _put(
        self, connection: socket.socket, frame: wire.Json
    ) -> wire.Json | None:
        """Put a question; None when the connection ended before an answer."""
        answer = None
        try:
            wire.send(connection, frame)
            answer = wire.receive(connection)
        except ConnectionError:
            # As one that is idle since a hypervisor that is no more.
            answer = None
        finally:
            if answer is None:
                connection.close()
        if answer is not None:
            with self._guard:
                self._idle.append(connection)
        return answer

    def close(self) -> None:
        """Hang up."""
        with self._guard:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()


class RemoteDriver:
    """One fake host, in the hypervisor's process."""

    uses_images = False

    def __init__(self, host: str, path: str) -> None:
        """Connect; Unavailable when the hypervisor does not answer."""
        self.host = host
        self.line = Line(path)
        try:
            self.line.ask(self._frame('inventory', (), {}))
        except OSError as error:
            raise exception.Unavailable(
                what=f'The fake hypervisor at {path}', reason=str(error)
            ) from error

    def _frame(self, call: str, args: Any, more: Facts) -> wire.Json:
        return {
            'host': self.host,
            'call': call,
            'args': wire.encode(args),
            'more': wire.encode(more),
        }

    def _ask(self, call: str, *args: Any, **more: Any) -> Any:
        try:
            return self.line.ask(self._frame(call, args, more))
        except OSError as error:
            about = args[0] if args else '(any)'
            raise exception.GuestFailed(
                instance_id=getattr(about, 'uuid', about),
                reason=f'{call}: the fake hypervisor at {self.line.path} '
                f'does not answer: {error}',
            ) from error

    # -- the host ------------------------------------------------------------

    def inventory(self) -> Inventory:
        """Ask."""
        return cast(Inventory, self._ask('inventory'))

    def next_event(self, timeout: float) -> str | None:
        """Wait at the hypervisor; when it is away, just as long here."""
        try:
            return cast('str | None', self._ask('next_event', timeout))
        except exception.GuestFailed:
            clock.sleep(timeout)
            return None

    def close(self) -> None:
        """Hang up; the guests run on."""
        self.line.close()

    # -- guests --------------------------------------------------------------

    def guests(self) -> list[Guest]:
        """Ask."""
        return cast(list[Guest], self._ask('guests'))

    def guest(self, uuid: str) -> Guest | None:
        """Ask."""
        return cast('Guest | None', self._ask('guest', uuid))

    def define(self, spec: Spec) -> None:
        """Ask."""
        self._ask('define', spec)

    def start(self, uuid: str) -> None:
        """Ask."""
        self._ask('start', uuid)

    def shutdown(self, uuid: str) -> None:
        """Ask."""
        self._ask('shutdown', uuid)

    def power_off(self, uuid: str) -> None:
        """Ask."""
        self._ask('power_off', uuid)

    def pause(self, uuid: str) -> None:
        """Ask."""
        self._ask('pause', uuid)

    def unpause(self, uuid: str) -> None:
        """Ask."""
        self._ask('unpause', uuid)

    def suspend(self, uuid: str) -> None:
        """Ask."""
        self._ask('suspend', uuid)

    def has_saved(self, uuid: str) -> bool:
        """Ask."""
        return cast(bool, self._ask('has_saved', uuid))

    def resume(self, uuid: str) -> None:
        """Ask."""
        self._ask('resume', uuid)

    def remove(self, uuid: str) -> None:
        """Ask."""
        self._ask('remove', uuid)

    # -- disks ---------------------------------------------------------------

    def create_disks(self, spec: Spec, image: str | None) -> None:
        """Ask."""
        self._ask('create_disks', spec, image)

    def images_in_use(self) -> set[str]:
        """Return none: disks are records."""
        return set()

    def has_disks(self, uuid: str) -> bool:
        """Ask."""
        return cast(bool, self._ask('has_disks', uuid))

    def grow_disks(self, spec: Spec) -> None:
        """Ask."""
        self._ask('grow_disks', spec)

    def create_rescue_disk(self, spec: Spec, image: str | None) -> None:
        """Ask."""
        self._ask('create_rescue_disk', spec, image)

    def remove_rescue_disk(self, uuid: str) -> None:
        """Ask."""
        self._ask('remove_rescue_disk', uuid)

    def remove_disks(self, uuid: str) -> None:
        """Ask."""
        self._ask('remove_disks', uuid)

    def prepare_disks(self, spec: Spec) -> Facts:
        """Ask."""
        return cast(Facts, self._ask('prepare_disks', spec))

    def check_hand_over(self, uuid: str, to: Peer, invitation: Facts) -> None:
        """Ask."""
        self._ask('check_hand_over', uuid, to, invitation)

    def hand_over(
        self, uuid: str, to: Peer, invitation: Facts
    ) -> list[Progress]:
        """Ask; when it answers all is done."""
        return cast(
            list[Progress], self._ask('hand_over', uuid, to, invitation)
        )

    def accept_disks(self, uuid: str) -> None:
        """Ask."""
        self._ask('accept_disks', uuid)

    def set_aside(self, uuid: str, copy: bool = False) -> None:
        """Ask."""
        self._ask('set_aside', uuid, copy=copy)

    def take_back(self, uuid: str) -> None:
        """Ask."""
        self._ask('take_back', uuid)

    def drop_aside(self, uuid: str) -> None:
        """Ask."""
        self._ask('drop_aside', uuid)

    def has_aside(self, uuid: str) -> bool:
        """Ask."""
        return cast(bool, self._ask('has_aside', uuid))

    def stock(self) -> list[Holding]:
        """Ask."""
        return cast(list[Holding], self._ask('stock'))

    # -- moves ---------------------------------------------------------------

    def check_reception(
        self, spec: Spec, source: Facts, block: bool | None
    ) -> Facts:
        """Ask."""
        return cast(Facts, self._ask('check_reception', spec, source, block))

    def check_departure(
        self, uuid: str, answer: Facts, block: bool | None
    ) -> Facts:
        """Ask."""
        return cast(Facts, self._ask('check_departure', uuid, answer, block))

    def prepare_reception(
        self, spec: Spec, plan: Facts, image: str | None = None
    ) -> Facts:
        """Ask."""
        return cast(Facts, self._ask('prepare_reception', spec, plan, image))

    def cancel_reception(self, uuid: str, plan: Facts) -> None:
        """Ask."""
        self._ask('cancel_reception', uuid, plan)

    def migrate(self, uuid: str, to: Peer, plan: Facts) -> None:
        """Ask."""
        self._ask('migrate', uuid, to, plan)

    def migration(self, uuid: str) -> Migration:
        """Ask."""
        return cast(Migration, self._ask('migration', uuid))

    def hasten(self, uuid: str, plan: Facts, seconds: float) -> None:
        """What is acted out takes the time that it takes."""

    def abort_migration(self, uuid: str) -> None:
        """Ask."""
        self._ask('abort_migration', uuid)

    def force_migration(self, uuid: str) -> None:
        """Ask."""
        self._ask('force_migration', uuid)

    # -- consoles ------------------------------------------------------------

    def console_output(self, uuid: str, max_bytes: int) -> bytes:
        """Ask."""
        return cast(bytes, self._ask('console_output', uuid, max_bytes))

    def vnc(self, uuid: str) -> Screen:
        """Ask."""
        return cast(Screen, self._ask('vnc', uuid))


class RemoteWorld:
    """All fake hosts from outside; each method is ``world.World``'s."""

    def __init__(self, path: str) -> None:
        self._line = Line(path)

    def _ask(self, call: str, *args: Any, **more: Any) -> Any:
        frame = {'host': None, 'call': call, 'args': args, 'more': more}
        return self._line.ask(frame)

    def close(self) -> None:
        """Hang up."""
        self._line.close()

    def running(self, uuid: str) -> list[str]:
        """Return the hosts on which a guest runs or is paused."""
        return cast(list[str], self._ask('running', uuid))

    def guest(self, host: str, uuid: str) -> Record | None:
        """Return a guest's record, None when the host does not know it."""
        return cast('Record | None', self._ask('guest', host, uuid))

    def disk(self, host: str, uuid: str, aside: bool = False) -> Record | None:
        """Return the record of a guest's disks."""
        return cast('Record | None', self._ask('disk', host, uuid, aside))

    def everything(self) -> dict[str, dict[str, dict[str, Record]]]:
        """Return all that is on the hosts: host, kind, uuid, record."""
        return cast(dict[str, Any], self._ask('everything'))

    def violations(self) -> list[Record]:
        """Return when a guest ran at more than one host, the first first.

        Each with ``at`` (seconds of the hypervisor's time of day), ``uuid``,
        ``hosts``, and the ``call`` with which it began.
        """
        return cast(list[Record], self._ask('violations'))

    def at_work(self) -> list[list[str]]:
        """Return the calls that take their time: host, call, uuid."""
        return cast(list[list[str]], self._ask('at_work'))

    def set_power(self, host: str, uuid: str, power: Power) -> None:
        """Let a guest change by itself, or by somebody on its host."""
        self._ask('set_power', host, uuid, int(power))

    def announce(self, host: str, uuid: str) -> None:
        """Tell the compute of a host that a guest changed."""
        self._ask('announce', host, uuid)

    def break_(
        self,
        host: str,
        method: str,
        error: str = 'ordered by a test',
        times: int = 1,
        kind: str = 'GuestFailed',
    ) -> None:
        """Let the next ``times`` calls of a driver method on a host fail."""
        self._ask('break_', host, method, error, times, kind)

    def slow(
        self, host: str, method: str, seconds: float, after: bool = False
    ) -> None:
        """Let every call of a driver method on a host take so long."""
        self._ask('slow', host, method, seconds, after)

    def migrations_take(self, seconds: float) -> None:
        """Let live migrations that begin from now on take so long."""
        self._ask('migrations_take', seconds)

    def screens_at(self, host: str, port: int) -> None:
        """Let the screens of all guests be there."""
        self._ask('screens_at', host, port)

    def heal(self) -> None:
        """Take back every fault and delay that was ordered."""
        self._ask('heal')
