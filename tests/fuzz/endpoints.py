# SPDX-License-Identifier: Apache-2.0
"""Every endpoint of the application, and the schemas of its bodies.

Nothing here names an endpoint: a new one is in the next fuzz.
"""

import dataclasses
import functools
import re
import sys
from unittest import mock

import falcon.inspect
import jsonschema

from minova.api import app
from minova.api.backend import Backend
from minova.api.http import auth
from minova.api.http import microversion
from minova.api.resources import versions
from minova.conf import CONF
from minova.identity import routes as identity_routes
from minova.images import routes as image_routes
from minova.network import routes as network_routes

_ROOT = '/v2.1'
PUBLIC = (
    auth.PUBLIC
    | identity_routes.PUBLIC
    | image_routes.PUBLIC
    | network_routes.PUBLIC
)
#: The field with the body of a request, where the path does not say it.
_NOUNS = {'tokens': 'auth', 'password': 'user'}


@dataclasses.dataclass(frozen=True)
class Endpoint:
    """A method of a path or, of an action, one key of its body."""

    method: str
    path: str
    action: str = ''
    #: The policy rule, if the endpoint has one.
    rule: str | None = None
    #: Pairs of the first microversion and the schema.
    bodies: tuple = ()
    #: The query parameters, and how each is parsed.
    query: tuple = ()
    since: int = microversion.MINIMUM
    until: int = microversion.MAXIMUM

    @property
    def label(self):
        """The name in reports."""
        text = f'{self.method} {self.path}'
        return f'{text} {self.action}' if self.action else text

    @property
    def params(self):
        """The names in the path."""
        return re.findall(r'{(\w+)}', self.path)

    @property
    def is_public(self):
        """Whether it needs no token."""
        return (self.method, self.path) in PUBLIC

    @property
    def is_compute(self):
        """Whether it has microversions."""
        return self.path.startswith(_ROOT)

    def schema(self, version):
        """Return the schema of the body at a microversion, or None."""
        found = None
        for since, schema in sorted(self.bodies, key=lambda one: one[0]):
            if since <= version or found is None:
                found = schema
        return found


@functools.cache
def find_endpoints():
    """Return all endpoints, sorted by their labels."""
    backend = Backend(
        database=mock.Mock(),
        conductor=mock.Mock(),
        computes=mock.Mock(),
        waker=mock.Mock(),
        images=mock.Mock(),
        host='fuzz',
    )
    CONF.set_override('auth_strategy', 'embedded', 'api')
    try:
        application = app.make_app(backend, mock.Mock(), mock.Mock())
    finally:
        CONF.clear_override('auth_strategy', 'api')
    found = []
    for route in falcon.inspect.inspect_routes(application):
        for method in route.methods:
            if not method.internal:
                found += _of_method(route.path, method.method)
    return sorted(set(found), key=lambda one: (one.label, one.since))


def _of_method(path, method):
    rows = [
        row
        for prefix, rows in ((_ROOT, app.ROUTES), ('', versions.ROUTES))
        for row in rows
        if (prefix + row.path, row.method) == (path, method)
    ]
    if not rows:
        return [Endpoint(method, path, bodies=_companion_bodies(path, method))]
    return [one for row in rows for one in _of_row(path, row)]


def _of_row(path, row):
    base = Endpoint(
        row.method,
        path,
        rule=row.rule,
        query=tuple(row.query.params.items()),
        since=row.since,
        until=row.until,
        bodies=_pairs(row.body),
    )
    yield base
    for name, rule, body, since in _actions(row):
        yield dataclasses.replace(
            base,
            action=name,
            rule=rule,
            bodies=_pairs(body),
            since=max(row.since, since),
        )


def _pairs(body):
    return () if body is None else tuple(map(_Pair, body.schemas.items()))


class _Pair(tuple):
    """A version and a schema, compared by identity."""

    __slots__ = ()

    def __hash__(self):
        return hash((self[0], id(self[1])))

    def __eq__(self, other):
        return self[0] == other[0] and self[1] is other[1]


def _actions(row):
    """Yield name, rule, schema and version of each action of a table."""
    module = sys.modules[row.handler.__module__]
    if row.rule is not None or not row.path.endswith('/action'):
        return
    for name in ('ACTIONS', '_ACTIONS'):
        for action, entry in getattr(module, name, {}).items():
            if isinstance(entry, tuple):
                yield action, entry[0], entry[1], microversion.MINIMUM
            else:
                since = getattr(entry, 'since', microversion.MINIMUM)
                yield action, entry.rule, entry.body, since


# -- the services beside the Compute API --------------------------------------


def _companion_bodies(path, method):
    """Return the schemas that a companion may read at this path."""
    if method not in ('POST', 'PUT', 'PATCH'):
        return ()
    package = 'minova.' + {'image': 'images'}.get(
        service := path.split('/')[1], service
    )
    nouns = [part for part in path.split('/') if '{' not in part]
    field = _NOUNS.get(nouns[-1], nouns[-1].removesuffix('s'))
    schemas = _harvest(package)
    named = [one for one in schemas if field in (one.get('properties') or {})]
    kind = 'array' if (method, service) == ('PATCH', 'image') else 'object'
    fits = [one for one in named or schemas if one.get('type') == kind]
    return tuple(_Pair((1, one)) for one in fits)


def _harvest(package):
    """Return the schemas of all validators of a package."""
    found = []
    for name, module in sorted(sys.modules.items()):
        if name == package or name.startswith(f'{package}.'):
            for value in vars(module).values():
                many = value.values() if isinstance(value, dict) else [value]
                found += [
                    one.schema
                    for one in many
                    if isinstance(one, jsonschema.Draft202012Validator)
                ]
    return found
