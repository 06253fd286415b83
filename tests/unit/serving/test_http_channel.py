# SPDX-License-Identifier: Apache-2.0
"""Bodies, deadlines and bounds of the HTTP server, over real sockets."""

import contextlib
import errno
import json
import logging
import queue
import select
import socket
import struct
import tempfile
import threading

import fixtures

from minova import clock
from minova import loops
from minova.api.http import errors
from minova.serving import http_admission
from minova.serving import http_channel
from minova.serving import http_server
from minova.serving.http_admission import Admission
from tests import base

LIMIT = 2000
HUGE = 50_000_000_000


class Application:
    """``/public`` needs no token, ``/upload`` accepts any body."""

    def __init__(self):
        self.questions = []
        self.progress = queue.Queue()
        self.release = threading.Event()

    def __call__(self, environ, start_response):
        path = environ['PATH_INFO']
        token = environ.get('HTTP_X_AUTH_TOKEN')
        admission = Admission.REFUSED
        if path == '/broken':
            raise ValueError('broken')
        if path == '/public':
            admission = Admission.PUBLIC
        elif token == 'good':
            admission = Admission.AUTHENTICATED
        if http_admission.answer(environ, admission):
            self.questions.append(path)
            return []
        status, content = self.respond(environ, path, admission)
        start_response(status, [('Content-Length', str(len(content)))])
        return [content]

    def respond(self, environ, path, admission):
        if admission is Admission.REFUSED:
            return '401 Unauthorized', b''
        if path == '/large':
            return '200 OK', b'x' * (40 << 20)
        if path == '/busy':
            self.release.wait(30)
            return '200 OK', b''
        if path == '/upload':
            return self.upload(environ['wsgi.input'])
        body = b''
        if int(environ.get('CONTENT_LENGTH') or 0) <= LIMIT:
            body = environ['wsgi.input'].read(LIMIT + 1)
            if len(body) <= LIMIT:
                return '200 OK', body
        return '413 Request Entity Too Large', b''

    def upload(self, source):
        size = 0
        try:
            while chunk := source.read1(65536):
                size += len(chunk)
                self.progress.put(size)
        except OSError as error:
            self.progress.put(error)
            return '400 Bad Request', str(error).encode()
        return '200 OK', b'%d' % size


class ServerTestCase(base.TestCase):
    """A server with two threads."""

    threads = 2

    def setUp(self):
        super().setUp()
        self.app = Application()

    def start(self):
        self.bound = http_server.listen('127.0.0.1', 0)
        self.server = http_server.HttpServer(
            self.app, self.bound, self.threads, LIMIT, errors.error_body
        )
        self.address = self.bound.getsockname()
        self.addCleanup(self.server.stop)
        self.addCleanup(self.app.release.set)
        self.server.start()

    def connect(self, sent=b''):
        client = socket.create_connection(self.address, 30)
        self.addCleanup(client.close)
        client.sendall(sent)
        return client

    def head(self, path='/', method='POST', token='good', **headers):
        lines = [f'{method} {path} HTTP/1.1', 'Host: x']
        if token:
            lines.append(f'X-Auth-Token: {token}')
        lines += [
            f'{name.replace("_", "-")}: {value}'
            for name, value in headers.items()
        ]
        return '\r\n'.join([*lines, '', '']).encode()

    def response(self, client):
        """Return the status and the body of a response."""
        with client.makefile('rb') as reader:
            status = int(reader.readline().split()[1])
            length = 0
            while line := reader.readline().strip():
                name, _, value = line.partition(b': ')
                if name.lower() == b'content-length':
                    length = int(value)
            return status, reader.read(length)

    def assert_ended(self, client):
        with contextlib.suppress(ConnectionResetError):
            self.assertEqual(b'', client.recv(1))

    def assert_serves_others(self):
        client = self.connect(self.head(method='GET'))
        self.assertEqual((200, b''), self.response(client))


class BodyTest(ServerTestCase):
    """The application is asked before a body is received."""

    def setUp(self):
        super().setUp()
        self.start()

    def test_complete_request_asks_nothing(self):
        client = self.connect(self.head(Content_Length=4) + b'body')
        self.assertEqual((200, b'body'), self.response(client))
        client.sendall(self.head(method='GET'))
        self.assertEqual((200, b''), self.response(client))
        self.assertEqual([], self.app.questions)

    def test_in_pieces(self):
        client = self.connect(self.head(Content_Length=4))
        for piece in (b'bo', b'dy'):
            clock.sleep(0.1)
            client.sendall(piece)
        self.assertEqual((200, b'body'), self.response(client))
        self.assertEqual(['/'], self.app.questions)

    def test_chunked(self):
        client = self.connect(self.head(Transfer_Encoding='chunked'))
        for piece in (b'2\r\nbo\r\n', b'2\r\ndy', b'\r\n0\r\n\r\n'):
            clock.sleep(0.1)
            client.sendall(piece)
        self.assertEqual((200, b'body'), self.response(client))

    def test_without_token(self):
        """50 GB that an anonymous client announces are not received."""
        self.patch(tempfile, 'TemporaryFile', None)
        client = self.connect(self.head(token=None, Content_Length=HUGE))
        self.assertEqual(401, self.response(client)[0])
        client.close()
        client = self.connect(self.head(token='bad', Content_Length=9) + b'x')
        self.assertEqual(401, self.response(client)[0])
        # What arrives anyway is discarded for a moment, then it is refused.
        with contextlib.suppress(OSError):
            while True:
                client.sendall(b'x' * 65536)

    def test_too_large(self):
        for path, token in (('/', 'good'), ('/public', None)):
            client = self.connect(
                self.head(path, token=token, Content_Length=HUGE)
            )
            self.assertEqual(413, self.response(client)[0])

    def test_refusal_can_be_read_after_the_body(self):
        client = self.connect(
            self.head(Content_Length=500_000) + b'x' * 500_000
        )
        self.assertEqual(413, self.response(client)[0])

    def test_chunks_that_become_too_large(self):
        client = self.connect(self.head(Transfer_Encoding='chunked'))
        for _ in range(3):
            client.sendall(b'400\r\n' + b'x' * 0x400 + b'\r\n')
        self.assertEqual(413, self.response(client)[0])

    def test_endless_line_of_a_chunk(self):
        client = self.connect(self.head(Transfer_Encoding='chunked'))
        clock.sleep(0.1)
        with contextlib.suppress(OSError):
            client.sendall(b'1;x="' + b'x' * 20000)
        self.assertEqual(400, self.response(client)[0])

    def test_application_that_fails(self):
        client = self.connect(self.head('/broken', Content_Length=4))
        self.assertEqual(500, self.response(client)[0])

    def test_expectation(self):
        expect = '100-continue'
        client = self.connect(self.head(Content_Length=4, Expect=expect))
        self.assertEqual((100, b''), self.response(client))
        client.sendall(b'body')
        self.assertEqual((200, b'body'), self.response(client))
        client = self.connect(
            self.head(token=None, Content_Length=4, Expect=expect)
        )
        self.assertEqual(401, self.response(client)[0])

    def test_pipelined(self):
        one = self.head(Content_Length=3)
        client = self.connect(one + b'one' + one + b't')
        with client.makefile('rb') as reader:
            self.assertIn(b'200', reader.readline())
            clock.sleep(0.1)
            client.sendall(b'wo')
            self.assertIn(
                b'two',
                b''.join(reader.readline() for _ in range(9)) + reader.read(3),
            )


class UploadTest(ServerTestCase):
    """An accepted body is streamed."""

    size = 5 << 20

    def setUp(self):
        super().setUp()
        self.start()

    def test_application_reads_while_the_body_arrives(self):
        self.patch(tempfile, 'TemporaryFile', None)
        client = self.connect(
            self.head('/upload', Content_Length=self.size) + b'x' * 100_000
        )
        self.assertGreater(self.app.progress.get(timeout=30), 0)
        client.sendall(b'x' * (self.size - 100_000))
        self.assertEqual((200, b'%d' % self.size), self.response(client))
        # The connection continues.
        client.sendall(self.head(method='GET'))
        self.assertEqual((200, b''), self.response(client))

    def test_chunked(self):
        client = self.connect(
            self.head(
                '/upload', Transfer_Encoding='chunked', Expect='100-continue'
            )
        )
        self.assertEqual(100, self.response(client)[0])
        for _ in range(5):
            client.sendall(b'100000\r\n' + b'x' * 0x100000 + b'\r\n')
        client.sendall(b'0\r\n\r\n')
        self.assertEqual((200, b'%d' % self.size), self.response(client))

    def test_client_disconnects(self):
        client = self.connect(
            self.head('/upload', Content_Length=self.size) + b'x' * 5000
        )
        self.app.progress.get(timeout=30)
        client.close()
        while not isinstance(
            found := self.app.progress.get(timeout=30), OSError
        ):
            pass
        self.assertIn('disconnected', str(found))
        self.assert_serves_others()

    def test_client_pauses(self):
        self.config('api', body_timeout=0.2)
        client = self.connect(
            self.head('/upload', Content_Length=self.size) + b'x' * 5000
        )
        self.assertIn(b'nothing arrived', self.response(client)[1])

    def test_slow_uploads_leave_threads(self):
        head = self.head('/upload', Content_Length=self.size)
        first = self.connect(head + b'x' * 5000)
        self.app.progress.get(timeout=30)
        second = self.connect(head + b'x' * 5000)
        self.assert_serves_others()
        for client in (first, second):
            client.sendall(b'x' * (self.size - 5000))
            self.assertEqual(200, self.response(client)[0])


class SlowClientsTest(ServerTestCase):
    """Clients that send little, for long, do not delay others."""

    def test_half_requests(self):
        self.start()
        for _ in range(400):
            self.connect(self.head(method='GET')[:-2])
        self.assert_serves_others()
        self.assertIn('the oldest idle connection', self.log.output)

    def test_each_connection_above_the_bound_ends_one(self):
        self.config('api', max_connections_per_address=5)
        self.start()
        clients = []
        for _ in range(7):
            clients.append(self.connect(b'GET'))
            # Each is accepted in a turn of its own.
            clock.sleep(0.1)
        clock.sleep(0.3)
        open_clients = [
            number
            for number, client in enumerate(clients)
            if not select.select([client], [], [], 0)[0]
        ]
        self.assertEqual([2, 3, 4, 5, 6], open_clients)

    def test_bodies_of_a_public_endpoint(self):
        self.start()
        for _ in range(10):
            self.connect(
                self.head('/public', token=None, Content_Length=9) + b'x'
            )
        self.assert_serves_others()

    def test_authenticated_body_is_not_counted(self):
        self.config('api', max_connections_per_address=3)
        self.start()
        client = self.connect(self.head(Content_Length=4) + b'b')
        clock.sleep(0.2)
        for _ in range(10):
            self.connect(b'GET')
        client.sendall(b'ody')
        self.assertEqual((200, b'body'), self.response(client))

    def test_request_in_progress_is_not_counted(self):
        self.config('api', max_connections_per_address=3)
        self.start()
        client = self.connect(self.head('/busy', method='GET'))
        clock.sleep(0.2)
        for _ in range(10):
            self.connect(b'GET')
        self.app.release.set()
        self.assertEqual((200, b''), self.response(client))

    def test_deadline_of_the_headers(self):
        self.config('api', header_timeout=0.2)
        self.start()
        silent, half = self.connect(), self.connect(b'GET / HTTP')
        self.assert_ended(silent)
        self.assert_ended(half)
        client = self.connect(self.head(method='GET'))
        self.assertEqual(200, self.response(client)[0])
        client.sendall(b'GET / HTTP')
        self.assert_ended(client)

    def test_deadline_of_the_body(self):
        self.config('api', body_timeout=0.2)
        self.start()
        client = self.connect(self.head(Content_Length=4) + b'b')
        status, text = self.response(client)
        self.assertEqual(408, status)
        self.assertIn(b'[api] body_timeout', text)

    def test_error_of_the_server_is_json(self):
        """The application does not see a request that is no valid HTTP."""
        self.start()
        for sent, status, name, text in (
            (b'get / HTTP/1.1\r\n\r\n', 400, 'badRequest', 'Malformed HTTP'),
            (
                b'GET / HTTP/1.1\r\nA: ' + b'a' * 300000,
                431,
                'computeFault',
                'max_header',
            ),
            (
                self.head(Transfer_Encoding='chunked') + b'-1\r\n',
                400,
                'badRequest',
                'chunk',
            ),
        ):
            found, body = self.response(self.connect(sent))
            self.assertEqual(status, found)
            fault = json.loads(body)[name]
            self.assertEqual(status, fault['code'])
            self.assertIn(text, fault['message'])
            self.assertLessEqual(len(fault['message']), 255)

    def test_one_thread_at_a_time_sends(self):
        """Two threads would send the same bytes, or skip others."""
        self.start()
        held = []
        send = http_channel.Channel.send

        def observed(channel, data, do_close=True):
            held.append(channel.outbuf_lock._is_owned())
            return send(channel, data, do_close=do_close)

        self.patch(http_channel.Channel, 'send', observed)
        client = self.connect(self.head('/large', method='GET'))
        self.assertEqual(200, self.response(client)[0])
        self.assertEqual({True}, set(held))

    def test_client_that_disconnects_before_the_reply(self):
        """The end of the connection is no error of the server."""
        log = self.useFixture(fixtures.FakeLogger(level=logging.ERROR))
        self.start()
        for _ in range(50):
            client = self.connect(self.head(token='', Content_Length=4))
            reset = struct.pack('ii', 1, 0)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
            client.close()
        self.assert_serves_others()
        self.assertEqual('', log.output)

    def test_client_that_reads_nothing(self):
        """The thread of a long response ends."""
        self.threads = 1
        self.patch(http_channel, '_SEND_TIMEOUT', 0.2)
        self.start()
        self.connect(self.head('/large', method='GET'))
        clock.sleep(0.2)
        self.assert_serves_others()


class FailingListener(socket.socket):
    """A listening socket whose first calls of ``accept`` fail."""

    def __init__(self, other, *errors):
        super().__init__(fileno=other.detach())
        self.errors = list(errors)

    def accept(self):
        if self.errors:
            raise self.errors.pop(0)
        return super().accept()


class ListenerTest(ServerTestCase):
    """No error of the listening socket ends the server silently."""

    def setUp(self):
        super().setUp()
        self.patch(loops, 'BACK_OFF', (0.01, 0.01))
        real = http_server.listen
        self.errors = [
            OSError(errno.EMFILE, 'Too many open files'),
            OSError(errno.ENOBUFS, 'No buffer space available'),
            ValueError('surprise'),
        ]
        self.patch(
            http_server,
            'listen',
            lambda *place: FailingListener(real(*place), *self.errors),
        )

    def test_errors_of_accept(self):
        self.start()
        self.assert_serves_others()
        self.assertIn('Loop http failed unexpectedly', self.log.output)

    def test_no_file_is_free(self):
        self.errors = []
        self.start()
        idle = self.connect()
        self.assert_serves_others()
        self.bound.errors.append(OSError(errno.EMFILE, 'Too many'))
        self.assert_serves_others()
        self.assert_ended(idle)

    def test_lost_listener(self):
        """The health check ends the process."""
        self.errors = []
        self.start()
        socket.socket.shutdown(self.bound, socket.SHUT_RDWR)
        until = clock.monotonic() + 30
        while 'http' not in loops.find_dead():
            self.assertLess(clock.monotonic(), until)
            clock.sleep(0.01)
