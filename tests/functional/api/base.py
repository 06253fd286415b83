# SPDX-License-Identifier: Apache-2.0
"""The API over a cloud in one process, and its clients."""

import dataclasses
import datetime
import uuid

import falcon.testing
import orjson

from minova import exception
from minova import images
from minova.api import app
from minova.api.backend import Backend
from minova.api.http import microversion
from minova.network import definition
from minova.rpc.wakeups import Waker
from tests import base
from tests.fixtures.cloud import Cloud

#: Tokens of the strategy ``noauth2``.
ADMIN = 'admin:11111111aaaaaaaa'
USER = 'user:22222222bbbbbbbb'
OTHER = 'other:33333333cccccccc'
LATEST = microversion.to_string(microversion.MAXIMUM)


class ImageStore:
    """An image service with the images of a test."""

    def __init__(self, snapshots):
        self.by_id = {}
        #: Creates the record of a snapshot.
        self.reserve = snapshots.reserve

    def add(self, **values):
        now = datetime.datetime.now(datetime.UTC)
        empty = dict.fromkeys(images.Image.__dataclass_fields__)
        made = images.Image(
            **empty
            | {
                'id': str(uuid.uuid4()),
                'name': 'cirros',
                'status': 'active',
                'disk_format': 'qcow2',
                'container_format': 'bare',
                'size': 1024,
                'min_disk': 0,
                'min_ram': 0,
                'visibility': 'public',
                'protected': False,
                'hidden': False,
                'tags': (),
                'properties': {},
                'created_at': now,
                'updated_at': now,
            }
            | values
        )
        self.by_id[made.id] = made
        return made

    def show(self, context, image_id):
        image = self.by_id.get(image_id)
        if image is None or not images.is_visible(image, context):
            raise exception.ImageNotFound(image_id=image_id)
        return image

    def list_visible(self, context):
        return [
            image
            for image in self.by_id.values()
            if images.is_visible(image, context)
        ]

    def change_properties(self, image_id, values, gone):
        image = self.by_id[image_id]
        known = {**image.properties, **values}
        kept = {name: known[name] for name in known if name not in gone}
        changed = dataclasses.replace(image, properties=kept)
        self.by_id[image_id] = changed
        return changed

    def delete(self, image_id):
        if self.by_id[image_id].protected:
            raise exception.Forbidden(f'Image {image_id} is protected')
        del self.by_id[image_id]

    def download(self, context, image_id, path):
        raise AssertionError('the fake hypervisor downloads nothing')


@dataclasses.dataclass
class Reply:
    """A reply."""

    status: int
    body: object
    headers: dict

    @property
    def message(self):
        """The text of an error."""
        (error,) = self.body.values()
        return error['message']


class Client:
    """A client with a token and a microversion."""

    def __init__(self, client, token, version=None):
        self._client = client
        self.token = token
        self.version = version

    def at_version(self, version):
        """Return the client at another microversion."""
        return Client(self._client, self.token, version)

    def request(self, method, path, body=None, headers=None, raw=None):
        """Send a request; ``path`` is below /v2.1 unless it has it."""
        sent = {'X-Auth-Token': self.token} if self.token else {}
        if self.version is not None:
            sent['OpenStack-API-Version'] = f'compute {self.version}'
        if body is not None or raw is not None:
            sent['Content-Type'] = 'application/json'
        path, _, query = path.partition('?')
        result = self._client.simulate_request(
            method,
            path
            if path.startswith(('/v2', '/versions')) or path == '/'
            else f'/v2.1{path}',
            query_string=query,
            headers=sent | (headers or {}),
            body=raw if raw is not None else _dumped(body),
        )
        content = result.content
        return Reply(
            result.status_code,
            orjson.loads(content) if content else None,
            result.headers,
        )

    def get(self, path, **options):
        return self.request('GET', path, **options)

    def post(self, path, body, **options):
        return self.request('POST', path, body, **options)

    def put(self, path, body=None, **options):
        return self.request('PUT', path, body, **options)

    def delete(self, path, **options):
        return self.request('DELETE', path, **options)

    def act(self, server, action, content=None):
        """Request an action on a server."""
        return self.post(f'/servers/{server}/action', {action: content})


def _dumped(body):
    return None if body is None else orjson.dumps(body)


class ApiTestCase(base.TestCase):
    """Tests that use the API of a cloud.

    Where a test needs no operation to run, ``hosts`` is empty and there is no
    conductor, which is ten times as fast.
    """

    hosts = ('a', 'b')
    #: The options of the hosts, by group.
    options = {}

    def setUp(self):
        super().setUp()
        for group, values in self.options.items():
            self.config(group, **values)
        self.config('api', auth_strategy='noauth2')
        # A test of quotas sets its own.
        self.config('quota', instances=-1, cores=-1, ram=-1)
        self.config('quota', shared_network_percent=100)
        self.cloud = self.useFixture(
            Cloud(self.hosts, conductors=1 if self.hosts else 0)
        )
        self.image_store = ImageStore(self.cloud.images)
        self.image = self.image_store.add().id
        waker = Waker(self.cloud.steps, in_background=True)
        self.addCleanup(waker.close)
        self.backend = Backend(
            database=self.cloud.database,
            conductor=self.cloud.conductor,
            computes=self.cloud.computes_client,
            waker=waker,
            images=self.image_store,
            host='api',
        )
        self.addCleanup(self.backend.timed_calls.close)
        self.restart_api()

    def restart_api(self):
        """Recreate the application, with the current options."""
        self.app = app.make_app(self.backend)
        self.http = falcon.testing.TestClient(self.app)
        self.admin = Client(self.http, ADMIN)
        self.user = Client(self.http, USER)
        self.other = Client(self.http, OTHER)
        self.anonymous = Client(self.http, None)

    # -- fixtures
    # ---------------------------------------------------------------

    def make_flavor(self, name='small', **values):
        """Create a flavor; return its id."""
        made = {'name': name, 'id': name, 'ram': 512, 'vcpus': 1, 'disk': 1}
        reply = self.admin.post('/flavors', {'flavor': made | values})
        self.assertEqual(200, reply.status, reply.body)
        return reply.body['flavor']['id']

    def make_network(self, name='private', **words):
        """Create a network; return it."""
        plugs = {'bridge', 'libvirt_network', 'user'}
        given = {'cidr': '10.0.0.0/24'} | words
        if not plugs & set(given):
            given['bridge'] = 'br0'
        made = definition.define(name, **given)
        definition.create(self.cloud.database, made)
        return made

    def server(self, **values):
        """Return the body of a create."""
        return {
            'name': 'web',
            'imageRef': self.image,
            'flavorRef': 'small',
        } | values

    def boot(self, client=None, wait=True, **values):
        """Create a server; return its id."""
        client = client or self.user
        reply = client.post('/servers', {'server': self.server(**values)})
        self.assertEqual(202, reply.status, reply.body)
        uuid = reply.body['server']['id']
        if wait:
            self.cloud.settle(uuid)
        return uuid

    def show(self, server, client=None):
        """Return a server as a client sees it."""
        reply = (client or self.user).get(f'/servers/{server}')
        self.assertEqual(200, reply.status, reply.body)
        return reply.body['server']

    def ids(self, client, query=''):
        """Return the ids of the servers in a list."""
        reply = client.get(f'/servers{query}')
        self.assertEqual(200, reply.status, reply.body)
        return [server['id'] for server in reply.body['servers']]

    def assert_refused(self, status, text, reply):
        """Check the status and the text of an error."""
        self.assertEqual(status, reply.status, reply.body)
        self.assertIn(text, reply.message)
        (error,) = reply.body.values()
        self.assertEqual(status, error['code'])
