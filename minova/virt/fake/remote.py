# SPDX-License-Identifier: Apache-2.0
"""The client of the fake hypervisor's process.

It keeps no state: a caller may be killed or frozen at any point, and its call
is then done or not done. ``hypervisor`` is the server.
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
    """Connections to the hypervisor, one per concurrent call."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._guard = clock.lock()
        self._idle: list[socket.socket] = []

    def call(self, frame: protocol.Json) -> Any:
        """Send a request and return its answer; OSError without one.

        Every request may be repeated, so a request on a connection that ended
        meanwhile is repeated on a new one.
        """
        with self._guard:
            connection = self._idle.pop() if self._idle else None
        answer = None
        if connection is not None:
            answer = self._exchange(connection, frame)
        if answer is None:
            answer = self._exchange(self._connect(), frame)
        if answer is None:
            raise ConnectionError(f'{self.path} closed the connection')
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
        """Send a request; None when the connection ended before the answer."""
        answer = None
        try:
            protocol.send(connection, frame)
            answer = protocol.receive(connection)
        except ConnectionError:
            # For example an idle connection to a hypervisor that ended.
            answer = None
        finally:
            if answer is None:
                connection.close()
        if answer is not None:
            with self._guard:
                self._idle.append(connection)
        return answer

    def close(self) -> None:
        """Close all idle connections."""
        with self._guard:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()


class RemoteDriver:
    """The driver of a fake host in the process of the hypervisor."""

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
                reason=f'{call}: the fake hypervisor at '
                f'{self.connections.path} does not answer: {error}',
            ) from error

    # -- the host ------------------------------------------------------------

    def inventory(self) -> Inventory:
        """Return the resources of the host."""
        return cast(Inventory, self._call('inventory'))

    def next_event(self, timeout: float) -> str | None:
        """Wait at the hypervisor, or as long here when it is unreachable."""
        try:
            return cast('str | None', self._call('next_event', timeout))
        except exception.GuestFailed:
            clock.sleep(timeout)
            return None

    def close(self) -> None:
        """Close the connections; the guests keep running."""
        self.connections.close()

    # -- guests --------------------------------------------------------------

    def guests(self) -> list[Guest]:
        """Return all guests."""
        return cast(list[Guest], self._call('guests'))

    def guest(self, uuid: str) -> Guest | None:
        """Return one guest."""
        return cast('Guest | None', self._call('guest', uuid))

    def define(self, spec: GuestSpec) -> None:
        """Define a guest."""
        self._call('define', spec)

    def start(self, uuid: str) -> None:
        """Start a guest."""
        self._call('start', uuid)

    def shutdown(self, uuid: str) -> None:
        """Shut a guest down."""
        self._call('shutdown', uuid)

    def power_off(self, uuid: str) -> None:
        """Power a guest off."""
        self._call('power_off', uuid)

    def pause(self, uuid: str) -> None:
        """Pause a guest."""
        self._call('pause', uuid)

    def unpause(self, uuid: str) -> None:
        """Unpause a guest."""
        self._call('unpause', uuid)

    def suspend(self, uuid: str) -> None:
        """Suspend a guest."""
        self._call('suspend', uuid)

    def has_managed_save(self, uuid: str) -> bool:
        """Return whether a guest is suspended."""
        return cast(bool, self._call('has_managed_save', uuid))

    def resume(self, uuid: str) -> None:
        """Resume a guest."""
        self._call('resume', uuid)

    def destroy(self, uuid: str) -> None:
        """Destroy a guest."""
        self._call('destroy', uuid)

    # -- disks ---------------------------------------------------------------

    def create_disks(self, spec: GuestSpec, image: str | None) -> None:
        """Create disks."""
        self._call('create_disks', spec, image)

    def images_in_use(self) -> set[str]:
        """Return none: disks are records."""
        return set()

    def has_disks(self, uuid: str) -> bool:
        """Return whether disks exist."""
        return cast(bool, self._call('has_disks', uuid))

    def grow_disks(self, spec: GuestSpec) -> None:
        """Grow disks."""
        self._call('grow_disks', spec)

    def create_rescue_disk(self, spec: GuestSpec, image: str | None) -> None:
        """Create a rescue disk."""
        self._call('create_rescue_disk', spec, image)

    def remove_rescue_disk(self, uuid: str) -> None:
        """Remove a rescue disk."""
        self._call('remove_rescue_disk', uuid)

    def remove_disks(self, uuid: str) -> None:
        """Remove disks."""
        self._call('remove_disks', uuid)

    def prepare_disk_transfer(self, spec: GuestSpec) -> TransferTicket:
        """Issue a transfer ticket."""
        return cast(TransferTicket, self._call('prepare_disk_transfer', spec))

    def check_can_send_disks(
        self, uuid: str, dest: Peer, transfer_ticket: TransferTicket
    ) -> None:
        """Check a disk transfer."""
        self._call('check_can_send_disks', uuid, dest, transfer_ticket)

    def send_disks(
        self, uuid: str, dest: Peer, transfer_ticket: TransferTicket
    ) -> list[TransferProgress]:
        """Send the disks; the answer arrives when all is done."""
        return cast(
            list[TransferProgress],
            self._call('send_disks', uuid, dest, transfer_ticket),
        )

    def commit_received_disks(self, uuid: str) -> None:
        """Commit received disks."""
        self._call('commit_received_disks', uuid)

    def retain_disks(self, uuid: str, copy: bool = False) -> None:
        """Retain disks."""
        self._call('retain_disks', uuid, copy=copy)

    def restore_disks(self, uuid: str) -> None:
        """Restore retained disks."""
        self._call('restore_disks', uuid)

    def discard_disks(self, uuid: str) -> None:
        """Discard retained disks."""
        self._call('discard_disks', uuid)

    def has_retained_disks(self, uuid: str) -> bool:
        """Return whether disks are retained."""
        return cast(bool, self._call('has_retained_disks', uuid))

    def list_host_contents(self) -> list[HostArtifact]:
        """Return the contents of the host."""
        return cast(list[HostArtifact], self._call('list_host_contents'))

    # -- live migration ------------------------------------------------------

    def check_can_live_migrate_destination(
        self,
        spec: GuestSpec,
        source: LiveMigrateSource,
        block_migration: bool | None,
        disk_over_commit: bool,
    ) -> DestCheckData:
        """Check the destination of a migration."""
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
        """Check the source of a migration."""
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
        """Prepare the destination of a migration."""
        return cast(
            LiveMigrateData,
            self._call('pre_live_migration', spec, migrate_data, image),
        )

    def rollback_live_migration_at_destination(
        self, uuid: str, migrate_data: LiveMigrateData
    ) -> None:
        """Roll back the destination of a migration."""
        self._call(
            'rollback_live_migration_at_destination', uuid, migrate_data
        )

    def start_live_migration(
        self, uuid: str, dest: Peer, migrate_data: LiveMigrateData
    ) -> None:
        """Start a migration."""
        self._call('start_live_migration', uuid, dest, migrate_data)

    def migration_status(self, uuid: str) -> MigrationStatus:
        """Return the progress of a migration."""
        return cast(MigrationStatus, self._call('migration_status', uuid))

    def tune_migration(
        self, uuid: str, migrate_data: LiveMigrateData, elapsed_seconds: float
    ) -> None:
        """Do nothing: a fake migration takes its configured time."""

    def abort_migration(self, uuid: str) -> None:
        """Abort a migration."""
        self._call('abort_migration', uuid)

    def force_complete(self, uuid: str) -> None:
        """Let a migration complete soon."""
        self._call('force_complete', uuid)

    # -- consoles ------------------------------------------------------------

    def console_output(self, uuid: str, max_bytes: int) -> bytes:
        """Return the end of the console output."""
        return cast(bytes, self._call('console_output', uuid, max_bytes))

    def vnc(self, uuid: str) -> VncEndpoint:
        """Return the VNC endpoint."""
        return cast(VncEndpoint, self._call('vnc', uuid))


class RemoteWorld:
    """All fake hosts from outside; each method is that of ``World``."""

    def __init__(self, path: str) -> None:
        self._connections = ConnectionPool(path)

    def _call(self, call: str, *args: Any, **kwargs: Any) -> Any:
        frame = {'host': None, 'call': call, 'args': args, 'kwargs': kwargs}
        return self._connections.call(frame)

    def close(self) -> None:
        """Close the connections."""
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
        """Return all records: host, kind, uuid, record."""
        return cast(dict[str, Any], self._call('dump'))

    def violations(self) -> list[Record]:
        """Return the records of guests on more than one host, in order.

        Each has ``at`` (seconds of the hypervisor's time of day), ``uuid``,
        ``hosts``, and the ``call`` after which it was found.
        """
        return cast(list[Record], self._call('violations'))

    def calls_in_progress(self) -> list[list[str]]:
        """Return the delayed calls: host, call, uuid."""
        return cast(list[list[str]], self._call('calls_in_progress'))

    def set_power(self, host: str, uuid: str, power: PowerState) -> None:
        """Change the power of a guest from outside."""
        self._call('set_power', host, uuid, int(power))

    def notify_change(self, host: str, uuid: str) -> None:
        """Notify the driver of a host that a guest changed."""
        self._call('notify_change', host, uuid)

    def inject_fault(
        self,
        host: str,
        method: str,
        error: str = 'injected fault',
        times: int = 1,
        kind: str = 'GuestFailed',
    ) -> None:
        """Let the next ``times`` calls of a driver method fail."""
        self._call('inject_fault', host, method, error, times, kind)

    def inject_delay(
        self, host: str, method: str, seconds: float, after: bool = False
    ) -> None:
        """Delay every call of a driver method on a host."""
        self._call('inject_delay', host, method, seconds, after)

    def set_migration_seconds(self, seconds: float) -> None:
        """Set the duration of live migrations that start from now on."""
        self._call('set_migration_seconds', seconds)

    def set_vnc_endpoint(self, host: str, port: int) -> None:
        """Set the VNC endpoint of all guests."""
        self._call('set_vnc_endpoint', host, port)

    def clear_faults(self) -> None:
        """Remove all injected faults and delays."""
        self._call('clear_faults')
