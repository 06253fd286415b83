# SPDX-License-Identifier: Apache-2.0
"""The Glance client, against the embedded image service over HTTP."""

import contextlib
import json
import os
import shutil
import socketserver
import tempfile
from wsgiref import simple_server

import falcon
from keystoneauth1 import loading

from minova import clock
from minova import conf
from minova import exception
from minova import images
from minova import policy
from minova.conf import image
from minova.identity import embedded as embedded_identity
from minova.identity import routes as identity_routes
from minova.images import glance
from minova.images import glance_requests
from minova.images import routes as image_routes
from tests.unit.identity import base as identity_base
from tests.unit.images import base


class _Server(socketserver.ThreadingMixIn, simple_server.WSGIServer):
    daemon_threads = False

    def handle_error(self, request, client_address):
        """Clients that disconnect are part of the tests."""


class _Handler(simple_server.WSGIRequestHandler):
    def log_message(self, *arguments):
        """Discard the log."""


class Trouble:
    """WSGI middleware that disturbs the n-th next request."""

    def __init__(self, app):
        self.app = app
        self.requests = []
        self.next = []

    def __call__(self, environ, start_response):
        path = environ['PATH_INFO']
        self.requests.append(path)
        if self.next and path.startswith('/image/v2'):
            return self.next.pop(0)(self.app, environ, start_response)
        return self.app(environ, start_response)


def answering(status, body=b'', kind='application/json'):
    """Return a disturbance: another reply."""

    def trouble(app, environ, start_response):
        start_response(status, [('Content-Type', kind)])
        return [body]

    return trouble


def no_fault(app, environ, start_response):
    """Pass the request on."""
    return app(environ, start_response)


def full_body(app, environ):
    """Return all the data of a reply."""
    with contextlib.closing(app(environ, lambda *arguments: None)) as answer:
        return b''.join(answer)


def breaking_off(app, environ, start_response):
    """Announce all of it and send half."""
    whole = full_body(app, environ)
    start_response('200 OK', [('Content-Length', str(len(whole)))])
    return [whole[: len(whole) // 2]]


def corrupting(change):
    """Return a disturbance: other data than Glance has."""

    def trouble(app, environ, start_response):
        whole = change(full_body(app, environ))
        start_response('200 OK', [('Content-Length', str(len(whole)))])
        return [whole]

    return trouble


class GlanceTestCase(base.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.made = tempfile.mkdtemp()
        cls.addClassCleanup(shutil.rmtree, cls.made)
        embedded_identity.Identity(cls.made)

    def setUp(self):
        super().setUp()
        shutil.copytree(self.made, self.file('identity'))
        self.identity = embedded_identity.Identity(self.file('identity'))
        self.trouble = Trouble(self._app())
        self.url = self._serve(self.trouble)
        self.config.register_opts(glance_requests.options(), group='image')
        self.configure(
            service='glance',
            auth_type='password',
            valid_interfaces=['internal'],
        )
        plugin = {
            'auth_url': f'{self.url}/identity/v3',
            'username': 'admin',
            'password': self.identity.admin_password(),
            'project_name': 'admin',
            'user_domain_name': 'Default',
            'project_domain_name': 'Default',
        }
        plugin_options = loading.get_plugin_loader('password').get_options()
        self.config.register_opts(
            [option._to_oslo_opt() for option in plugin_options],
            group='image',
        )
        self.configure(**plugin)
        self.images = glance.open_images()

    def configure(self, **options):
        for name, value in options.items():
            self.config.config(group='image', **{name: value})

    def _app(self):
        identity = self.identity
        rules = policy.Policy(conf.CONF)

        class Auth:
            def process_request(self, req, resp):
                if (req.method, req.path) not in identity_routes.PUBLIC:
                    caller = identity.validate_token(
                        req.get_header('X-Auth-Token') or ''
                    )
                    identity_base.set_caller(req, caller, rules)

        class Member:
            def on_get(self, req, resp, image_id, member_id):
                if member_id != 'invited':
                    raise exception.NotFound
                resp.media = {'member_id': member_id, 'status': 'pending'}

        def refuse(req, resp, error, params):
            resp.status = falcon.code_to_http_status(error.status)
            resp.media = image_routes.error_body(error.status, str(error))

        app = falcon.App(middleware=[Auth()])
        app.add_error_handler(exception.MinovaException, refuse)
        for template, resource in (
            *identity_routes.routes(identity),
            *image_routes.routes(self.store),
            ('/image/v2/images/{image_id}/members/{member_id}', Member()),
        ):
            app.add_route(template, resource)
        return app

    def _serve(self, app):
        server = simple_server.make_server(
            '127.0.0.1', 0, app, _Server, _Handler
        )
        thread = clock.spawn('server', server.serve_forever, 0.01)
        self.addCleanup(thread.join, 10)
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        return f'http://127.0.0.1:{server.server_port}'

    def requests(self, suffix=''):
        return [
            path
            for path in self.trouble.requests
            if path.startswith('/image/v2') and path.endswith(suffix)
        ]


class ShowTest(GlanceTestCase):
    def test_image(self):
        image = self.add(
            base.qcow2(),
            disk_format='qcow2',
            tags=('a',),
            properties={'kernel_id': 'k', 'os_distro': 'debian'},
        )
        shown = self.images.show(base.OWNER, image.id)
        self.assertEqual(
            image.created_at.replace(microsecond=0), shown.created_at
        )
        for name in images.Image.__dataclass_fields__:
            if name not in ('created_at', 'updated_at'):
                self.assertEqual(
                    getattr(image, name), getattr(shown, name), name
                )

    def test_login_is_cached(self):
        image = self.add()
        for _ in range(3):
            self.images.show(base.OWNER, image.id)
        self.assertEqual(
            1, self.trouble.requests.count('/identity/v3/auth/tokens')
        )

    def test_visibility(self):
        invited = base.Caller('invited')
        for visibility, asker, sees in (
            ('private', base.OWNER, True),
            ('private', base.OTHER, False),
            ('private', invited, False),
            ('private', base.ADMIN, True),
            ('private', base.UNSCOPED, False),
            ('public', base.OTHER, True),
            ('community', base.OTHER, True),
            ('shared', base.OTHER, False),
            ('shared', base.UNSCOPED, False),
            ('shared', invited, True),
        ):
            image = self.add(visibility=visibility)
            if sees:
                shown = self.images.show(asker, image.id)
                self.assertEqual(image.id, shown.id)
            else:
                self.assertRaises(
                    exception.ImageNotFound,
                    self.images.show,
                    asker,
                    image.id,
                )

    def test_image_not_found(self):
        for image_id in (clock.uuid4(), 'x', '', '../x', 'x' * 99, 'a/b', 'é'):
            self.assertRaises(
                exception.ImageNotFound,
                self.images.show,
                base.ADMIN,
                image_id,
            )
        self.assertEqual(2, len(self.requests()))

    def test_reply_of_another_service(self):
        image_id = clock.uuid4()
        for body in (b'', b'<html>', b'[]', b'null', b'{}', b'{"id": 5}'):
            self.trouble.next = [answering('200 OK', body)]
            error = self.assertRaises(
                exception.Unavailable,
                self.images.show,
                base.ADMIN,
                image_id,
            )
            self.assertIn('not an image', str(error))

    def test_forbidden_image_is_not_found(self):
        image = self.add()
        self.trouble.next = [answering('403 No')]
        self.assertRaises(
            exception.ImageNotFound, self.images.show, base.OWNER, image.id
        )

    def test_lookup_by_name(self):
        image = self.add()
        self.assertEqual(image.id, images.load().show(base.OWNER, image.id).id)


class EndpointTest(GlanceTestCase):
    def test_endpoint_version_is_ignored(self):
        image = self.add()
        for suffix in ('', '/', '/v2', '/v2/', '/v2.9/'):
            self.configure(endpoint_override=f'{self.url}/image{suffix}')
            shown = glance.open_images().show(base.OWNER, image.id)
            self.assertEqual(image.id, shown.id)

    def test_none_in_the_catalog(self):
        for options, text in (
            ({'region_name': 'elsewhere'}, 'elsewhere'),
            ({'auth_type': 'none'}, 'no endpoint'),
        ):
            self.configure(**options)
            error = self.assertRaises(
                exception.Unavailable,
                glance.open_images().show,
                base.OWNER,
                clock.uuid4(),
            )
            self.assertIn(text, str(error))
        self.assertEqual([], self.clock.slept)

    def test_no_auth_type(self):
        self.configure(auth_type=None)
        error = self.assertRaises(
            exception.ConfigInvalid,
            glance.open_images().show,
            base.OWNER,
            clock.uuid4(),
        )
        self.assertIn('auth_type', str(error))

    def test_unknown_auth_type(self):
        self.configure(auth_type='magic')
        error = self.assertRaises(
            exception.ConfigInvalid,
            glance.open_images().show,
            base.OWNER,
            clock.uuid4(),
        )
        self.assertIn('magic', str(error))

    def test_wrong_password(self):
        self.configure(password='wrong')
        error = self.assertRaises(
            exception.Unavailable,
            glance.open_images().show,
            base.OWNER,
            clock.uuid4(),
        )
        self.assertIn('401', str(error))
        self.assertEqual([], self.clock.slept)

    def test_options_have_limits(self):
        self.assertEqual(60.0, conf.CONF.image.timeout)


class OutageTest(GlanceTestCase):
    def setUp(self):
        super().setUp()
        self.image = self.add(base.RAW)
        self.configure(attempts=3)

    def test_connection_refused(self):
        self.configure(endpoint_override='http://127.0.0.1:1/image')
        error = self.assertRaises(
            exception.Unavailable,
            glance.open_images().show,
            base.OWNER,
            self.image.id,
        )
        self.assertIn('127.0.0.1', str(error))
        self.assertEqual([1.0, 2.0], self.clock.slept)

    def test_identity_unavailable(self):
        self.configure(auth_url='http://127.0.0.1:1/identity/v3')
        self.assertRaises(
            exception.Unavailable,
            glance.open_images().show,
            base.OWNER,
            self.image.id,
        )
        self.assertEqual([1.0, 2.0], self.clock.slept)

    def test_temporary_errors_are_retried(self):
        for status in ('500 No', '502 No', '503 No', '504 No', '429 No'):
            self.trouble.next = [answering(status)] * 2
            shown = self.images.show(base.OWNER, self.image.id)
            self.assertEqual(self.image.id, shown.id)
            self.assertEqual([1.0, 2.0], self.clock.slept)
            self.clock.slept.clear()

    def test_permanent_outage(self):
        self.trouble.next = [answering('503 No')] * 9
        error = self.assertRaises(
            exception.Unavailable,
            self.images.show,
            base.OWNER,
            self.image.id,
        )
        self.assertIn('503', str(error))
        self.assertEqual(6, len(self.trouble.next))

    def test_replies_are_not_retried(self):
        for status in ('400 No', '409 No'):
            self.trouble.next = [answering(status)]
            self.assertRaises(
                exception.Unavailable,
                self.images.show,
                base.OWNER,
                self.image.id,
            )
        self.assertEqual([], self.clock.slept)

    def test_retry_delay_has_a_limit(self):
        self.configure(attempts=7)
        self.trouble.next = [answering('503 No')] * 9
        self.assertRaises(
            exception.Unavailable,
            self.images.show,
            base.OWNER,
            self.image.id,
        )
        self.assertEqual([1.0, 2.0, 4.0, 8.0, 10.0, 10.0], self.clock.slept)

    def test_timeout(self):
        release = clock.event()
        self.addCleanup(release.set)

        def silent(app, environ, start_response):
            release.wait(10)
            return answering('200 OK')(app, environ, start_response)

        self.configure(timeout=0.2, attempts=1)
        self.trouble.next = [silent]
        self.assertRaises(
            exception.Unavailable,
            glance.open_images().show,
            base.OWNER,
            self.image.id,
        )

    def test_revoked_token_is_renewed(self):
        self.images.show(base.OWNER, self.image.id)
        self.clock.forward(days=3)
        shown = self.images.show(base.OWNER, self.image.id)
        self.assertEqual(self.image.id, shown.id)


class DownloadTest(GlanceTestCase):
    def setUp(self):
        super().setUp()
        self.data = os.urandom((2 << 20) + 5)
        self.image = self.add(self.data)
        self.configure(attempts=3)
        self.here = set(os.listdir(self.path))

    def download(self, asker=base.OWNER, image=None):
        image = image or self.image
        self.images.download(asker, image.id, self.file('copy'))
        return self.read('copy')

    def refused(self, kind, *arguments, **named):
        error = self.assertRaises(kind, self.download, *arguments, **named)
        self.assertEqual(self.here, set(os.listdir(self.path)))
        return str(error)

    def test_complete(self):
        self.assertEqual(self.data, self.download())
        self.assertEqual('0o640', self.mode('copy'))

    def test_other_project(self):
        self.refused(exception.ImageNotFound, base.OTHER)
        self.assertEqual([], self.requests('/file'))

    def test_not_uploaded_yet(self):
        self.refused(exception.ImageNotActive, image=self.add())

    def test_deleted_meanwhile(self):
        def deleted(app, environ, start_response):
            found = list(app(environ, start_response))
            self.store.delete(self.image.id)
            return found

        self.trouble.next = [deleted]
        self.refused(exception.ImageNotFound)

    def test_interruption_is_retried(self):
        self.trouble.next = [no_fault, breaking_off, answering('503 No')]
        self.assertEqual(self.data, self.download())
        self.assertEqual(3, len(self.requests('/file')))

    def test_permanent_interruption(self):
        self.trouble.next = [
            no_fault,
            *[breaking_off] * 9,
        ]
        self.refused(exception.Unavailable)
        self.assertEqual(3, len(self.requests('/file')))

    def test_other_data(self):
        for change, text in (
            (lambda data: data[:-1] + b'!', 'sha512'),
            (lambda data: data[:-1], 'size'),
            (lambda data: data + b'!', 'size'),
            (lambda data: b'', 'size'),
        ):
            self.trouble.next = [
                no_fault,
                corrupting(change),
            ]
            self.assertIn(text, self.refused(exception.OperationFailed))
        # Another attempt would get the same data.
        self.assertEqual([], self.clock.slept)

    def test_checksums_of_an_image(self):
        wrong = 'f' * 32
        for change, refused in (
            ({'os_hash_algo': 'SHA512'}, False),
            ({'os_hash_algo': 'sha256', 'os_hash_value': wrong}, True),
            ({'os_hash_algo': 'gost', 'os_hash_value': wrong}, False),
            ({'os_hash_algo': 'shake_128', 'os_hash_value': wrong}, False),
            ({'os_hash_value': None}, False),
            ({'os_hash_value': None, 'checksum': wrong}, True),
            (
                {'os_hash_value': None, 'checksum': None, 'size': None},
                False,
            ),
            ({'os_hash_value': None, 'checksum': None, 'size': 1}, True),
        ):
            answer = self.images._get(self.image.id).json()
            self.trouble.next = [
                answering('200 OK', json.dumps({**answer, **change}).encode())
            ]
            if refused:
                self.refused(exception.OperationFailed)
            else:
                self.assertEqual(self.data, self.download())
                os.unlink(self.file('copy'))

    def test_too_slow(self):
        self.configure(download_timeout=60)

        def slow(app, environ, start_response):
            whole = full_body(app, environ)
            start_response('200 OK', [('Content-Length', str(len(whole)))])
            yield whole[:-1]
            self.clock.forward(minutes=2)
            yield whole[-1:]

        self.trouble.next = [
            no_fault,
            slow,
        ]
        self.assertIn('download_timeout', self.refused(exception.Unavailable))
        self.assertEqual(1, len(self.requests('/file')))

    def test_no_free_space(self):
        self.assertRaises(
            exception.OperationFailed,
            self.images.download,
            base.OWNER,
            self.image.id,
            self.file('nowhere', 'copy'),
        )
        self.assertEqual([], self.requests('/file'))


class OptionsTest(identity_base.TestCase):
    def test_none_shadows_our_routes(self):
        names = [option.dest for option in glance_requests.options()]
        self.assertEqual(
            set(), set(names) & {option.dest for option in image.OPTIONS}
        )
