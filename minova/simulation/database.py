# SPDX-License-Identifier: Apache-2.0
"""The database of a simulation: SQLite in memory, one transaction at a time.

Transactions are serial; the concurrency inside the transactions of a real
database is not simulated. A fault may refuse a transaction, roll it back as a
deadlock does, or lose the confirmation of its commit.
"""

from collections.abc import Callable
import os
import sqlite3
from typing import cast
from typing import TypeVar

from oslo_config import cfg
from oslo_db import exception as db_exception

from minova import exception
from minova.db import migrate
from minova.db.connections import engine
from minova.simulation.clock import EPOCH
from minova.simulation.faults import Points
from minova.simulation.scheduler import Scheduler

T = TypeVar('T')

#: Seconds until a database that is down refuses a connection.
_CONNECT_TIMEOUT = 1.0


class Storage:
    """The one connection, shared by all simulations of a process."""

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self.database = engine.connect(conf, 'sqlite://')
        self.scheduler: Scheduler | None = None
        with self.database.engine.connect() as connection:
            raw = connection.connection.driver_connection
            self._connection_info = connection.info
        self.raw = cast(sqlite3.Connection, raw)
        migrate.sync(self.database)
        self.raw.create_function('minova_now', 0, self._now)
        self.empty_snapshot = self.snapshot()

    def _now(self) -> str:
        """Return the time of the database, which has no skew."""
        assert self.scheduler is not None
        moment = EPOCH.timestamp() + self.scheduler.now
        return (
            f'{EPOCH.fromtimestamp(moment, EPOCH.tzinfo):%Y-%m-%d %H:%M:%S.%f}'
        )

    def keep_after_fork(self) -> None:
        """Use the connection in a forked process, which has a copy of it.

        oslo.db closes a connection whose ``pid`` is another process.
        """
        self._connection_info['pid'] = os.getpid()

    def snapshot(self) -> bytes:
        """Return the content, for ``restore``."""
        return self.raw.serialize()

    def restore(self, content: bytes) -> None:
        """Replace the whole content by a snapshot."""
        self.raw.rollback()
        self.raw.deserialize(content)


class SimulatedDatabase(engine.Database):
    """The database of one simulation, on the shared storage."""

    def __init__(
        self, storage: Storage, scheduler: Scheduler, points: Points
    ) -> None:
        super().__init__(storage.database.engine)
        self.storage = storage
        self._scheduler = scheduler
        self._points = points
        self.is_up = True
        #: Called after each commit, before another task runs.
        self.on_commit: Callable[[], None] = lambda: None
        storage.scheduler = scheduler

    def _run_once(
        self, work: Callable[[engine.Connection], T], writes: bool
    ) -> T:
        if self._scheduler.current.process is self._scheduler.external:
            return super()._run_once(work, writes)
        fault = None
        if writes:
            name = getattr(work, '__qualname__', 'transaction')
            what = name.replace('.<locals>', '').replace('.<lambda>', '')
            fault = self._points.reach('commit', what)
        self._scheduler.maybe_switch()
        if not self.is_up:
            self._scheduler.wait(_CONNECT_TIMEOUT)
            raise db_exception.DBConnectionError('connection refused')
        result = self._run_atomically(work, writes, fault == 'deadlock')
        if writes:
            self.on_commit()
            if fault == 'commit_unknown':
                raise exception.CommitUncertain(
                    what='The database', reason='the connection was lost'
                )
            self._points.reach('committed', what)
        self._scheduler.maybe_switch()
        return result

    def _run_atomically(
        self,
        work: Callable[[engine.Connection], T],
        writes: bool,
        roll_back: bool,
    ) -> T:
        def rolled_back(connection: engine.Connection) -> T:
            work(connection)
            raise db_exception.DBDeadlock

        self._scheduler.exclusive_depth += 1
        try:
            return super()._run_once(
                rolled_back if roll_back else work, writes
            )
        finally:
            self._scheduler.exclusive_depth -= 1
