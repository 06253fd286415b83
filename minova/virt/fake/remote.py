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
from minova.objects.host import HostArtifact
from minova.objects.live_migrate_data import DestCheckData
from minova.objects.live_migrate_data import LiveMigrateData
from minova.objects.live_migrate_data import LiveMigrateSource
from minova.objects.transfer_ticket import TransferTicket
from minova.states import PowerState
from minova.virt.driver import Guest
from minova.virt.driver import GuestSpec
from minova.virt.driver import Inventory
from minova.virt.driver import MigrationStatus
from minova.virt.driver import Peer
from minova.virt.driver import TransferProgress
from minova.virt.driver import VncEndpoint
from minova.virt.fake import protocol
from minova.virt.record_store import Record

JsonDict = dict[str, Any]


class ConnectionPool:
    """Connections to a hypervisor: as many as questions at one time."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._guard = clock.lock()
        self._idle: list[socket.socket] = []

    def call(self, frame: protocol.Json) -> Any:
        """Ask and return the answer; OSError when nobody answers.

        Every question may be put again, so one on a connection that has
        ended meanwhile is put again on a new one.
        """
        with self._guard:
            connection = self._idle.pop() if self._idle else None
        answer = None
        if connection is not None:
            answer = self._exchange(connection, frame)
        if answer is None:
            answer = self._exchange(self._connect(), frame)
        if answer is None:
            raise ConnectionError(f'{self.path} has hung up')
        return protocol.unpack_answer(answer)

    def _connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(self.path)
        except OSError:
            connection.close()
            raise
        return connection

    def _exchange(
        self, connection: socket.socket, frame: protocol.Json
    ) -> protocol.Json | None:
        """Put a question; None when the connection ended before an answer."""
        answer = None
        try:
            protocol.send(connection, frame)
            answer = protocol.receive(connection)
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
        self.connections = ConnectionPool(path)
        try:
            self.connections.call(self._frame('inventory', (), {}))
        except OSError as error:
            raise exception.Unavailable(
                what=f'The fake hypervisor at {path}', reason=str(error)
            ) from error

    def _frame(self, call: str, args: Any, kwargs: JsonDict) -> protocol.Json:
        return {
            'host': self.host,
            'call': call,
            'args': protocol.encode(args),
            'kwargs': protocol.encode(kwargs),
        }

    def _call(self, call: str, *args: Any, **kwargs: Any) -> Any:
        try:
            return self.connections.call(self._frame(call, args, kwargs))
        except OSError as error:
            about = args[0] if args else '(any)'
            raise exception.GuestFailed(
                instance_id=getattr(about, 'uuid', about),
                reason=f'{call}: the fake hypervisor at {self.connections.path} '
                f'does not answer: {error}',
            ) from error

    # -- the host ------------------------------------------------------------

    def inventory(self) -> Inventory:
        """Ask."""
        return cast(Inventory, self._call('inventory'))

    def next_event(self, timeout: float) -> str | None:
        """Wait at the hypervisor; when it is away, just as long here."""
        try:
            return cast('str | None', self._call('next_event', timeout))
        except exception.GuestFailed:
            clock.sleep(timeout)
            return None

    def close(self) -> None:
        """Hang up; the guests run on."""
        self.connections.close()

    # -- guests --------------------------------------------------------------

    def guests(self) -> list[Guest]:
        """Ask."""
        return cast(list[Guest], self._call('guests'))

    def guest(self, uuid: str) -> Guest | None:
        """Ask."""
        return cast('Guest | None', self._call('guest', uuid))

    def define(self, spec: GuestSpec) -> None:
        """Ask."""
        self._call('define', spec)

    def start(self, uuid: str) -> None:
        """Ask."""
        self._call('start', uuid)

    def shutdown(self, uuid: str) -> None:
        """Ask."""
        self._call('shutdown', uuid)

    def power_off(self, uuid: str) -> None:
        """Ask."""
        self._call('power_off', uuid)

    def pause(self, uuid: str) -> None:
        """Ask."""
        self._call('pause', uuid)

    def unpause(self, uuid: str) -> None:
        """Ask."""
        self._call('unpause', uuid)

    def suspend(self, uuid: str) -> None:
        """Ask."""
        self._call('suspend', uuid)

    def has_managed_save(self, uuid: str) -> bool:
        """Ask."""
        return cast(bool, self._call('has_managed_save', uuid))

    def resume(self, uuid: str) -> None:
        """Ask."""
        self._call('resume', uuid)

    def destroy(self, uuid: str) -> None:
        """Ask."""
        self._call('destroy', uuid)

    # -- disks ---------------------------------------------------------------

    def create_disks(self, spec: GuestSpec, image: str | None) -> None:
        """Ask."""
        self._call('create_disks', spec, image)

    def images_in_use(self) -> set[str]:
        """Return none: disks are records."""
        return set()

    def has_disks(self, uuid: str) -> bool:
        """Ask."""
        return cast(bool, self._call('has_disks', uuid))

    def grow_disks(self, spec: GuestSpec) -> None:
        """Ask."""
        self._call('grow_disks', spec)

    def create_rescue_disk(self, spec: GuestSpec, image: str | None) -> None:
        """Ask."""
        self._call('create_rescue_disk', spec, image)

    def remove_rescue_disk(self, uuid: str) -> None:
        """Ask."""
        self._call('remove_rescue_disk', uuid)

    def remove_disks(self, uuid: str) -> None:
        """Ask."""
        self._call('remove_disks', uuid)

    def prepare_disk_transfer(self, spec: GuestSpec) -> TransferTicket:
        """Ask."""
        return cast(TransferTicket, self._call('prepare_disk_transfer', spec))

    def check_can_send_disks(
        self, uuid: str, dest: Peer, transfer_ticket: TransferTicket
    ) -> None:
        """Ask."""
        self._call('check_can_send_disks', uuid, dest, transfer_ticket)

    def send_disks(
        self, uuid: str, dest: Peer, transfer_ticket: TransferTicket
    ) -> list[TransferProgress]:
        """Ask; when it answers all is done."""
        return cast(
            list[TransferProgress],
            self._call('send_disks', uuid, dest, transfer_ticket),
        )

    def commit_received_disks(self, uuid: str) -> None:
        """Ask."""
        self._call('commit_received_disks', uuid)

    def retain_disks(self, uuid: str, copy: bool = False) -> None:
        """Ask."""
        self._call('retain_disks', uuid, copy=copy)

    def restore_disks(self, uuid: str) -> None:
        """Ask."""
        self._call('restore_disks', uuid)

    def discard_disks(self, uuid: str) -> None:
        """Ask."""
        self._call('discard_disks', uuid)

    def has_retained_disks(self, uuid: str) -> bool:
        """Ask."""
        return cast(bool, self._call('has_retained_disks', uuid))

    def list_host_contents(self) -> list[HostArtifact]:
        """Ask."""
        return cast(list[HostArtifact], self._call('list_host_contents'))

    # -- moves ---------------------------------------------------------------

    def check_can_live_migrate_destination(
        self,
        spec: GuestSpec,
        source: LiveMigrateSource,
        block_migration: bool | None,
        disk_over_commit: bool,
    ) -> DestCheckData:
        """Ask."""
        return cast(
            DestCheckData,
            self._call(
                'check_can_live_migrate_destination',
                spec,
                source,
                block_migration,
                disk_over_commit,
            ),
        )

    def check_can_live_migrate_source(
        self,
        uuid: str,
        dest_check_data: DestCheckData,
        block_migration: bool | None,
    ) -> LiveMigrateData:
        """Ask."""
        return cast(
            LiveMigrateData,
            self._call(
                'check_can_live_migrate_source',
                uuid,
                dest_check_data,
                block_migration,
            ),
        )

    def pre_live_migration(
        self,
        spec: GuestSpec,
        migrate_data: LiveMigrateData,
        image: str | None = None,
    ) -> LiveMigrateData:
        """Ask."""
        return cast(
            LiveMigrateData,
            self._call('pre_live_migration', spec, migrate_data, image),
        )

    def rollback_live_migration_at_destination(
        self, uuid: str, migrate_data: LiveMigrateData
    ) -> None:
        """Ask."""
        self._call(
            'rollback_live_migration_at_destination', uuid, migrate_data
        )

    def start_live_migration(
        self, uuid: str, dest: Peer, migrate_data: LiveMigrateData
    ) -> None:
        """Ask."""
        self._call('start_live_migration', uuid, dest, migrate_data)

    def migration_status(self, uuid: str) -> MigrationStatus:
        """Ask."""
        return cast(MigrationStatus, self._call('migration_status', uuid))

    def tune_migration(
        self, uuid: str, migrate_data: LiveMigrateData, elapsed_seconds: float
    ) -> None:
        """What is acted out takes the time that it takes."""

    def abort_migration(self, uuid: str) -> None:
        """Ask."""
        self._call('abort_migration', uuid)

    def force_complete(self, uuid: str) -> None:
        """Ask."""
        self._call('force_complete', uuid)

    # -- consoles ------------------------------------------------------------

    def console_output(self, uuid: str, max_bytes: int) -> bytes:
        """Ask."""
        return cast(bytes, self._call('console_output', uuid, max_bytes))

    def vnc(self, uuid: str) -> VncEndpoint:
        """Ask."""
        return cast(VncEndpoint, self._call('vnc', uuid))


class RemoteWorld:
    """All fake hosts from outside; each method is ``world.World``'s."""

    def __init__(self, path: str) -> None:
        self._connections = ConnectionPool(path)

    def _call(self, call: str, *args: Any, **kwargs: Any) -> Any:
        frame = {'host': None, 'call': call, 'args': args, 'kwargs': kwargs}
        return self._connections.call(frame)

    def close(self) -> None:
        """Hang up."""
        self._connections.close()

    def running(self, uuid: str) -> list[str]:
        """Return the hosts on which a guest runs or is paused."""
        return cast(list[str], self._call('running', uuid))

    def guest(self, host: str, uuid: str) -> Record | None:
        """Return a guest's record, None when the host does not know it."""
        return cast('Record | None', self._call('guest', host, uuid))

    def get_disks(
        self, host: str, uuid: str, retained: bool = False
    ) -> Record | None:
        """Return the record of a guest's disks."""
        return cast(
            'Record | None', self._call('get_disks', host, uuid, retained)
        )

    def dump(self) -> dict[str, dict[str, dict[str, Record]]]:
        """Return all that is on the hosts: host, kind, uuid, record."""
        return cast(dict[str, Any], self._call('dump'))

    def violations(self) -> list[Record]:
        """Return when a guest ran at more than one host, the first first.

        Each with ``at`` (seconds of the hypervisor's time of day), ``uuid``,
        ``hosts``, and the ``call`` with which it began.
        """
        return cast(list[Record], self._call('violations'))

    def calls_in_progress(self) -> list[list[str]]:
        """Return the calls that take their time: host, call, uuid."""
        return cast(list[list[str]], self._call('calls_in_progress'))

    def set_power(self, host: str, uuid: str, power: PowerState) -> None:
        """Let a guest change by itself, or by somebody on its host."""
        self._call('set_power', host, uuid, int(power))

    def notify_change(self, host: str, uuid: str) -> None:
        """Tell the compute of a host that a guest changed."""
        self._call('notify_change', host, uuid)

    def inject_fault(
        self,
        host: str,
        method: str,
        error: str = 'ordered by a test',
        times: int = 1,
        kind: str = 'GuestFailed',
    ) -> None:
        """Let the next ``times`` calls of a driver method on a host fail."""
        self._call('inject_fault', host, method, error, times, kind)

    def inject_delay(
        self, host: str, method: str, seconds: float, after: bool = False
    ) -> None:
        """Let every call of a driver method on a host take so long."""
        self._call('inject_delay', host, method, seconds, after)

    def set_migration_seconds(self, seconds: float) -> None:
        """Let live migrations that begin from now on take so long."""
        self._call('set_migration_seconds', seconds)

    def set_vnc_endpoint(self, host: str, port: int) -> None:
        """Let the screens of all guests be there."""
        self._call('set_vnc_endpoint', host, port)

    def clear_faults(self) -> None:
        """Take back every fault and delay that was ordered."""
        self._call('clear_faults')
