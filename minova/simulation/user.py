# SPDX-License-Identifier: Apache-2.0
"""The user of a simulated cloud, whose requests are a scenario."""

import json
from typing import Final

from minova.rpc.bus import Json
from minova.simulation.cloud import Cloud
from minova.simulation.cloud import Reply
from minova.simulation.image_service import IMAGE
from minova.states import PowerState

#: The attempts of a client, five seconds apart.
_MAX_ATTEMPTS: Final = 10


class User:
    """A client of the api, who can also change guests on the hosts."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        #: The server of the scenario.
        self.server = ''
        #: The server group of the scenario.
        self.group = ''
        #: The host that the scenario has killed.
        self.dead_host = ''

    def request(
        self, method: str, path: str, body: Json | None = None
    ) -> Reply | None:
        """Send a request; retry after a lost connection or a 503."""
        reply = None
        for _ in range(_MAX_ATTEMPTS):
            reply = self.cloud.request(method, path, body)
            if reply is not None and reply.status != 503:
                return reply
            self.cloud.scheduler.wait(5.0)
        return reply

    def create(
        self,
        host: str | None = None,
        drive: bool = False,
        group: str | None = None,
    ) -> str:
        """Create a server; return its id, '' if it is unknown.

        With ``drive`` it has a config drive, with ``group`` it joins a server
        group.
        """
        body = {
            'name': 'server',
            'flavorRef': 'small',
            'imageRef': IMAGE,
            'networks': 'auto',
            'config_drive': drive,
        }
        if host is not None:
            body['host'] = host
        hints = {} if group is None else {'group': group}
        reply = self.request(
            'POST', '/servers', {'server': body, 'os:scheduler_hints': hints}
        )
        if reply is None or reply.status != 202:
            return ''
        return str(reply.get('server')['id'])

    def act(self, name: str, value: object = None) -> Reply | None:
        """Request an action on the server."""
        path = f'/servers/{self.server}/action'
        return self.request('POST', path, {name: value})

    def request_server(
        self, method: str, path: str, body: Json | None = None
    ) -> Reply | None:
        """Request something below the path of the server."""
        return self.request(method, f'/servers/{self.server}/{path}', body)

    def list_nics(self) -> list[Json]:
        """Return the NICs of the server."""
        (text,) = self.cloud.storage.raw.execute(
            'SELECT network_info FROM instances WHERE uuid = ?',
            (self.server,),
        ).fetchone()
        found: list[Json] = json.loads(text)
        return found

    def get_states(self) -> tuple[str, str | None, str | None]:
        """Return vm_state, task_state and host of the server."""
        found = self.cloud.storage.raw.execute(
            'SELECT vm_state, task_state, host FROM instances WHERE uuid = ?',
            (self.server,),
        ).fetchone()
        return tuple(found) if found else ('', None, None)

    def get_host(self) -> str:
        """Return the host of the server, which must be on one."""
        host = self.get_states()[2]
        assert host is not None
        return host

    def wait_for_task_state(
        self, task_state: str, seconds: float = 60
    ) -> None:
        """Wait for a task state, at most ``seconds``."""
        self.cloud.wait(lambda: self.get_states()[1] == task_state, seconds)

    def wait_until_migrating(self, seconds: float = 60) -> None:
        """Wait for a running live migration, at most ``seconds``."""
        self.cloud.wait(
            lambda: bool(
                self.cloud.storage.raw.execute(
                    'SELECT 1 FROM migrations WHERE instance_uuid = ? AND '
                    "status = 'running'",
                    (self.server,),
                ).fetchone()
            ),
            seconds,
        )

    def set_power(self, power: PowerState) -> None:
        """Change the power of the guest on its host, then synchronize."""
        self.cloud.world.set_power(self.get_host(), self.server, power)
        self.sync_power()

    def sync_power(self) -> None:
        """Synchronize power states; wait for an operation that it begins."""
        before = self._count_operations()
        self.cloud.sync_power_states()
        self.cloud.wait(lambda: self._count_operations() > before, 45.0)

    def _count_operations(self) -> int:
        query = 'SELECT count(*) FROM operations'
        (count,) = self.cloud.storage.raw.execute(query).fetchone()
        return int(count)
