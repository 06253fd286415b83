# SPDX-License-Identifier: Apache-2.0
"""One conductor: what it is made of and how it lives."""

from collections.abc import Callable

from oslo_log import log as logging

from minova import clock
from minova import version
from minova.conductor.desk import Desk
from minova.conductor.hearing import Hearing
from minova.conductor.manager import Manager
from minova.conductor.sweeper import Sweeper
from minova.conf import CONF
from minova.context import internal
from minova.db import hosts
from minova.db.engine import Database
from minova.loop import Loop
from minova.network import definition
from minova.notifications.relay import Relay
from minova.rpc import conductor as rpc
from minova.rpc.bus import Bus
from minova.rpc.compute import Computes
from minova.rpc.contract import Dispatcher
from minova.rpc.wakes import Waker

LOG = logging.getLogger(__name__)

#: The name that clients of the Compute API know conductors by.
BINARY = 'nova-conductor'


class ConductorService:
    """A conductor at ``host``; several may run beside each other."""

    def __init__(
        self,
        database: Database,
        bus: Bus,
        host: str,
        give_up: Callable[[str], None] | None = None,
    ) -> None:
        """``give_up`` ends the process when it cannot be made to hear."""
        self._bus = bus
        self._database = database
        self._host = host
        self._incarnation = clock.uuid4()
        holder = f'{host} {self._incarnation}'
        computes = Computes(bus)
        waker = Waker(computes, rpc.client(bus))
        self._pool = clock.pool('conductor', 8)
        self.relay = Relay(database, bus, holder)
        myself = rpc.client(bus, server=host)
        self.hearing = Hearing(
            f'Conductor {host}',
            self._incarnation,
            lambda: self._dispatcher.serve(bus, rpc.TOPIC, host),
            lambda: myself.ping(internal()),
            give_up,
        )
        self.manager = Manager(
            database,
            Desk(database, computes, self.hearing),
            waker,
            self.relay,
            host,
            self._pool,
            self._incarnation,
            computes,
        )
        self._dispatcher = Dispatcher(
            rpc.INTERFACE, self.manager, CONF.upgrade_levels.conductor
        )
        self.sweeper = Sweeper(
            database, self.manager, waker, self.hearing, holder, host
        )
        self._beats = Loop(
            'beat', self._beat, lambda: CONF.compute.heartbeat_interval
        )

    def start(self) -> None:
        """Make configured networks, register, answer, publish, sweep."""
        definition.make_configured(self._database)
        self._database.write(
            lambda connection: hosts.register_service(
                connection,
                BINARY,
                self._host,
                self._incarnation,
                version.release(),
            )
        )
        self.hearing.start()
        self.relay.start()
        self.sweeper.start()
        self._beats.start()
        LOG.info('Conductor %s is ready.', self._host)

    def stop(self) -> None:
        """Answer what was asked, then stop; leases are given back."""
        self.hearing.stop()
        self._beats.stop()
        self.sweeper.stop()
        self._pool.shutdown()
        self.relay.stop()
        LOG.info('Conductor %s has stopped.', self._host)

    def _beat(self) -> None:
        self._database.write(
            lambda connection: hosts.beat(
                connection, BINARY, self._host, self._incarnation
            )
        )
