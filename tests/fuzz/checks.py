# SPDX-License-Identifier: Apache-2.0
"""What is wrong with a reply."""

import json

from minova.api.http import errors
from minova.context import Context
from minova.identity import routes as identity_routes
from minova.images import routes as image_routes
from minova.network import routes as network_routes
from tests.fuzz.endpoints import PUBLIC

#: What never is in a reply: remains of programs, and of their errors.
_SECRETS = (
    b'Traceback',
    b'File "/',
    b'.py"',
    b'.py\\"',
    b'sqlalchemy',
    b'sqlite3',
    b'SELECT ',
    b'INSERT INTO',
    b' object at 0x',
    b'pbkdf2',
    b'$scrypt$',
    b'PRIVATE KEY',
)
#: The part of all passwords that requests set.
PASSWORD = b'fzsecret'
_ALLOWED_SERVER_ERRORS = (501, 503)
_FORMS = {
    '/identity': identity_routes.error_body,
    '/image': image_routes.error_body,
    '/network': network_routes.error_body,
}


class Checks:
    """Judges replies with the rules of the policy and the owners of ids."""

    def __init__(self, policy, pools, patience):
        self._policy = policy
        self._pools = pools
        self._patience = patience

    def find(self, request, reply, token):
        """Return a list of texts, one for each thing that is wrong."""
        if reply.status == 0:
            if request.may_close:
                return []
            return ['the server closed the connection without a reply']
        found = [
            *self._status(request, reply),
            *_form(request, reply),
            *self._contents(request, reply, token),
        ]
        if reply.seconds > self._patience:
            found.append(f'the reply took {reply.seconds:.1f} s')
        return found

    # -- the status -----------------------------------------------------------

    def _status(self, request, reply):
        if reply.status >= 500 and reply.status not in _ALLOWED_SERVER_ERRORS:
            yield f'the status is {reply.status}'
        if reply.status >= 300 or not request.is_routed:
            return
        endpoint = request.endpoint
        path = _path(request)
        is_public = endpoint.is_public or (request.method, path) in PUBLIC
        if request.actor == 'anonymous' and not is_public:
            yield 'the endpoint needs a token'
        if (
            _has_owner(request)
            and request.is_foreign
            and not self._pools.is_shared(request)
        ):
            yield 'the object is that of another project'
        rule = endpoint.rule
        if (
            rule
            and request.actor != 'anonymous'
            and not self._allows(request.actor, rule)
        ):
            yield f'policy does not allow {rule}'

    def _allows(self, actor, rule):
        creds = self._pools.creds(actor)
        is_admin = self._policy.is_admin(creds)
        context = Context(**creds, is_admin=is_admin)
        return self._policy.is_allowed(context, rule)

    # -- the body -------------------------------------------------------------

    def _contents(self, request, reply, token):
        body = reply.body
        raw = request.to_bytes('', '')
        head = repr(sorted(reply.headers.items())).encode()
        for secret in (*_SECRETS, *self._pools.secrets()):
            if secret in body or secret in head:
                if secret in raw or secret.decode() in token:
                    continue
                if not _shows_secret(request, reply):
                    yield f'the reply contains {secret[:20]!r}'
        if PASSWORD in body and not _shows_secret(request, reply):
            yield 'the reply contains a password'
        if b'evil=1' in head or b'forged' in head:
            yield 'a text of the user is a header of the reply'
        for owner, text in self._pools.foreign_texts(request.actor):
            if text in body and text not in raw:
                if self._pools.is_shared(request):
                    continue
                yield f'the reply has {text!r} of project {owner}'
                return


def _has_owner(request):
    """Tell whether the endpoint shows or changes what a project owns."""
    # The default quotas are the same for all projects.
    return not request.endpoint.path.endswith(('/defaults', '/default'))


def _shows_secret(request, reply):
    """Tell whether the endpoint hands out a secret, once, when it is made."""
    endpoint = request.endpoint
    made = reply.status in (200, 201, 202) and request.method == 'POST'
    return made and (
        endpoint.action in ('rescue', 'rebuild')
        or endpoint.path.endswith(
            (
                '/application_credentials',
                '/auth/tokens',
                '/os-keypairs',
                '/servers',
            )
        )
    )


def _form(request, reply):
    """Yield what is wrong with the form of the body."""
    if reply.status in (204, 304) or request.method == 'HEAD':
        if reply.body:
            yield 'there is a body, which the status excludes'
        return
    media = reply.headers.get('content-type', '').partition(';')[0]
    is_json = media == 'application/json'
    if not is_json:
        if reply.status >= 400 or (
            reply.body and not request.endpoint.path.endswith('/file')
        ):
            yield f'the Content-Type is {media!r}'
        return
    if not reply.body:
        if reply.status >= 400:
            yield 'the error has no body'
        return
    try:
        document = json.loads(reply.body, parse_constant=_refuse)
    except ValueError as error:
        yield f'the reply is no JSON: {error}'
        return
    if reply.status >= 400 and not _is_fault(request, reply, document):
        yield 'the error has not the documented form'


def _path(request):
    """Return the path of the URL, which may have a host."""
    target = request.target
    if target.startswith('http://'):
        target = '/' + target.split('/', 3)[3]
    # Slashes at the beginning are one.
    return '/' + target.partition('?')[0].lstrip('/')


def _refuse(name):
    raise ValueError(name)


def _is_fault(request, reply, document):
    """Tell whether a document is an error of the service."""
    make = errors.error_body
    path = _path(request)
    for prefix, form in _FORMS.items():
        if path == prefix or path.startswith(f'{prefix}/'):
            make = form
    if 'x-openstack-request-id' not in reply.headers:
        # The request is no valid HTTP: the application has not seen it.
        make = errors.error_body
    return _shape(document) == _shape(make(reply.status, 'x'))


def _shape(document):
    """Return the keys of a document and the types of its values."""
    if isinstance(document, dict):
        return {
            name: (_shape(value) if name != 'type' else str)
            for name, value in document.items()
        }
    return type(document)
