# SPDX-License-Identifier: Apache-2.0
"""The request of a number: the same seed and number make the same request.

Only ids differ between clouds.
"""

import json
import random
import urllib.parse

from tests.fuzz import framing
from tests.fuzz import values as fuzz_values
from tests.fuzz.framing import Request
from tests.fuzz.values import Values

ACTORS = ('anonymous', 'reader', 'member', 'other', 'admin')
_METHODS = ('GET', 'POST', 'PUT', 'DELETE', 'PATCH', 'HEAD', 'OPTIONS')
_ODD_METHODS = ('TRACE', 'CONNECT', 'BREW', 'get', 'PROPFIND')
#: The part of the requests without anything hostile.
_PLAIN = 0.4
#: The part of their objects that are the caller's own.
_OWN = 0.85
#: Parameters of lists without a declared schema.
_PARAM_NAMES = (
    'limit marker sort sort_key sort_dir page_reverse fields name id status '
    'visibility owner tag os_hidden protected size_min size_max '
    'member_status device_id network_id tenant_id project_id domain_id '
    'enabled user.id scope.project.id include_names nocatalog '
    'router:external shared fixed_ips tags any created_at updated_at'
)
_PARAMS = tuple(_PARAM_NAMES.split())
_IMAGE_PATCH = 'application/openstack-images-v2.1-json-patch'


class Generator:
    """Makes requests for the objects of a cloud."""

    def __init__(self, seed, endpoints, pools):
        self._seed = seed
        self._endpoints = endpoints
        self._pools = pools

    def make(self, index):
        """Return a request."""
        rng = random.Random(f'{self._seed}/{index}')
        actor = ACTORS[int(rng.random() * len(ACTORS))]
        endpoint = self._endpoints[int(rng.random() * len(self._endpoints))]
        is_write = endpoint.method not in ('GET', 'HEAD')

        def choose(kind):
            # A request that is valid is mostly about own objects.
            is_own = is_plain and rng.random() < _OWN
            return self._pools.pick(
                kind, actor, is_write, rng.random(), is_own
            )

        def pick(kind):
            return choose(kind)[0]

        # Only valid requests get beyond the checks of their form.
        is_plain = rng.random() < _PLAIN
        values = Values(rng, pick, self._pools.marker(actor), is_plain)
        request = Request(index, actor, endpoint, endpoint.method, '', [])
        self._set_path(choose, values, request)
        if endpoint.is_compute:
            framing.set_version(values, request)
        self._set_body(values, request)
        if values.odd(0.03):
            request.method = values.one_of((*_METHODS, *_ODD_METHODS))
            request.is_routed = request.method == endpoint.method
        if endpoint.path.endswith('/auth/tokens'):
            request.headers.append(('X-Subject-Token', pick('token')))
        if not is_plain:
            framing.add_tricks(values, request, self._pools.projects())
        return request

    # -- the URL --------------------------------------------------------------

    def _set_path(self, choose, values, request):
        parts = request.endpoint.path.split('/')
        for number, part in enumerate(parts):
            if not part.startswith('{'):
                continue
            if values.odd(0.06):
                text = values.one_of(fuzz_values.STRINGS)
                request.is_routed = False
            else:
                kind = _kind(parts, number)
                text, owner = choose(kind)
                request.is_foreign |= self._pools.is_foreign(
                    owner, request.actor
                )
            parts[number] = _quote(text)
        path = '/'.join(parts)
        if values.odd(0.02):
            path = values.one_of(
                (
                    f'{path}/',
                    f'/{path}',
                    path.replace('/v2.1/', '/v2/'),
                    path.replace('/v2.1/', '/v2.1//'),
                    path.replace('/v2.1/', '/v2.1/../identity/v3/'),
                    f'{path}%00',
                    f'{path}/{"a" * 300}',
                    f'{path};a=b',
                    f'http://evil.example{path}',
                    '*',
                    f'{path}#x',
                    path.upper(),
                )
            )
            request.is_routed = False
        request.target = path + self._query(values, request.endpoint)

    def _query(self, values, endpoint):
        pairs = []
        known = dict(endpoint.query)
        names = list(known) or list(_PARAMS)
        if values.chance(0.45):
            for _ in range(1 + int(values.chance(0.4)) * 3):
                name = values.one_of(names)
                pairs.append((name, self._param(values, known.get(name))))
        if values.odd(0.12):
            name = values.one_of((values.one_of(names), 'x', 'é', '', 'a\x00'))
            pairs.append((name, values.one_of(fuzz_values.STRINGS)))
        if values.odd(0.03) and pairs:
            pairs *= values.one_of((2, 51, 401, 3000))
        text = '&'.join(
            f'{_quote(name)}={_quote(value)}' for name, value in pairs
        )
        if values.odd(0.02):
            text += values.one_of(
                ('&', '=', '%', '%ff', '%zz', '&&=&', '%00', 'a', ';', '\xff')
            )
        return f'?{text}' if text else ''

    def _param(self, values, param):
        candidates = [
            values.text(),
            *('1', '0', 'true', 'ACTIVE', '2026-01-31T12:00:00Z', 'asc'),
            *('name', 'created_at', 'a,b', '.*', 'in:a,b', 'gt:1', 'a:desc'),
        ]
        candidates += [values.one_of(candidates)] * 2
        found = values.one_of(candidates)
        if values.odd(0.1) or param is None:
            return found
        for text in (found, *candidates):
            try:
                param.parse(text)
            except ValueError:
                continue
            return text
        return found

    # -- the body -------------------------------------------------------------

    def _set_body(self, values, request):
        endpoint = request.endpoint
        if endpoint.method not in ('POST', 'PUT', 'PATCH'):
            if values.odd(0.03):
                request.body = b'{"a": 1}'
                request.headers.append(('Content-Type', 'application/json'))
            return
        if endpoint.path.endswith('/file'):
            sizes = (0, 1, 512, 70000, 400000)
            request.body = values.one_of((b'\0', b'QFI\xfb', b'x')) * (
                values.one_of(sizes)
            )
            request.headers.append(
                ('Content-Type', 'application/octet-stream')
            )
            return
        document = self._document(values, request)
        document = self._mutated(values, document)
        text = json.dumps(document)
        request.body = text.encode('utf-8', 'surrogatepass')
        if values.odd(0.1):
            request.body = values.spoil(text)
        media = 'application/json'
        if endpoint.method == 'PATCH' and endpoint.path.startswith('/image'):
            media = _IMAGE_PATCH
        request.headers.append(('Content-Type', media))

    def _document(self, values, request):
        endpoint = request.endpoint
        if endpoint.is_compute:
            schema = endpoint.schema(request.version or 1)
        else:
            many = [schema for _, schema in endpoint.bodies]
            schema = values.one_of(many) if many else {}
        found = values.valid(schema or {})
        if endpoint.action and isinstance(found, dict):
            found.setdefault(endpoint.action, None)
        return found

    def _mutated(self, values, document):
        if not values.odd(0.6):
            return document
        for _ in range(1 + int(values.chance(0.4))):
            document = values.mutate(document)
        return document


def _quote(text):
    """Quote a text for a URL, also one that is no Unicode."""
    return urllib.parse.quote(
        str(text).encode('utf-8', 'surrogatepass'), safe="'*()"
    )


def _kind(parts, number):
    """Return the kind of object that a part of a path names."""
    name = parts[number].strip('{}').removesuffix('_id')
    before = parts[number - 1].removeprefix('os-')
    singular = before.removesuffix('s')
    return singular if name in ('row', 'key', 'name') else name
