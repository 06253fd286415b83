# SPDX-License-Identifier: Apache-2.0
"""The callers of a fuzz: their accounts, tokens and projects."""

import json
import secrets
import threading
import urllib.error
import urllib.request

#: The project of each caller, and the role there.
ROLES = {
    'reader': ('a', 'reader'),
    'member': ('a', 'member'),
    'other': ('b', 'member'),
    'admin': ('admin', 'admin'),
}
#: The beginning of all texts of a project.
MARKERS = {'a': 'fzmarka', 'b': 'fzmarkb', 'admin': 'fzadmin'}
_LATEST = {'OpenStack-API-Version': 'compute 2.86'}


class Client:
    """Requests that are valid, for the fuzz itself."""

    def __init__(self, url):
        self._url = url
        self.token = ''
        #: Replaces a token that a request of the fuzz has revoked.
        self.renew = None

    def call(self, method, path, body=None, **headers):
        """Return status, headers and document of a reply."""
        token = self.token
        found = self._send(method, path, body, **headers)
        if found[0] == 401 and self.renew is not None:
            self.renew(token)
            found = self._send(method, path, body, **headers)
        return found

    def _send(self, method, path, body, **headers):
        data = body
        if body is not None and not isinstance(body, bytes):
            data = json.dumps(body).encode()
            headers.setdefault('Content-Type', 'application/json')
        request = urllib.request.Request(
            self._url + path,
            data,
            {'X-Auth-Token': self.token, **_LATEST, **headers},
            method=method,
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as reply:
                text = reply.read()
                found = reply.status, reply.headers, text
        except urllib.error.HTTPError as error:
            with error:
                found = error.code, error.headers, error.read()
        status, made, text = found
        return status, made, json.loads(text) if text else None

    def get(self, path, key):
        """Return the list of a collection; empty on an error."""
        status, _, document = self.call('GET', path)
        return document[key] if status == 200 else []

    def make(self, path, body, key):
        """Create an object; return its document."""
        status, _, document = self.call('POST', path, body)
        if status not in (200, 201, 202):
            raise AssertionError(f'POST {path}: {status} {document}')
        return document[key] if key else document

    def log_in(self, user, password, project):
        """Get a token; return its document."""
        domain = {'id': 'default'}
        status, headers, document = self._send(
            'POST',
            '/identity/v3/auth/tokens',
            {
                'auth': {
                    'identity': {
                        'methods': ['password'],
                        'password': {
                            'user': {
                                'name': user,
                                'domain': domain,
                                'password': password,
                            }
                        },
                    },
                    'scope': {'project': {'name': project, 'domain': domain}},
                }
            },
        )
        if status != 201:
            raise AssertionError(f'{user} cannot log in: {status} {document}')
        self.token = headers['X-Subject-Token']
        return document['token']


class Caller:
    """One caller: account, token and credentials."""

    def __init__(self, url, name, project):
        self.client = Client(url)
        self.name = f'fuzz-{name}-{secrets.token_hex(3)}'
        self.project = project
        self.password = f'pw-{secrets.token_hex(12)}'
        self._lock = threading.Lock()
        self.client.renew = self.log_in

    def log_in(self, used=None):
        """Get a token, unless another thread has replaced the used one."""
        with self._lock:
            if used is not None and used != self.client.token:
                return
            self.token = self.client.log_in(
                self.name, self.password, self.project
            )

    def creds(self):
        """Return the arguments of the context, as the API has them."""
        user, project = self.token['user'], self.token['project']
        return {
            'user_id': user['id'],
            'user_name': user['name'],
            'user_domain_id': user['domain']['id'],
            'project_id': project['id'],
            'project_name': project['name'],
            'project_domain_id': project['domain']['id'],
            'roles': [role['name'] for role in self.token['roles']],
        }
