# SPDX-License-Identifier: Apache-2.0
"""The services of the all-in-one: start and stop."""

from collections.abc import Iterable
import functools
import os
import socket
from typing import IO
from typing import Protocol

from minova import clock
from minova import exception
from minova import lockfile
from minova import private_files
from minova.allinone import default_flavors
from minova.allinone import default_network
from minova.allinone import settings
from minova.allinone.hosts import Hosts
from minova.api import app
from minova.api import backend
from minova.api.http import errors
from minova.compute import host_key
from minova.compute.service import ComputeService
from minova.conductor.service import ConductorService
from minova.conf import CONF
from minova.console.proxy import ConsoleProxy
from minova.db import migrate
from minova.db.connections import engine
from minova.identity import client_files
from minova.identity.embedded import Identity
from minova.images import embedded as images
from minova.rpc import conductor
from minova.rpc.oslo_bus import OsloBus
from minova.serving import http_server

_URL = 'memory://'


def lock_directory(directory: str) -> IO[str]:
    """Lock the data directory until the file is closed.

    Raises ConfigInvalid when another all-in-one uses it.
    """
    private_files.make_directory(directory, '--data-dir')
    held = lockfile.acquire(os.path.join(directory, 'lock'))
    if held is None:
        raise exception.ConfigInvalid(
            reason=(
                f'another minova-allinone uses {directory}; stop it or set '
                'another --data-dir'
            )
        )
    return held


class AllInOne:
    """An api, a conductor, a compute for each host, and minova-novncproxy."""

    def __init__(
        self,
        directory: str,
        hosts: Hosts,
        api_socket: socket.socket,
        vnc_socket: socket.socket,
    ) -> None:
        self._directory = directory
        self._hosts = hosts
        self._api_socket = api_socket
        self._vnc_socket = vnc_socket
        self._base_url = http_server.socket_url(api_socket)

    def start(self) -> None:
        """Create missing data, start all services, print the usage."""
        image_url = f'{self._base_url}/image/v2'
        CONF.set_override('image_url', image_url, 'notifications')
        proxy_url = http_server.socket_url(self._vnc_socket)
        page = f'{proxy_url}/vnc_auto.html'
        CONF.set_default('novncproxy_base_url', page, 'vnc')
        page = f'{proxy_url}/spice/spice_auto.html'
        CONF.set_default('html5proxy_base_url', page, 'spice')
        websocket = proxy_url.replace('http', 'ws', 1)
        CONF.set_default('base_url', f'{websocket}/', 'serial_console')
        # Requests fail earlier than the work of the conductor does.
        self._database = self._connect(CONF.conductor.database_timeout)
        self._api_database = self._connect(CONF.api.database_timeout)
        migrate.sync(self._database)
        default_flavors.create_default_flavors(self._database)
        default_network.create_default_network(self._database)
        self._bus = OsloBus(_URL, threads=8)
        self._conductor = ConductorService(
            self._database, self._bus, 'allinone'
        )
        self._conductor.start()
        store = images.EmbeddedImages(CONF.image.directory)
        store.recover()
        self._computes = [
            ComputeService(
                host, self._bus, open_driver(), store, host_key.ensure(host)
            )
            for host, open_driver in self._hosts.items()
        ]
        for compute in self._computes:
            compute.start()
        for compute in self._computes:
            compute.wait_until_ready()
        self._serve(store)

    def _serve(self, store: images.EmbeddedImages) -> None:
        identity = Identity(CONF.identity.directory)
        self._backend = backend.build_backend(
            self._api_database, self._bus, store, 'allinone'
        )
        application = app.make_app(self._backend, identity, store)
        self._http = http_server.HttpServer(
            application,
            self._api_socket,
            CONF.api.threads,
            CONF.api.max_request_body_size,
            errors.error_body,
        )
        write_client_files = functools.partial(
            client_files.write_client_files, self._directory, self._base_url
        )
        write_client_files(identity.admin_password())
        identity.watch_admin_password(write_client_files)
        settings.write_configuration(self._directory)
        self._proxy = ConsoleProxy(
            self._vnc_socket, conductor.client(self._bus, None)
        )
        self._proxy.start()
        self._http.start()

    def stop(self) -> None:
        """Stop all services in parallel; the guests continue to run."""
        self._http.stop()
        self._proxy.stop()
        self._backend.close()
        _stop_concurrently([*self._computes, self._conductor])
        self._bus.close()
        self._api_database.dispose()
        self._database.dispose()

    def _connect(self, timeout: float) -> engine.Database:
        return engine.connect(
            CONF, settings.database_url(self._directory), timeout
        )


class _Stoppable(Protocol):
    def stop(self) -> None:
        """Exit."""


def _stop_concurrently(services: Iterable[_Stoppable]) -> None:
    """Stop services in parallel: each waits for its own threads."""
    threads = [clock.spawn('stop', one.stop) for one in services]
    for thread in threads:
        thread.join()
