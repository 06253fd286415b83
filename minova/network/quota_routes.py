# SPDX-License-Identifier: Apache-2.0
"""The quotas of Networking v2.0: the limit of ports.

Operators create networks, so other resources are not limited.
"""

from typing import Final

import falcon
import jsonschema

from minova.db.connections.engine import Connection
from minova.db.connections.engine import Database
from minova.db.queries import networks
from minova.db.queries import ports
from minova.identity import http_io
from minova.identity.http_io import Document
from minova.quotas import limits

_PORT: Final = 'port'
_UNLIMITED: Final = (
    'network',
    'subnet',
    'subnetpool',
    'router',
    'floatingip',
    'security_group',
    'security_group_rule',
    'rbac_policy',
)
_MAX_LIMIT: Final = 0x7FFFFFFF
_UPDATE: Final = jsonschema.Draft202012Validator(
    {
        'type': 'object',
        'required': ['quota'],
        'additionalProperties': False,
        'properties': {
            'quota': {
                'type': 'object',
                'additionalProperties': False,
                'properties': {
                    _PORT: {
                        'type': 'integer',
                        'minimum': limits.UNLIMITED,
                        'maximum': _MAX_LIMIT,
                    },
                    # Whether the usage must be below the limit.
                    'check_limit': {'type': 'boolean'},
                    'force': {'type': 'boolean'},
                    **{
                        name: {'const': limits.UNLIMITED}
                        for name in _UNLIMITED
                    },
                },
            }
        },
    }
)


def routes(database: Database, root: str) -> list[tuple[str, object]]:
    """Return URI templates and their falcon resources."""
    quota = f'{root}/quotas/{{project_id}}'
    return [
        (quota, Quota(database)),
        (f'{quota}/default', DefaultQuota(database)),
        (f'{quota}/details', QuotaDetails(database)),
    ]


class Quota:
    """The limits of a project."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def on_get(
        self, req: falcon.Request, resp: falcon.Response, project_id: str
    ) -> None:
        """Show them, to the project or an administrator."""
        http_io.require(req, 'get_quota', project_id=project_id)
        resp.media = self._database.read(lambda one: _quota(one, project_id))

    def on_put(
        self, req: falcon.Request, resp: falcon.Response, project_id: str
    ) -> None:
        """Set them, as an administrator.

        The usage may exceed the limit, unless ``check_limit`` is true.
        """
        http_io.require(req, 'update_quota', project_id=project_id)
        body = http_io.read_json(req)
        http_io.validate(_UPDATE, body)
        given = body['quota']
        values = {limits.PORTS: given[_PORT]} if _PORT in given else {}

        def work(connection: Connection) -> Document:
            limits.change_limits(
                connection,
                project_id,
                None,
                values,
                force=not given.get('check_limit', False),
            )
            return _quota(connection, project_id)

        resp.media = self._database.write(work)

    def on_delete(
        self, req: falcon.Request, resp: falcon.Response, project_id: str
    ) -> None:
        """Return to the default, as an administrator."""
        http_io.require(req, 'delete_quota', project_id=project_id)
        self._database.write(
            lambda one: limits.reset_limits(one, project_id, (limits.PORTS,))
        )
        resp.status = falcon.HTTP_204


class DefaultQuota:
    """The limits of a project without limits of its own."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def on_get(
        self, req: falcon.Request, resp: falcon.Response, project_id: str
    ) -> None:
        """Show them, to the project or an administrator."""
        http_io.require(req, 'get_quota', project_id=project_id)
        found = self._database.read(limits.get_defaults)
        resp.media = {'quota': _all_limits(found)}


class QuotaDetails:
    """The limits and the usage of a project."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def on_get(
        self, req: falcon.Request, resp: falcon.Response, project_id: str
    ) -> None:
        """Show them, to the project or an administrator."""
        http_io.require(req, 'get_quota', project_id=project_id)
        found, used = self._database.read(
            lambda one: (
                limits.get_limits(one, project_id),
                _count(one, project_id),
            )
        )
        resp.media = {
            'quota': {
                name: {
                    'limit': limit,
                    'used': used.get(name, 0),
                    'reserved': 0,
                }
                for name, limit in _all_limits(found).items()
            }
        }


def _quota(connection: Connection, project_id: str) -> Document:
    found = limits.get_limits(connection, project_id)
    return {'quota': _all_limits(found)}


def _all_limits(found: dict[str, int]) -> dict[str, int]:
    unlimited = dict.fromkeys(_UNLIMITED, limits.UNLIMITED)
    return {_PORT: found[limits.PORTS], **unlimited}


def _count(connection: Connection, project_id: str) -> dict[str, int]:
    own = [
        one
        for one in networks.list_all(connection)
        if one.project_id == project_id
    ]
    return {
        'network': len(own),
        'subnet': len(own),
        _PORT: sum(ports.count_for_project(connection, project_id).values()),
    }
