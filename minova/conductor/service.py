# SPDX-License-Identifier: Apache-2.0
"""One conductor: its parts, its start and stop."""

from collections.abc import Callable

from oslo_log import log as logging

from minova import clock
from minova import version
from minova.conductor import fence_agent
from minova.conductor.host_fencing import Fence
from minova.conductor.host_fencing import HostFencing
from minova.conductor.host_liveness import HostLiveness
from minova.conductor.manager import ConductorManager
from minova.conductor.scheduler import Scheduler
from minova.conductor.sweeper import Sweeper
from minova.conductor.usage_audit import UsageAudit
from minova.conf import CONF
from minova.context import get_admin_context
from minova.db.connections.engine import Database
from minova.db.queries import hosts
from minova.engine.sender_keys import SenderKeys
from minova.flows import interfaces
from minova.network import definition
from minova.notifications.relay import Relay
from minova.periodic import PeriodicTask
from minova.rpc import conductor as rpc
from minova.rpc.bus import Bus
from minova.rpc.compute import ComputeClients
from minova.rpc.contract import Dispatcher
from minova.rpc.verifier import Verifier
from minova.rpc.wakeups import Waker

LOG = logging.getLogger(__name__)

#: The binary of conductors in the Compute API.
BINARY = 'nova-conductor'


class ConductorService:
    """A conductor on ``host``; several may run at once."""

    def __init__(
        self,
        database: Database,
        bus: Bus,
        host: str,
        on_fatal: Callable[[str], None] | None = None,
        fence: Fence = fence_agent.fence,
    ) -> None:
        """Build the parts; ``on_fatal`` ends a process that is unreachable.

        ``fence`` runs the programs of [fencing].
        Raises Unavailable when the database does not answer.
        """
        self._bus = bus
        self._database = database
        self._host = host
        self._incarnation = clock.uuid4()
        holder = f'{host} {self._incarnation}'
        keys = SenderKeys(database)
        signer = keys.signer(host, self._incarnation)
        computes = ComputeClients(bus, signer)
        waker = Waker(interfaces.step_client(bus, signer))
        self._pool = clock.pool('conductor', 8)
        # Steps that run programs, which may hang until their timeout.
        self._program_pool = clock.pool('conductor-programs', 8)
        self.relay = Relay(database, bus, holder)
        myself = rpc.client(bus, signer, server=host)
        self.liveness = HostLiveness(
            f'Conductor {host}',
            self._incarnation,
            lambda: self._dispatcher.serve(bus),
            lambda: myself.ping(get_admin_context()),
            on_fatal,
        )
        self.manager = ConductorManager(
            database,
            Scheduler(
                database,
                computes,
                self.liveness,
                HostFencing(database, self.liveness, fence),
            ),
            waker,
            self.relay,
            host,
            self._pool,
            self._program_pool,
            self._incarnation,
            computes,
            keys,
        )
        self._dispatcher = self._make_dispatcher(keys)
        self.sweeper = Sweeper(
            database, self.manager, waker, self.liveness, holder, host
        )
        self.usage_audit = UsageAudit(database, holder, host)
        self._heartbeats = PeriodicTask(
            'heartbeat', self._heartbeat, lambda: CONF.heartbeat_interval
        )

    def _make_dispatcher(self, keys: SenderKeys) -> Dispatcher:
        return Dispatcher(
            interfaces.CONDUCTOR,
            self.manager,
            Verifier(keys, keys),
            self._host,
            CONF.upgrade_levels.conductor,
            self.manager.handle_step,
        )

    def start(self) -> None:
        """Create the networks, register, then serve, publish and sweep."""
        definition.create_configured(self._database)
        self._database.write(
            lambda connection: hosts.register_service(
                connection,
                BINARY,
                self._host,
                self._incarnation,
                version.release(),
            )
        )
        self.liveness.start()
        self.relay.start()
        self.sweeper.start()
        self.usage_audit.start()
        self._heartbeats.start()
        LOG.info('Conductor %s is ready.', self._host)

    def stop(self) -> None:
        """Answer the requests at hand, then stop and release the leases."""
        self.liveness.stop()
        self._heartbeats.stop()
        self.sweeper.stop()
        self.usage_audit.stop()
        self._pool.shutdown()
        self._program_pool.shutdown()
        self.relay.stop()
        LOG.info('Conductor %s has stopped.', self._host)

    def _heartbeat(self) -> None:
        self._database.write(
            lambda connection: hosts.record_heartbeat(
                connection, BINARY, self._host, self._incarnation
            )
        )
