# SPDX-License-Identifier: Apache-2.0
"""How a compute proves who it is, and what it knows of the other senders.

At its start, each hour and after every refusal the compute shows its public
key to a conductor. The answer has the key of the control plane and the time
of the database. The keys of other computes come from the conductor when they
send a message.
"""

import math
import os
from typing import Final

from oslo_log import log as logging

from minova import clock
from minova import exception
from minova.conf import CONF
from minova.context import get_admin_context
from minova.rpc import conductor as rpc_conductor
from minova.rpc.bus import Bus
from minova.rpc.database_time import DatabaseTime
from minova.rpc.proof import Sender
from minova.rpc.proof import Signer
from minova.rpc.signing import SigningKey

LOG = logging.getLogger(__name__)

#: Seconds between two confirmations: the clocks of machines drift.
_INTERVAL: Final = 3600.0
#: Seconds for which the key of another compute counts.
_MAX_PEER_AGE: Final = 10.0
#: Seconds between two errors about the same refusal.
_LOG_INTERVAL: Final = 60.0
#: Characters of a token file that are read; a token is shorter.
_MAX_TOKEN: Final = 1000


class Enrollment:
    """The identity of one compute process."""

    def __init__(
        self, host: str, incarnation: str, key: SigningKey, bus: Bus
    ) -> None:
        self._host = host
        self._key = key
        self._time = DatabaseTime()
        self.signer = Signer(key, Sender.COMPUTE, host, incarnation, self.now)
        self.conductor = rpc_conductor.client(bus, self.signer)
        self._confirmed_at = -math.inf
        self._control_plane_key: str | None = None
        self._peers: dict[str, tuple[float, str]] = {}
        self._last_logged: tuple[str, float] = ('', -math.inf)

    def ensure(self) -> None:
        """Show the key if it is due; raise MessageRefused, or Unavailable."""
        if clock.monotonic() - self._confirmed_at > _INTERVAL:
            self._enroll()

    def _enroll(self) -> None:
        token = _read_token()
        asked_at = clock.monotonic()
        answer = self.conductor.enroll_host(
            get_admin_context(),
            host=self._host,
            public_key=self._key.public_key,
            token=token,
        )
        self._confirmed_at = clock.monotonic()
        moment = (asked_at + self._confirmed_at) / 2
        self._time.set(float(answer['time']), moment)
        self._control_plane_key = str(answer['control_plane_key'])
        if token is not None:
            _remove_token()
        if self._last_logged[0]:
            LOG.warning('Compute %s: its messages are accepted', self._host)
            self._last_logged = ('', -math.inf)

    @property
    def refusal(self) -> str:
        """Why the newest message was not accepted; empty: it was."""
        return self._last_logged[0]

    def handle_refusal(self, error: exception.MessageRefused) -> None:
        """Log a refusal, at once and then each minute; enroll again."""
        self._confirmed_at = -math.inf
        reason, logged_at = self._last_logged
        now = clock.monotonic()
        if str(error) != reason or now - logged_at >= _LOG_INTERVAL:
            LOG.error(
                'Compute %s runs no new steps and repeats each message: %s',
                self._host,
                error,
            )
            self._last_logged = (str(error), now)

    # -- keys of the senders -------------------------------------------------

    def now(self) -> float:
        """Return the time of the database, in seconds since 1970."""
        return self._time.now()

    def control_plane_key(self) -> str:
        """Return the public key of api and conductors."""
        if self._control_plane_key is None:
            raise exception.MessageRefused(
                what=f'Compute {self._host}', reason='it is not enrolled yet'
            )
        return self._control_plane_key

    def host_key(self, host: str) -> str:
        """Return the public key of a compute."""
        if host == self._host:
            return self._key.public_key
        read_at, key = self._peers.get(host, (-math.inf, ''))
        if clock.monotonic() - read_at > _MAX_PEER_AGE:
            read_at = clock.monotonic()
            key = self.conductor.get_host_key(
                get_admin_context(), host=self._host, peer=host
            )
            self._peers[host] = read_at, key
        return key


def _read_token() -> str | None:
    """Return the token that an operator has written to its file, if any."""
    try:
        with open(_token_path(), encoding='ascii') as file:
            return file.read(_MAX_TOKEN).strip() or None
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        LOG.warning('The enrollment token cannot be read: %s', error)
        return None


def _remove_token() -> None:
    """Remove the token, which has no further use."""
    try:
        os.unlink(_token_path())
    except OSError as error:
        LOG.warning(
            'The enrollment token is used up; remove its file: %s', error
        )


def _token_path() -> str:
    return str(CONF.compute.enrollment_token_file)
