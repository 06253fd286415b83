# SPDX-License-Identifier: Apache-2.0
"""Transfers over a real socket: what comes, and what is turned away."""

import contextlib
import http.client
import os
import socket
import ssl
import stat
import struct

import orjson

from minova import exception
from minova.objects.live_migrate_data import StorageProbe
from minova.objects.transfer_ticket import TransferEndpoint
from minova.objects.transfer_ticket import TransferTicket
from minova.serving import acceptor
from minova.serving import certificate
from minova.virt.transfer import blocks
from minova.virt.transfer import receiver
from minova.virt.transfer import sender
from minova.virt.transfer import server
from minova.virt.transfer.sender import FileSet
from tests import base

UUID = '11111111-2222-4333-8444-555555555555'
OTHER = '66666666-7777-4888-9999-aaaaaaaaaaaa'
MIB = 1 << 20


class Directory:
    """Directories below one."""

    def __init__(self, directory):
        self.directory = directory
        os.makedirs(os.path.join(directory, 'cache'))

    def incoming_directory(self, uuid):
        return os.path.join(self.directory, f'{uuid}.incoming')

    def base_path(self, name):
        return os.path.join(self.directory, 'cache', name)

    def partial_base_path(self, uuid, name):
        return os.path.join(self.directory, 'cache', f'.{name}.{uuid}.part')

    def check_base(self, path, base_format):
        """Accept every base."""

    def commit(self, uuid, manifest):
        os.rename(
            os.path.join(self.incoming_directory(uuid), 'files'),
            os.path.join(self.directory, uuid),
        )


class TransferTestCase(base.TestCase):
    """A destination, and files of a source."""

    def setUp(self):
        super().setUp()
        self.place = Directory(os.path.join(self.directory, 'dest'))
        self.source = os.path.join(self.directory, 'source')
        os.mkdir(self.source)
        self.pem = os.path.join(self.directory, 'transfer.pem')
        self.fingerprint = certificate.ensure_certificate(self.pem, 'b')
        self.server, self.port = None, 0
        self.start()
        self.addCleanup(self.stop)

    def start(self):
        bound = socket.create_server(('127.0.0.1', self.port))
        self.server = server.TransferServer(
            self.place, bound, certificate.server_context(self.pem)
        )
        self.port = self.server.port
        self.server.start()

    def stop(self):
        if self.server is not None:
            self.server.stop()
            self.server = None

    def restart(self):
        self.stop()
        self.start()

    def create_ticket(self, uuid=UUID, token='secret'):
        ticket = TransferTicket(
            host='b',
            operation='operation-1',
            token=token,
            endpoint=TransferEndpoint(
                address='127.0.0.1',
                port=self.port,
                fingerprint=self.fingerprint,
                probe=StorageProbe(name='.probe', token='probe'),
            ),
        )
        receiver.write_ticket(self.place.incoming_directory(uuid), ticket)
        return ticket

    def file(self, name, *pieces, size=0):
        """Write a file of the source."""
        path = os.path.join(self.source, name)
        with open(path, 'wb') as file:
            for place, content in pieces:
                file.seek(place)
                file.write(content)
            file.truncate(max(size, file.tell()))
        return path

    def file_set(self, *names, bases=()):
        def paths(of):
            return {name: os.path.join(self.source, name) for name in of}

        return FileSet(paths(names), paths(bases), {})

    def send(self, *names, transfer_ticket=None, uuid=UUID, bases=()):
        return list(
            sender.send(
                uuid,
                transfer_ticket or self.create_ticket(uuid),
                self.file_set(*names, bases=bases),
            )
        )

    def arrived(self, name, uuid=UUID):
        return os.path.join(self.place.directory, uuid, name)

    def content(self, path):
        with open(path, 'rb') as file:
            return file.read()

    def assert_same(self, *names, uuid=UUID):
        for name in names:
            self.assertEqual(
                self.content(os.path.join(self.source, name)),
                self.content(self.arrived(name, uuid)),
            )

    def assert_failed(self, words, *args, **kwargs):
        error = self.assertRaises(
            exception.DiskFailed, self.send, *args, **kwargs
        )
        self.assertIn(words, str(error))
        self.assertIn(UUID, str(error))
        self.assertNotIn('secret', str(error))
        self.assertFalse(os.path.exists(self.arrived('')))
        return error

    def blocks(self):
        """Return the numbers of the blocks that are sent from now on."""
        sent = []
        real = sender.ReceiverClient.send_block

        def send(link, path, number, block):
            sent.append((path, number))
            return real(link, path, number, block)

        self.patch(sender.ReceiverClient, 'send_block', send)
        return sent


class SendTest(TransferTestCase):
    """What arrives."""

    def test_files(self):
        self.file('disk', (0, os.urandom(3 * MIB + 17)))
        self.file('disk.swap', size=5 * MIB)
        self.file('console.log')
        done = self.send('disk', 'disk.swap', 'console.log')
        self.assert_same('disk', 'disk.swap', 'console.log')
        self.assertEqual(8 * MIB + 17, done[-1].total)
        self.assertEqual(done[-1].total, done[-1].done)
        steps = [step.done for step in done]
        self.assertEqual(sorted(steps), steps)

    def test_sparse_stays_sparse(self):
        size = 20 << 30
        self.file('disk', (1 << 30, b'a'), (size - 5, b'b'), size=size)
        sent = self.blocks()
        self.send('disk')
        self.assertEqual(2, len(sent))
        found = os.stat(self.arrived('disk'))
        self.assertEqual(size, found.st_size)
        self.assertLess(found.st_blocks * 512, MIB)
        with open(self.arrived('disk'), 'rb') as file:
            file.seek(1 << 30)
            self.assertEqual(b'a', file.read(1))
            file.seek(size - 5)
            self.assertEqual(b'b\0\0\0\0', file.read().ljust(5, b'\0'))

    def test_again_when_it_has_arrived(self):
        self.file('disk', (0, b'x' * MIB))
        transfer_ticket = self.create_ticket()
        self.send('disk', transfer_ticket=transfer_ticket)
        self.restart()
        sent = self.blocks()
        done = self.send('disk', transfer_ticket=transfer_ticket)
        self.assertEqual([], sent)
        self.assertEqual(done[-1].total, done[-1].done)
        self.assert_same('disk')

    def test_two_at_once(self):
        self.file('disk', (0, os.urandom(2 * MIB)))
        goes = [
            sender.send(
                uuid, self.create_ticket(uuid, uuid), self.file_set('disk')
            )
            for uuid in (UUID, OTHER)
        ]
        while goes:
            for go in list(goes):
                if next(go, None) is None:
                    goes.remove(go)
        self.assert_same('disk')
        self.assert_same('disk', uuid=OTHER)

    def test_bases(self):
        path = self.file('image', (0, os.urandom(MIB)))
        self.file('disk', (0, b'overlay'))
        self.send('disk', bases=['image'])
        self.assertEqual(
            self.content(path), self.content(self.place.base_path('image'))
        )
        self.assertEqual(
            ['image'], os.listdir(os.path.dirname(self.place.base_path('')))
        )
        # Another one that stands on it: it is there already.
        sent = self.blocks()
        transfer_ticket = self.create_ticket(OTHER)
        self.send(
            'disk',
            bases=['image'],
            uuid=OTHER,
            transfer_ticket=transfer_ticket,
        )
        self.assertEqual([('files/disk', 0)], sent)

    def test_a_base_that_two_bring(self):
        self.file('image', (0, os.urandom(2 * MIB)))
        self.file('disk', (0, b'overlay'))
        goes = [
            sender.send(
                uuid,
                self.create_ticket(uuid, uuid),
                self.file_set('disk', bases=['image']),
            )
            for uuid in (UUID, OTHER)
        ]
        while goes:
            for go in list(goes):
                if next(go, None) is None:
                    goes.remove(go)
        for uuid in (UUID, OTHER):
            self.assert_same('disk', uuid=uuid)
        cache = os.path.dirname(self.place.base_path(''))
        self.assertEqual(
            self.content(os.path.join(self.source, 'image')),
            self.content(self.place.base_path('image')),
        )
        self.assertEqual(['image'], os.listdir(cache))

    def test_another_base_of_that_name(self):
        self.file('image', (0, b'one'))
        self.file('disk')
        for content, words in ((b'two', 'differs from'), (b'three', 'bytes')):
            with open(self.place.base_path('image'), 'wb') as file:
                file.write(content)
            self.assert_failed(words, 'disk', bases=['image'])
            self.assertEqual(
                content, self.content(self.place.base_path('image'))
            )


class BrokenTest(TransferTestCase):
    """What goes wrong on the way."""

    def cut(self, steps, transfer_ticket):
        """Begin to send, and stop after so many steps."""
        go = sender.send(UUID, transfer_ticket, self.file_set('disk'))
        for _ in range(steps):
            next(go)
        go.close()

    def test_received_blocks_are_not_resent(self):
        self.file('disk', (0, os.urandom(9 * MIB)))
        transfer_ticket = self.create_ticket()
        self.cut(6, transfer_ticket)
        self.restart()
        sent = self.blocks()
        self.send('disk', transfer_ticket=transfer_ticket)
        self.assertEqual(
            [('files/disk', number) for number in range(5, 9)], sent
        )
        self.assert_same('disk')

    def test_lost_blocks_are_resent(self):
        self.file('disk', (0, os.urandom(9 * MIB)))
        transfer_ticket = self.create_ticket()
        self.cut(6, transfer_ticket)
        part = os.path.join(
            self.place.incoming_directory(UUID), 'files', 'disk'
        )
        with open(part, 'r+b') as file:
            # As after a power cut: what was not on the disk is zeros.
            file.seek(2 * MIB)
            file.write(bytes(MIB))
        sent = self.blocks()
        self.send('disk', transfer_ticket=transfer_ticket)
        self.assertIn(('files/disk', 2), sent)
        self.assert_same('disk')

    def test_damaged_on_the_way(self):
        self.file('disk', (0, b'x' * MIB))
        real = blocks.unpack

        def damage(*args):
            block = bytearray(real(*args))
            block[77] ^= 1
            return bytes(block)

        self.patch(blocks, 'unpack', damage)
        self.assert_failed('differed after 3 attempts', 'disk')

    def test_damaged_once(self):
        self.file('disk', (0, b'x' * MIB))
        real, times = blocks.unpack, []

        def damage(*args):
            block = bytearray(real(*args))
            if not times:
                times.append(1)
                block[77] ^= 1
            return bytes(block)

        self.patch(blocks, 'unpack', damage)
        self.send('disk')
        self.assert_same('disk')

    def test_commit_needs_comparison(self):
        self.file('disk', (0, b'x' * MIB))
        transfer_ticket = self.create_ticket()
        with sender.ReceiverClient(UUID, transfer_ticket) as link:
            manifest = receiver.Manifest({'disk': MIB}, {}, {}, False)
            link.send_manifest(manifest)
            self.assertEqual(['files/disk'], link.finish())
            own = [blocks.digest(b'x' * MIB)]
            self.assertEqual([0], link.compare('files/disk', 0, own))
            link.send_block('files/disk', 0, b'x' * MIB)
            self.assertEqual(['files/disk'], link.finish())
            self.assertEqual([], link.compare('files/disk', 0, own))
            # What is written afterwards must be compared again.
            link.send_block('files/disk', 0, b'y' * MIB)
            self.assertEqual(['files/disk'], link.finish())
        self.assertFalse(os.path.exists(self.arrived('')))

    def test_file_grows_during_transfer(self):
        path = self.file('disk', (0, b'x' * MIB))
        times = []
        go = sender.send(UUID, self.create_ticket(), self.file_set('disk'))
        for step in go:
            if step.done and not times:
                times.append(1)
                with open(path, 'ab') as file:
                    file.write(b'y' * MIB)
        self.assertEqual(2 * MIB, os.path.getsize(self.arrived('disk')))
        self.assert_same('disk')

    def test_file_never_stops_growing(self):
        path = self.file('disk', (0, b'x' * MIB))

        def grow():
            for step in sender.send(
                UUID, self.create_ticket(), self.file_set('disk')
            ):
                if step.done:
                    with open(path, 'ab') as file:
                        file.write(b'y')

        error = self.assertRaises(exception.DiskFailed, grow)
        self.assertIn('changed during each', str(error))
        self.assertFalse(os.path.exists(self.arrived('')))

    def test_connection_refused(self):
        self.file('disk')
        transfer_ticket = self.create_ticket()
        self.stop()
        error = self.assert_failed(
            'refused', 'disk', transfer_ticket=transfer_ticket
        )
        self.assertIsInstance(error, exception.DiskTransferInterrupted)
        self.assertIn(f'b at 127.0.0.1, port {self.port}', str(error))

    def test_the_destination_goes_on_the_way(self):
        self.file('disk', (0, os.urandom(5 * MIB)))
        transfer_ticket = self.create_ticket()
        go = sender.send(UUID, transfer_ticket, self.file_set('disk'))
        next(go)
        next(go)
        self.stop()
        self.assertRaises(exception.DiskTransferInterrupted, list, go)
        self.start()
        self.send('disk', transfer_ticket=transfer_ticket)
        self.assert_same('disk')

    def test_a_connection_that_ended_is_opened_again(self):
        self.file('disk', (0, os.urandom(5 * MIB)))
        go = sender.send(UUID, self.create_ticket(), self.file_set('disk'))
        next(go)
        next(go)
        self.restart()
        # The new process has no manifest and says so; the sender restarts.
        error = self.assertRaises(exception.DiskFailed, list, go)
        self.assertIsInstance(error, exception.DiskTransferInterrupted)
        self.send('disk')
        self.assert_same('disk')

    def test_the_disk_is_full(self):
        self.file('disk', (0, b'x' * MIB))

        def full(*args):
            raise OSError(28, 'No space left on device')

        self.patch(blocks, 'write_block', full)
        error = self.assert_failed('No space left on device', 'disk')
        self.assertNotIsInstance(error, exception.DiskTransferInterrupted)


class TrustTest(TransferTestCase):
    """Who may do what."""

    def request(self, method, path, body=b'{}', token='secret', headers=None):
        """Send an unauthenticated request; return status and answer."""
        context = certificate.client_context()
        connection = http.client.HTTPSConnection(
            '127.0.0.1', self.port, context=context
        )
        self.addCleanup(connection.close)
        sent = {'Authorization': f'Bearer {token}'} if token else {}
        connection.request(method, path, body, sent | (headers or {}))
        response = connection.getresponse()
        return response.status, response.read().decode()

    def manifest(self, *names, **values):
        return orjson.dumps(
            {
                'files': dict.fromkeys(names, 5),
                'bases': {},
                'overlays': {},
                'shared': False,
            }
            | values
        )

    def written(self):
        return sorted(
            os.path.relpath(os.path.join(folder, name), self.directory)
            for folder, _, names in os.walk(self.directory)
            for name in names
        )

    def test_the_wrong_token(self):
        self.file('disk', (0, b'x' * MIB))
        transfer_ticket = self.create_ticket().replace(token='another')
        before = self.written()
        self.assert_failed(
            'rejected the request', 'disk', transfer_ticket=transfer_ticket
        )
        for token in ('', 'another', 'secret2', 'SECRET'):
            status, _ = self.request(
                'PUT', f'/v1/{UUID}', self.manifest('d'), token
            )
            self.assertEqual(403, status)
        self.assertEqual(before, self.written())

    def test_a_token_is_for_one_guest(self):
        self.create_ticket(OTHER, 'other')
        self.create_ticket()
        answers = {
            self.request('PUT', f'/v1/{uuid}', self.manifest('d'), token)
            for uuid, token in (
                (UUID, 'other'),
                (OTHER, 'secret'),
                (UUID.replace('1', '2'), 'secret'),
            )
        }
        # All get the same answer, which does not reveal the guests.
        ((status, _),) = answers
        self.assertEqual(403, status)
        self.assertEqual([], os.listdir(self.files()))

    def files(self, uuid=UUID):
        return os.path.join(self.place.incoming_directory(uuid), 'files')

    def test_revoked_token(self):
        self.file('disk', (0, os.urandom(2 * MIB)))
        go = sender.send(UUID, self.create_ticket(), self.file_set('disk'))
        next(go)
        next(go)
        os.unlink(
            os.path.join(
                self.place.incoming_directory(UUID), 'transfer_ticket.json'
            )
        )
        error = self.assertRaises(exception.DiskFailed, list, go)
        self.assertIn('no transfer ticket', str(error))

    def test_a_new_token_ends_the_old_one(self):
        self.file('disk', (0, os.urandom(2 * MIB)))
        go = sender.send(UUID, self.create_ticket(), self.file_set('disk'))
        next(go)
        self.create_ticket(token='newer')
        self.assertRaises(exception.DiskFailed, list, go)

    def test_another_certificate(self):
        self.file('disk', (0, b'x'))
        transfer_ticket = self.create_ticket()
        received = []
        real = server._Connection._dispatch

        def ask(connection):
            received.append(connection.headers)
            return real(connection)

        self.patch(server._Connection, '_dispatch', ask)
        other = transfer_ticket.replace(
            endpoint=transfer_ticket.endpoint.replace(fingerprint='0' * 64)
        )
        self.assert_failed(
            'another certificate',
            'disk',
            transfer_ticket=other,
        )
        self.assertEqual([], received)
        self.send('disk', transfer_ticket=transfer_ticket)
        self.assertNotEqual([], received)

    def test_path_traversal(self):
        self.create_ticket()
        before = self.written()
        for name in (
            '../x', '..', '.', '', '/etc/passwd', 'a/b', '.hidden', 'a\0b',
            'a\nb', 'x' * 300,
        ):  # fmt: skip
            for manifest in (
                self.manifest(name),
                self.manifest('disk', bases={name: 5}),
                self.manifest(
                    'disk', bases={'b': 1}, overlays={name: ['b', 'x']}
                ),
            ):
                status, text = self.request('PUT', f'/v1/{UUID}', manifest)
                self.assertEqual(400, status, name)
                self.assertIn('invalid file name', text)
        for uuid in ('..', f'{UUID}/..', '%2e%2e', UUID.upper() + 'g'):
            status, _ = self.request(
                'PUT', f'/v1/{uuid}', self.manifest('disk')
            )
            self.assertEqual(404, status, uuid)
        self.assertEqual(before, self.written())

    def test_a_link_is_not_followed(self):
        self.create_ticket()
        victim = self.file('victim', (0, b'precious'))
        os.symlink(victim, os.path.join(self.files(), 'disk'))
        status, _ = self.request('PUT', f'/v1/{UUID}', self.manifest('disk'))
        self.assertEqual(507, status)
        self.assertEqual(b'precious', self.content(victim))

    def test_invalid_requests(self):
        self.create_ticket()
        compare = f'/v1/{UUID}/files/disk/compare'
        block = f'/v1/{UUID}/files/disk/blocks'
        for method, path, body, wanted in (
            ('PUT', f'/v1/{UUID}', b'{', 400),
            ('PUT', f'/v1/{UUID}', b'[]', 400),
            ('PUT', f'/v1/{UUID}', self.manifest(files={'a': -1}), 400),
            (
                'PUT',
                f'/v1/{UUID}',
                self.manifest(overlays={'a': ['b', 'c']}),
                400,
            ),
            ('POST', f'/v1/{UUID}/commit', b'', 503),
            ('PUT', f'/v1/{UUID}', self.manifest('disk'), 200),
            ('POST', compare, b'{}', 400),
            ('POST', compare, b'{"first": -1, "digests": ["x"]}', 400),
            ('POST', compare, b'{"first": 0, "digests": []}', 400),
            ('POST', compare, b'{"first": 9, "digests": ["x"]}', 400),
            (
                'POST',
                compare.replace('disk', 'swap'),
                b'{"first": 0, "digests": ["x"]}',
                404,
            ),
            ('PUT', f'{block}/7?cells=1', b'12345', 400),
            ('PUT', f'{block}/0?cells=1', b'1234', 400),
            ('PUT', f'{block}/0', b'12345', 404),
            ('PUT', f'{block}/0?cells=1', b'12345', 200),
            ('POST', '/', b'', 404),
            ('GET', f'/v1/{UUID}', b'', 501),
        ):
            status, text = self.request(method, path, body)
            self.assertEqual(wanted, status, (path, body, text))

    def test_a_body_that_is_too_long(self):
        self.create_ticket()
        status, _ = self.request(
            'PUT', f'/v1/{UUID}', b'', headers={'Content-Length': '99999999'}
        )
        self.assertEqual(413, status)

    def test_client_without_tls(self):
        with socket.create_connection(('127.0.0.1', self.port)) as plain:
            plain.settimeout(10)
            plain.sendall(b'PUT / HTTP/1.1\r\n\r\n')
            with contextlib.suppress(ConnectionResetError):
                self.assertNotIn(b'HTTP', plain.recv(1000))
        self.file('disk')
        self.send('disk')

    def test_an_old_tls(self):
        context = certificate.client_context()
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        with socket.create_connection(('127.0.0.1', self.port)) as plain:
            self.assertRaises(OSError, context.wrap_socket, plain)

    def test_idle_client_blocks_no_other(self):
        silent = socket.create_connection(('127.0.0.1', self.port))
        self.addCleanup(silent.close)
        self.file('disk', (0, b'x'))
        self.send('disk')
        self.assert_same('disk')
        # And is hung up on at the end, or this would wait for a minute.
        self.stop()

    def connect(self):
        """Return a connection with TLS and no request."""
        plain = socket.create_connection(('127.0.0.1', self.port), 10)
        secured = certificate.client_context().wrap_socket(plain)
        self.addCleanup(secured.close)
        return secured

    def test_so_many_at_a_time(self):
        self.patch(server, '_MAX_CONNECTIONS', 1)
        ticket = self.create_ticket()
        first = self.connect()
        first.sendall(
            f'POST /v1/{UUID}/commit HTTP/1.1\r\nContent-Length: 0\r\n'
            f'Authorization: Bearer {ticket.token}\r\n\r\n'.encode()
        )
        self.assertIn(b'HTTP/1.1', first.recv(1000))
        self.file('disk', (0, b'x'))
        error = self.assert_failed(
            '1 transfer connections are open', 'disk', transfer_ticket=ticket
        )
        self.assertIsInstance(error, exception.DiskTransferInterrupted)
        first.close()
        self.send('disk', transfer_ticket=ticket)

    def test_connections_without_token_are_not_counted(self):
        """64 idle connections, half of them with TLS, delay no transfer."""
        self.patch(server, '_MAX_CONNECTIONS', 1)
        for number in range(64):
            if number % 2:
                self.connect()
            else:
                idle = socket.create_connection(('127.0.0.1', self.port))
                self.addCleanup(idle.close)
        self.file('disk', (0, b'x'))
        self.send('disk')
        self.assert_same('disk')

    def test_connection_is_reset_before_the_handshake(self):
        """One byte and a reset, twenty times, ended the thread for good."""
        for _ in range(20):
            client = socket.create_connection(('127.0.0.1', self.port))
            client.setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0)
            )
            client.send(b'x')
            client.close()
        self.file('disk', (0, b'x'))
        self.send('disk')
        self.assert_same('disk')

    def test_deadline_of_the_handshake(self):
        self.patch(acceptor, 'OPENING_TIMEOUT', 0.1)
        with socket.create_connection(('127.0.0.1', self.port), 10) as silent:
            self.assertEqual(b'', silent.recv(1))
        with self.connect() as secured:
            secured.sendall(b'PUT /')
            self.assertEqual(b'', secured.recv(1))

    def test_body_without_token_is_not_read(self):
        """The token is checked from the headers."""
        with self.connect() as secured:
            secured.sendall(
                f'PUT /v1/{UUID} HTTP/1.1\r\nContent-Length: 1000000\r\n'
                'Authorization: Bearer wrong\r\n\r\n'.encode()
            )
            self.assertIn(b'HTTP/1.1 403', secured.recv(1000))


class CertificateTest(base.TestCase):
    """The file of the certificate and its key."""

    def setUp(self):
        super().setUp()
        self.path = os.path.join(self.directory, 'transfer.pem')

    def test_certificate_is_reused(self):
        first = certificate.ensure_certificate(self.path, 'b')
        self.assertEqual(first, certificate.ensure_certificate(self.path, 'b'))
        self.assertEqual(64, len(first))
        self.assertEqual(0o600, stat.S_IMODE(os.stat(self.path).st_mode))
        self.assertEqual(['transfer.pem'], os.listdir(self.directory))

    def test_each_has_its_own(self):
        other = os.path.join(self.directory, 'other.pem')
        self.assertNotEqual(
            certificate.ensure_certificate(self.path, 'b'),
            certificate.ensure_certificate(other, 'b'),
        )

    def test_invalid_certificate_is_recreated(self):
        first = certificate.ensure_certificate(self.path, 'b')
        with open(self.path, 'rb') as file:
            text = file.read()
        for broken in (b'', b'nonsense', text[:50], text[:-80]):
            with open(self.path, 'wb') as file:
                file.write(broken)
            again = certificate.ensure_certificate(self.path, 'b')
            self.assertNotEqual(first, again)
            certificate.server_context(self.path)
