# SPDX-License-Identifier: Apache-2.0
"""A Networking v2.0 over HTTP, under ``/network``.

It shows the networks and ports of the database to the clients that look for a
network service in the catalog. Users see the networks that their project may
use and the ports of their servers; an administrator sees all. Nothing but the
quota of ports can be changed: operators create networks with ``minova-manage
network``, and the Compute API creates and deletes ports with their servers.
There are no floating IPs, routers and security groups, so their lists are
empty.
"""

from collections.abc import Callable
import dataclasses
import datetime
from typing import Final

import falcon

from minova import exception
from minova.db.connections.engine import Connection
from minova.db.connections.engine import Database
from minova.db.queries import networks
from minova.db.queries import ports
from minova.db.queries.networks import Network
from minova.identity import http_io
from minova.identity.http_io import Document
from minova.network import get_subnet_id
from minova.network import quota_routes
from minova.states import PowerState

#: Endpoints without authentication.
PUBLIC: Final = frozenset({('GET', '/network'), ('GET', '/network/')})
_ROOT: Final = '/network/v2.0'
#: Alias, name and date of the extensions whose attributes are shown.
_EXTENSIONS: Final = (
    ('external-net', 'Neutron external network', '2013-01-14T10:00:00-00:00'),
    ('net-mtu', 'Network MTU', '2015-03-25T10:00:00-00:00'),
    ('quotas', 'Quota management support', '2012-07-29T10:00:00-00:00'),
    ('quota_details', 'Quota details', '2017-02-10T10:00:00-00:00'),
)
#: A running or a paused guest has its interfaces plugged.
_PLUGGED: Final = (PowerState.RUNNING, PowerState.PAUSED)


@dataclasses.dataclass(frozen=True)
class Query:
    """A caller, and the instance to which it restricts a list of ports."""

    caller: http_io.Caller
    shows_host: bool
    device_id: str | None = None

    @property
    def project_id(self) -> str | None:
        """The project whose rows the caller sees; None for all."""
        return None if self.caller.is_admin else self.caller.project_id or ''


#: Returns the rows of a collection that the caller sees.
Rows = Callable[[Connection, Query], list[Document]]


def routes(database: Database) -> list[tuple[str, object]]:
    """Return URI templates and their falcon resources."""
    found: list[tuple[str, object]] = []
    for plural, singular, rows in _COLLECTIONS:
        base = f'{_ROOT}/{plural}'
        found.append((base, Collection(database, plural, singular, rows)))
        found.append((f'{base}/{{row_id}}', Member(database, singular, rows)))
    return [
        ('/network', Versions()),
        (_ROOT, Resources()),
        *found,
        *quota_routes.routes(database, _ROOT),
    ]


def error_body(status: int, message: str) -> Document:
    """Return the body of an error in Neutron's form."""
    return {
        'NeutronError': {
            'type': http_io.status_phrase(status).replace(' ', ''),
            'message': message,
            'detail': '',
        }
    }


def _make_query(
    req: falcon.Request, singular: str, device_id: str | None = None
) -> Query:
    """Return the query of a caller who may see rows of a type."""
    return Query(
        http_io.require(req, f'get_{singular}'),
        http_io.is_allowed(req, 'get_port:binding:host_id'),
        device_id,
    )


class Versions:
    """The versions of the Networking API."""

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Reply with the list."""
        url = f'{http_io.get_base_url(req)}{_ROOT}/'
        resp.media = {
            'versions': [
                {
                    'id': 'v2.0',
                    'status': 'CURRENT',
                    'links': [{'rel': 'self', 'href': url}],
                }
            ]
        }


class Resources:
    """The collections of version 2.0."""

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Reply with the list."""
        http_io.require(req, 'get_extension')
        base = f'{http_io.get_base_url(req)}{_ROOT}'
        resp.media = {
            'resources': [
                {
                    'name': singular,
                    'collection': plural,
                    'links': [{'rel': 'self', 'href': f'{base}/{plural}'}],
                }
                for plural, singular, _ in _COLLECTIONS
            ]
        }


class Collection:
    """The rows of a type."""

    def __init__(
        self, database: Database, plural: str, singular: str, rows: Rows
    ) -> None:
        self._database = database
        self._plural = plural
        self._singular = singular
        self._rows = rows

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """List the rows; a parameter with the name of a field is a filter.

        ``limit`` and ``marker`` select a page, ``fields`` the fields.
        """
        device_id = req.params.get('device_id')
        query = _make_query(
            req,
            self._singular,
            device_id if isinstance(device_id, str) else None,
        )
        rows = self._database.read(lambda found: self._rows(found, query))
        rows = [row for row in rows if http_io.matches(row, req.params)]
        fields = req.get_param_as_list('fields')
        resp.media = {
            self._plural.replace('-', '_'): [
                _select_fields(row, fields) for row in _select_page(req, rows)
            ]
        }


class Member:
    """One row of a type."""

    def __init__(self, database: Database, singular: str, rows: Rows) -> None:
        self._database = database
        self._singular = singular
        self._rows = rows

    def on_get(
        self, req: falcon.Request, resp: falcon.Response, row_id: str
    ) -> None:
        """Show the row."""
        query = _make_query(req, self._singular)
        for row in self._database.read(lambda one: self._rows(one, query)):
            if row.get('id', row.get('alias')) == row_id:
                fields = req.get_param_as_list('fields')
                resp.media = {self._singular: _select_fields(row, fields)}
                return
        raise exception.NotFound(
            f'{self._singular.replace("_", " ").capitalize()} {row_id[:64]} '
            'could not be found.'
        )


def _select_page(req: falcon.Request, rows: list[Document]) -> list[Document]:
    """Return at most ``limit`` rows, those after the row ``marker``."""
    limit = req.get_param_as_int('limit', min_value=0)
    marker = req.get_param('marker')
    if marker is not None:
        ids = [row.get('id') for row in rows]
        if marker not in ids:
            raise exception.InvalidInput(
                reason='marker is not the id of a row of this list.'
            )
        rows = rows[ids.index(marker) + 1 :]
    # Neutron regards 0 as no limit.
    return rows[:limit] if limit else rows


def _select_fields(row: Document, fields: list[str] | None) -> Document:
    if not fields:
        return row
    return {name: value for name, value in row.items() if name in fields}


# -- rows ---------------------------------------------------------------------


def _networks(connection: Connection, query: Query) -> list[Document]:
    return [_network(one) for one in _visible(connection, query)]


def _subnets(connection: Connection, query: Query) -> list[Document]:
    return [_subnet(one) for one in _visible(connection, query)]


def _ports(connection: Connection, query: Query) -> list[Document]:
    return [
        _port(one, query.shows_host)
        for one in ports.list_attached(
            connection, query.project_id, query.device_id
        )
    ]


def _visible(connection: Connection, query: Query) -> list[Network]:
    if query.project_id is None:
        return networks.list_all(connection)
    found = networks.list_for_project(connection, query.project_id, lock=False)
    return sorted(found, key=lambda one: one.name)


def _network(network: Network) -> Document:
    return {
        'id': network.id,
        'name': network.name,
        'description': '',
        **_owner(network.project_id),
        'shared': network.project_id is None,
        'admin_state_up': True,
        'status': 'ACTIVE',
        'mtu': network.mtu,
        'router:external': False,
        'subnets': [get_subnet_id(network.id)],
        **_times(network.created_at),
    }


def _subnet(network: Network) -> Document:
    return {
        'id': get_subnet_id(network.id),
        'name': network.name,
        'description': '',
        **_owner(network.project_id),
        'network_id': network.id,
        'ip_version': network.subnet.version,
        'cidr': network.cidr,
        'gateway_ip': network.gateway,
        # The DHCP servers of other kinds do not know Minova's addresses.
        'enable_dhcp': network.kind == networks.LIBVIRT,
        'dns_nameservers': network.dns,
        'allocation_pools': [
            {'start': network.pool_first, 'end': network.pool_last}
        ],
        'host_routes': [],
        'ipv6_address_mode': None,
        'ipv6_ra_mode': None,
        **_times(network.created_at),
    }


def _port(attached: ports.AttachedPort, shows_host: bool) -> Document:
    port = attached.port
    is_plugged = attached.power_state in _PLUGGED
    found: Document = {
        'id': port.id,
        'name': '',
        'description': '',
        **_owner(port.project_id),
        'network_id': port.network_id,
        'mac_address': port.mac,
        'fixed_ips': [
            {
                'subnet_id': get_subnet_id(port.network_id),
                'ip_address': port.address,
            }
        ],
        'device_id': port.instance_uuid,
        'device_owner': f'compute:{attached.availability_zone or ""}',
        'admin_state_up': True,
        'status': 'ACTIVE' if is_plugged else 'DOWN',
        'security_groups': [],
        'allowed_address_pairs': [],
        'extra_dhcp_opts': [],
        **_times(port.created_at),
    }
    if shows_host:
        found['binding:host_id'] = attached.host or ''
    return found


def _owner(project_id: str | None) -> Document:
    return {'project_id': project_id or '', 'tenant_id': project_id or ''}


def _times(created_at: datetime.datetime) -> Document:
    text = created_at.strftime('%Y-%m-%dT%H:%M:%SZ')
    return {'created_at': text, 'updated_at': text}


def _extensions(_connection: Connection, _query: Query) -> list[Document]:
    return [
        {
            'alias': alias,
            'name': name,
            'description': name,
            'updated': updated,
            'links': [],
        }
        for alias, name, updated in _EXTENSIONS
    ]


def _none(_connection: Connection, _query: Query) -> list[Document]:
    return []


#: Plural, singular and rows.
_COLLECTIONS: Final[tuple[tuple[str, str, Rows], ...]] = (
    ('networks', 'network', _networks),
    ('subnets', 'subnet', _subnets),
    ('ports', 'port', _ports),
    ('extensions', 'extension', _extensions),
    ('routers', 'router', _none),
    ('floatingips', 'floatingip', _none),
    ('security-groups', 'security_group', _none),
    ('security-group-rules', 'security_group_rule', _none),
)
