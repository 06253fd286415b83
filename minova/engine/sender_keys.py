# SPDX-License-Identifier: Apache-2.0
"""The keys of all senders, for a service that has the database.

The control plane is who shares the database: api, conductors, minova-manage.
It has one key pair, which the first of them makes and keeps there. A compute
has no database and cannot make its signatures.
"""

import datetime
import math

from oslo_log import log as logging

from minova import clock
from minova import exception
from minova.db.connections.engine import Connection
from minova.db.connections.engine import Database
from minova.db.queries import message_keys
from minova.db.queries.message_keys import HostKey
from minova.engine import host_enrollment
from minova.rpc.database_time import DatabaseTime
from minova.rpc.proof import Sender
from minova.rpc.proof import Signer
from minova.rpc.signing import SigningKey

LOG = logging.getLogger(__name__)

#: Seconds for which a key that was read counts: how late a revocation is.
_MAX_AGE = 1.0
#: Seconds between two readings of the database's clock.
_TIME_INTERVAL = 60.0
#: Keys that are remembered.
_MAX_KEYS = 10_000


class SenderKeys:
    """The keys, and the time, in the database; and the own key."""

    def __init__(self, database: Database) -> None:
        """Read the key of the control plane; make it in a new database.

        Raises Unavailable.
        """
        self._database = database
        self._own = _ensure_own_key(database)
        self._keys: dict[str, tuple[float, str]] = {}
        self._time = DatabaseTime()
        self._read_time()

    def signer(self, host: str, incarnation: str | None = None) -> Signer:
        """Return the signer of a process; the name is for logs only."""
        return Signer(
            self._own,
            Sender.CONTROL_PLANE,
            host,
            incarnation or clock.uuid4(),
            self.now,
        )

    def now(self) -> float:
        """Return the time of the database, in seconds since 1970.

        The clock of this machine counts the seconds since the last reading,
        also while the database is down.
        """
        if self._time.age > _TIME_INTERVAL:
            # Other threads use the old reading meanwhile.
            self._time.set(self._time.now())
            try:
                self._read_time()
            except exception.Unavailable as error:
                LOG.debug('The time of the database is not read: %s', error)
        return self._time.now()

    def _read_time(self) -> None:
        moment = self._database.read(message_keys.get_now)
        self._time.set(moment.timestamp())

    def control_plane_key(self) -> str:
        """Return the public key of the control plane."""
        return self._own.public_key

    def host_key(self, host: str) -> str:
        """Return the public key of a host, or raise MessageRefused."""
        asked_at = clock.monotonic()
        read_at, key = self._keys.get(host, (-math.inf, ''))
        if asked_at - read_at > _MAX_AGE:
            key = host_enrollment.require_key(host, self._read_key(host))
            if len(self._keys) >= _MAX_KEYS:
                self._keys.clear()
            self._keys[host] = asked_at, key
        return key

    def forget(self, host: str) -> None:
        """Read the key of a host again at its next message."""
        self._keys.pop(host, None)

    def _read_key(self, host: str) -> HostKey | None:
        def read(connection: Connection) -> HostKey | None:
            return message_keys.find_host_key(connection, host)

        found = self._database.read(read)
        if found is not None:
            self._time.set(found.now.timestamp())
        return found

    def use_once(self, digest: str, expires: float) -> bool:
        """Record a message for all conductors; False: it is recorded."""
        return message_keys.use_message(
            self._database,
            digest,
            datetime.datetime.fromtimestamp(expires, datetime.UTC),
        )


def _ensure_own_key(database: Database) -> SigningKey:
    found = database.read(message_keys.find_control_plane_key)
    if found is None:
        message_keys.insert_control_plane_key(
            database, SigningKey.generate().to_text()
        )
        found = database.read(message_keys.find_control_plane_key)
        assert found is not None
    return SigningKey.from_text(found)
