# SPDX-License-Identifier: Apache-2.0
"""Headers of a request, valid and not, and its bytes."""

import dataclasses

from minova.api.http import microversion

#: Headers that a proxy or a middleware sets, and a client must not.
_SPOOFS = (
    ('X-Roles', 'admin,member,reader,service'),
    ('X-Role', 'admin'),
    ('X_ROLES', 'admin'),
    ('X-Identity-Status', 'Confirmed'),
    ('X-Service-Identity-Status', 'Confirmed'),
    ('X-Service-Roles', 'admin,service'),
    ('X-Service-Token', 'gAAAA'),
    ('X-Is-Admin-Project', 'True'),
    ('X-User-Id', 'admin'),
    ('X-User', 'admin'),
    ('X-Tenant', 'admin'),
    ('OpenStack-System-Scope', 'all'),
    ('X-Auth-Token', ''),
    ('Remote-User', 'admin'),
    ('REMOTE_USER', 'admin'),
    ('X-HTTP-Method-Override', 'DELETE'),
    ('X-Original-URL', '/v2.1/servers'),
    ('X-Forwarded-For', '127.0.0.1'),
    ('X-Forwarded-Prefix', '/../'),
    ('X-Forwarded-Host', 'evil.example'),
    ('Forwarded', 'for=127.0.0.1;host=evil.example;proto=https'),
    ('X-OpenStack-Request-ID', 'req-' + 'a' * 5000),
    ('X-OpenStack-Request-ID', 'req-1\x0bforged'),
)
_ODD = (
    ('Accept', 'application/xml'),
    ('Accept', '*/*;q=' + '9' * 300),
    ('Accept-Encoding', 'gzip, br, \xff'),
    ('Accept-Language', 'xx-' + 'y' * 2000),
    ('If-None-Match', '*'),
    ('If-Match', '"0"'),
    ('If-Modified-Since', 'Sat, 31 Feb 2099 99:99:99 GMT'),
    ('If-Unmodified-Since', 'yesterday'),
    ('If-Range', '"x"'),
    ('Range', 'bytes=0-0,1-1,2-'),
    ('Range', 'bytes=-99999999999999999999'),
    ('Range', 'x=' + '1,' * 2000),
    ('Cookie', 'a=' + 'b' * 4000),
    ('Date', 'x'),
    ('Upgrade', 'h2c'),
    ('Connection', 'Upgrade, HTTP2-Settings'),
    ('Host', 'evil.example'),
    ('Host', '[::1'),
    ('Host', 'a\\@b'),
    ('Content-Encoding', 'gzip'),
    ('Content-MD5', 'x'),
    ('X-Long', 'a' * 60000),
    ('X-Image-Meta-Size', '-1'),
    ('X-Openstack-Image-Size', '9' * 40),
    ('X-Subject-Token', 'x'),
    ('X-Subject-Token', '\xe9' * 300),
)
_TYPES = (
    'application/xml',
    'text/plain',
    'application/x-www-form-urlencoded',
    'multipart/form-data; boundary=x',
    'application/json; charset=utf-16',
    'application/json;' + ' ' * 3000,
    'APPLICATION/JSON',
    'application/octet-stream',
    'application/openstack-images-v2.1-json-patch',
    '',
    ';',
    'application/json\xff',
)
_VERSIONS = (
    '2.0',
    '2.9999',
    '3.1',
    '1.1',
    '-2.1',
    '2',
    'x',
    '2.1.1',
    '٢.١',
    'LATEST',
    ' 2.1',
    '2.' + '9' * 5000,
)
_LENGTHS = (
    '-1',
    '99999999999999999999',
    '50000000000',
    '0x10',
    '1, 1',
    '+1',
    'x',
    '1_0',
)
_CHUNKS = (
    b'ffffffffffffffff\r\n',
    b'-1\r\na\r\n0\r\n\r\n',
    b'1\r\nab\r\n0\r\n\r\n',
    b'x\r\n',
    b'1;' + b'a' * 5000 + b'\r\n{\r\n0\r\n\r\n',
)


@dataclasses.dataclass
class Request:
    """One request, without its token."""

    index: int
    actor: str
    endpoint: object
    method: str
    target: str
    headers: list
    body: bytes | None = None
    #: The server may close the connection instead of a reply.
    may_close: bool = False
    #: Another project owns an object in the path.
    is_foreign: bool = False
    #: Method, path and action are those of the endpoint.
    is_routed: bool = True
    #: The bytes after the headers, if they are not the body.
    raw_body: bytes | None = None
    version: int | None = None

    @property
    def label(self):
        """The name of the endpoint in reports."""
        return self.endpoint.label

    def to_bytes(self, host, token):
        """Return the bytes of the request."""
        lines = [f'{self.method} {self.target} HTTP/1.1']
        names = {name.lower() for name, _ in self.headers}
        if 'host' not in names:
            lines.append(f'Host: {host}')
        if token and 'x-auth-token' not in names:
            lines.append(f'X-Auth-Token: {token}')
        lines += [f'{name}: {value}' for name, value in self.headers]
        if self.raw_body is not None:
            content = self.raw_body
        else:
            content = self.body or b''
            if self.body is not None:
                lines.append(f'Content-Length: {len(content)}')
        head = '\r\n'.join([*lines, '', ''])
        return head.encode('latin-1', 'replace') + content


def set_version(values, request):
    """Set a microversion, which is usually a supported one."""
    request.version = microversion.MINIMUM
    roll = values.one_of(('none', 'some', 'some', 'latest', 'latest', 'bad'))
    number = values.one_of(_ALL)
    bad = values.one_of(_VERSIONS)
    legacy = values.chance(0.1)
    if roll == 'none':
        return
    text = {
        'some': microversion.to_string(number),
        'latest': 'latest',
        'bad': bad,
    }[roll]
    request.version = {
        'some': number,
        'latest': microversion.MAXIMUM,
        'bad': None,
    }[roll]
    if roll == 'bad' and not values.odd(0.3):
        text, request.version = 'latest', microversion.MAXIMUM
    if legacy:
        request.headers.append((microversion.LEGACY_HEADER, text))
    else:
        request.headers.append(
            (microversion.HEADER, f'{microversion.SERVICE} {text}')
        )


_ALL = tuple(range(microversion.MINIMUM, microversion.MAXIMUM + 1))


def add_tricks(values, request, projects):
    """Add what a client does not send: spoofs, odd types, odd framing."""
    if values.chance(0.15):
        request.headers += [values.one_of(_SPOOFS) for _ in range(3)]
        request.headers += [
            ('X-Project-Id', values.one_of(projects)),
            ('X-Tenant-Id', values.one_of(projects)),
        ]
        # An empty token makes the request anonymous.
    if values.chance(0.15):
        request.headers.append(values.one_of(_ODD))
    if values.chance(0.01):
        request.headers += [(f'X-H{n}', 'v') for n in range(500)]
    if request.body is not None and values.chance(0.06):
        wanted = values.one_of(_TYPES)
        request.headers = [
            ('Content-Type', wanted) if name == 'Content-Type' else (name, was)
            for name, was in request.headers
        ]
    if values.chance(0.06):
        _frame(values, request)


def _frame(values, request):
    """Change the length of the body, or how it is sent."""
    body = request.body or b''
    headers = request.headers
    kind = values.one_of(
        ('chunked', 'bad', 'length', 'short', 'expect', 'both', 'twice')
    )
    if kind == 'chunked':
        parts = [body[at : at + 7] for at in range(0, min(len(body), 700), 7)]
        parts.append(body[700:])
        headers.append(('Transfer-Encoding', 'chunked'))
        request.raw_body = (
            b''.join(
                b'%x\r\n%s\r\n' % (len(part), part)
                for part in [*parts, b'']
                if part
            )
            + b'0\r\n\r\n'
        )
    elif kind == 'expect':
        headers.append(
            ('Expect', values.one_of(('100-continue', '200-ok', '')))
        )
    else:
        request.may_close = True
        request.raw_body = body
        if kind == 'bad':
            headers.append(('Transfer-Encoding', 'chunked'))
            request.raw_body = values.one_of(_CHUNKS)
        elif kind == 'length':
            headers.append(('Content-Length', values.one_of(_LENGTHS)))
        elif kind == 'short':
            headers.append(('Content-Length', str(len(body) + 100)))
        elif kind == 'both':
            headers.append(('Content-Length', str(len(body))))
            headers.append(('Transfer-Encoding', 'chunked'))
            request.raw_body = b'0\r\n\r\n' + body
        else:
            headers.append(('Content-Length', str(len(body))))
            headers.append(('Content-Length', str(len(body) + 1)))
