# SPDX-License-Identifier: Apache-2.0
"""The directory of images: visibility, uploads and crashes."""

import dataclasses
import errno
import io
import os
import subprocess
import sys
import threading
from unittest import mock

from minova import atomic_files
from minova import clock
from minova import exception
from minova import images
from minova.images import documents
from minova.images import embedded
from tests.unit.identity import base as identity_base
from tests.unit.images import base


class Killed(BaseException):
    """The process dies here: no later code runs."""


class DocumentTest(identity_base.TestCase):
    def test_round_trip(self):
        image = base.image(
            **base.sums(b'x'),
            virtual_size=5,
            tags=('a', 'b'),
            properties={'kernel_id': 'k', 'os_type': 'linux', 'hidden': 'h'},
            hidden=True,
            protected=True,
        )
        self.assertEqual(
            image, documents.from_document(documents.to_document(image))
        )

    def test_glance_attributes_are_no_properties(self):
        document = documents.to_document(base.image())
        document.update(
            file='/f',
            self='/s',
            schema='/s',
            direct_url='d',
            locations=[],
            stores='s',
            os_distro='debian',
        )
        self.assertEqual(
            {'os_distro': 'debian'},
            documents.from_document(document).properties,
        )

    def test_invalid_image(self):
        good = documents.to_document(base.image())
        for change in (
            {'id': None},
            {'status': 5},
            {'size': '5'},
            {'size': True},
            {'min_disk': 1.5},
            {'tags': [1]},
            {'tags': 5},
            {'created_at': 'yesterday'},
            {'created_at': 5},
            {'visibility': None},
        ):
            self.assertRaises(
                (TypeError, ValueError),
                documents.from_document,
                {**good, **change},
            )
        for name in ('id', 'status', 'created_at', 'updated_at'):
            rest = {key: good[key] for key in good if key != name}
            self.assertRaises(KeyError, documents.from_document, rest)


class VisibleTest(base.TestCase):
    def test_visibility(self):
        for visibility, others_see in (
            ('public', True),
            ('community', True),
            ('private', False),
            ('shared', False),
        ):
            image = self.add(visibility=visibility)
            for asker, sees in (
                (base.OWNER, True),
                (base.ADMIN, True),
                (base.OTHER, others_see),
                (base.UNSCOPED, others_see),
            ):
                listed = image in self.store.list_visible(asker)
                self.assertEqual(sees, listed, (visibility, asker))
                if sees:
                    self.assertEqual(image, self.store.show(asker, image.id))
                else:
                    self.assertRaises(
                        exception.ImageNotFound,
                        self.store.show,
                        asker,
                        image.id,
                    )

    def test_unscoped_user_owns_nothing(self):
        image = self.add(owner=None)
        self.assertRaises(
            exception.ImageNotFound, self.store.show, base.UNSCOPED, image.id
        )

    def test_malformed_ids(self):
        atomic_files.write_bytes(self.file('secret.json'), b'{}')
        for image_id in (
            '',
            'x',
            '../secret',
            clock.uuid4().upper(),
            clock.uuid4() + '\n',
            '\x00',
            '..',
            'x' * 5000,
        ):
            self.assertRaises(
                exception.ImageNotFound,
                self.store.show,
                base.ADMIN,
                image_id,
            )

    def test_file_with_longer_name_is_ignored(self):
        image = base.image(id=f'{clock.uuid4()}-old')
        atomic_files.write_json(
            self.file('images', f'{image.id}.json'),
            documents.to_document(image),
        )
        self.assertEqual([], self.store.list_visible(base.ADMIN))
        self.assertRaises(
            exception.ImageNotFound, self.store.show, base.ADMIN, image.id
        )

    def test_damaged_documents(self):
        good, bad, worse = self.add(), self.add(), self.add()
        atomic_files.write_bytes(
            self.file('images', f'{bad.id}.json'), b'{"id": 5}'
        )
        atomic_files.write_bytes(self.file('images', f'{worse.id}.json'), b'{')
        self.assertEqual([good], self.store.list_visible(base.ADMIN))
        for image in (bad, worse):
            self.assertIn(image.id, self.log.output)
            self.assertRaises(
                exception.Failed, self.store.show, base.ADMIN, image.id
            )


class ChangeTest(base.TestCase):
    def test_change_survives_restart(self):
        image = self.add(properties={'a': 'b'})
        again = embedded.EmbeddedImages(self.file('images'))
        self.assertEqual(image, again.show(base.OWNER, image.id))

    def test_id_in_use(self):
        image = self.add(name='first')
        self.assertRaises(
            exception.Conflict, self.store.add, base.image(id=image.id)
        )
        shown = self.store.show(base.OWNER, image.id)
        self.assertEqual('first', shown.name)

    def test_update(self):
        image = self.add()
        self.clock.forward(seconds=5)
        changed = self.store.update(
            image.id, lambda image: dataclasses.replace(image, name='new')
        )
        self.assertEqual('new', changed.name)
        self.assertLess(image.updated_at, changed.updated_at)
        self.assertEqual(changed, self.store.show(base.OWNER, image.id))

    def test_refused_update_changes_nothing(self):
        image = self.add()

        def refuse(image):
            raise exception.Forbidden(action='x')

        self.assertRaises(
            exception.Forbidden, self.store.update, image.id, refuse
        )
        self.assertEqual(image, self.store.show(base.OWNER, image.id))

    def test_no_update_is_lost(self):
        image = self.add()

        def add_tag(tag):
            self.store.update(
                image.id,
                lambda image: dataclasses.replace(
                    image, tags=(*image.tags, tag)
                ),
            )

        def add_tags(name):
            for number in range(20):
                add_tag(f'{name}{number}')

        threads = [clock.spawn('t', add_tags, name) for name in 'abcd']
        for thread in threads:
            thread.join(10)
        self.assertEqual(
            80, len(set(self.store.show(base.OWNER, image.id).tags))
        )

    def test_delete(self):
        image = self.add(base.RAW)
        self.store.delete(image.id)
        self.assertEqual([], self.stored())
        self.assertRaises(exception.ImageNotFound, self.store.delete, image.id)

    def test_protected(self):
        image = self.add(base.RAW, protected=True)
        self.assertRaises(exception.Forbidden, self.store.delete, image.id)
        self.store.download(base.OWNER, image.id, self.file('copy'))

    def test_delete_during_download(self):
        image = self.add(base.RAW)
        with self.store.open_data(image) as file:
            self.store.delete(image.id)
            self.assertEqual(base.RAW, file.read())
        self.assertRaises(exception.ImageNotFound, self.store.open_data, image)

    def test_lost_data(self):
        image = self.add(base.RAW)
        os.unlink(self.file('images', f'{image.id}.data'))
        self.assertRaises(
            exception.OperationFailed,
            self.store.download,
            base.OWNER,
            image.id,
            self.file('copy'),
        )


class UploadTest(base.TestCase):
    def _refused(self, kind, image, data, length=None):
        error = self.assertRaises(
            kind, self.store.upload, image.id, io.BytesIO(data), length
        )
        self.assertEqual(image, self.store.show(base.OWNER, image.id))
        self.assertEqual([f'{image.id}.json'], self.stored())
        return str(error)

    def test_raw(self):
        image = self.add()
        active = self.store.upload(image.id, io.BytesIO(base.RAW))
        self.assertEqual('active', active.status)
        for name, value in base.sums(base.RAW).items():
            self.assertEqual(value, getattr(active, name), name)
        self.assertEqual(len(base.RAW), active.virtual_size)
        self.assertEqual(active, self.store.show(base.OWNER, image.id))
        self.assertEqual(base.RAW, self.read('images', f'{image.id}.data'))

    def test_qcow2(self):
        active = self.add(base.qcow2(size=7 << 30), disk_format='qcow2')
        self.assertEqual(7 << 30, active.virtual_size)

    def test_kernel(self):
        active = self.add(b'MZ', disk_format='aki', container_format='aki')
        self.assertEqual((2, None), (active.size, active.virtual_size))

    def test_of_many_chunks(self):
        data = os.urandom((5 << 20) + 17)
        active = self.add(data)
        self.assertEqual(base.sums(data)['hash_value'], active.hash_value)
        self.assertEqual(data, self.read('images', f'{active.id}.data'))

    def test_body_in_small_pieces(self):
        class Slow(io.BytesIO):
            def read(self, size=-1):
                return super().read(min(size, 7))

        image = self.add(disk_format='qcow2')
        active = self.store.upload(image.id, Slow(base.qcow2()))
        self.assertEqual(1 << 30, active.virtual_size)
        self.assertEqual(base.sums(base.qcow2())['checksum'], active.checksum)

    def test_reads_are_bounded_by_chunk(self):
        asked = []

        class Watched(io.BytesIO):
            def read(self, size=-1):
                asked.append(size)
                return super().read(size)

        self.store.upload(self.add().id, Watched(bytes(3 << 20)))
        self.assertEqual(1 << 20, max(asked))
        self.assertGreaterEqual(min(asked), 0)

    def test_format_mismatch(self):
        text = self._refused(
            exception.InvalidInput,
            self.add(disk_format='qcow2'),
            base.RAW,
        )
        self.assertIn('qcow2', text)

    def test_backing_file(self):
        text = self._refused(
            exception.InvalidInput,
            self.add(disk_format='qcow2'),
            base.qcow2(backing=(104, 11)),
        )
        self.assertIn('backing file', text)

    def test_qcow2_declared_as_raw(self):
        text = self._refused(
            exception.InvalidInput,
            self.add(),
            base.qcow2(backing=(104, 11)),
        )
        self.assertIn('disk_format of the image is raw', text)

    def test_too_large(self):
        self.config.config(group='image', max_upload_bytes=1000)
        image = self.add()
        self._refused(exception.TooLarge, image, b'x' * 1001)
        self._refused(exception.TooLarge, image, b'x', length=1001)
        active = self.store.upload(image.id, io.BytesIO(b'x' * 1000), 1000)
        self.assertEqual(1000, active.size)

    def test_incomplete_body(self):
        text = self._refused(
            exception.InvalidInput, self.add(), b'x' * 99, length=100
        )
        self.assertIn('99', text)

    def test_body_longer_than_announced(self):
        self._refused(
            exception.InvalidInput, self.add(), b'x' * 101, length=100
        )

    def test_empty_body(self):
        text = self._refused(exception.InvalidInput, self.add(), b'')
        self.assertIn('empty', text)

    def test_interrupted_body(self):
        class Broken(io.BytesIO):
            def read(self, size=-1):
                raise ConnectionResetError('gone')

        image = self.add()
        self.assertRaises(
            exception.InvalidInput, self.store.upload, image.id, Broken()
        )
        self.assertEqual(image, self.store.show(base.OWNER, image.id))

    def test_without_a_format(self):
        for name in ('disk_format', 'container_format'):
            image = self.add(**{name: None})
            self.assertRaises(
                exception.InvalidInput,
                self.store.upload,
                image.id,
                io.BytesIO(b'x'),
            )

    def test_only_once(self):
        image = self.add(base.RAW)
        self.assertRaises(
            exception.Conflict,
            self.store.upload,
            image.id,
            io.BytesIO(b'other'),
        )
        self.assertEqual(base.RAW, self.read('images', f'{image.id}.data'))

    def test_full_disk(self):
        image = self.add()
        for number in (errno.ENOSPC, errno.EDQUOT):
            full = OSError(number, os.strerror(number))
            with mock.patch.object(os, 'fsync', side_effect=full):
                error = self.assertRaises(
                    exception.ImageStorageFull,
                    self.store.upload,
                    image.id,
                    io.BytesIO(b'x'),
                )
            self.assertEqual(413, error.status)
            self.assertIn(os.strerror(number), str(error))
            self.assertEqual([f'{image.id}.json'], self.stored())
        self.assertEqual(
            'active', self.store.upload(image.id, io.BytesIO(b'x')).status
        )

    def test_failing_disk(self):
        image = self.add()
        failing = OSError(errno.EIO, 'Input/output error')
        with mock.patch.object(os, 'fsync', side_effect=failing):
            error = self.assertRaises(
                exception.Unavailable,
                self.store.upload,
                image.id,
                io.BytesIO(b'x'),
            )
        self.assertIn('Input/output error', str(error))


class Gate(io.BytesIO):
    """A body that blocks in the middle until it is released."""

    def __init__(self, data):
        super().__init__(data)
        self.reached = threading.Event()
        self.go_on = threading.Event()

    def read(self, size=-1):
        if self.tell() >= len(self.getvalue()):
            self.reached.set()
            self.go_on.wait(10)
        return super().read(size)


class ConcurrencyTest(base.TestCase):
    """Other requests during an upload."""

    def setUp(self):
        super().setUp()
        self.image = self.add()
        self.gate = Gate(base.RAW)
        self.outcome = []
        thread = clock.spawn('upload', self._upload)
        self.addCleanup(thread.join, 10)
        self.addCleanup(self.gate.go_on.set)
        self.assertTrue(self.gate.reached.wait(10))
        self.thread = thread

    def _upload(self):
        try:
            self.outcome.append(self.store.upload(self.image.id, self.gate))
        except exception.MinovaException as error:
            self.outcome.append(error)

    def _finish(self):
        self.gate.go_on.set()
        self.thread.join(10)
        return self.outcome[0]

    def test_image_is_shown_during_upload(self):
        shown = self.store.show(base.OWNER, self.image.id)
        self.assertEqual('saving', shown.status)
        self.assertEqual([shown], self.store.list_visible(base.OWNER))
        self.assertEqual('active', self._finish().status)
        shown = self.store.show(base.OWNER, self.image.id)
        self.assertEqual('active', shown.status)

    def test_second_upload_is_refused(self):
        self.assertRaises(
            exception.Conflict,
            self.store.upload,
            self.image.id,
            io.BytesIO(b'other'),
        )
        self.assertEqual(len(base.RAW), self._finish().size)

    def test_change_is_durable(self):
        self.store.update(
            self.image.id,
            lambda image: dataclasses.replace(image, name='new'),
        )
        done = self._finish()
        self.assertEqual(('new', 'active'), (done.name, done.status))

    def test_deleted_image_stays_deleted(self):
        self.store.delete(self.image.id)
        # The id is not free yet: the data would belong to the new image.
        self.assertRaises(
            exception.Conflict,
            self.store.add,
            base.image(id=self.image.id),
        )
        self.assertIsInstance(self._finish(), exception.ImageNotFound)
        self.assertEqual([], self.stored())
        self.store.add(base.image(id=self.image.id))

    def test_change_during_upload_keeps_status(self):
        self.store.update(self.image.id, lambda image: image)
        # The process dies; this is the next one.
        again = embedded.EmbeddedImages(self.file('images'))
        shown = again.show(base.OWNER, self.image.id)
        self.assertEqual('queued', shown.status)


class CrashTest(base.TestCase):
    """No crash leaves an active image with wrong data."""

    CALLS = ('fsync', 'replace', 'unlink', 'open', 'fchmod')

    def _killed_at(self, number, act):
        """Run ``act`` up to its n-th system call; return whether it ended."""
        left = [number]

        def counted(call):
            def run(*arguments, **named):
                if left[0] == 0:
                    raise Killed
                left[0] -= 1
                return call(*arguments, **named)

            return run

        patches = [
            mock.patch.object(os, name, counted(getattr(os, name)))
            for name in self.CALLS
        ]
        try:
            for patch in patches:
                patch.start()
            act()
        except Killed:
            return False
        finally:
            for patch in patches:
                patch.stop()
        return True

    def _upload(self, image):
        for number in range(100):
            ended = self._killed_at(
                number,
                lambda: self.store.upload(image.id, io.BytesIO(base.RAW)),
            )
            # The next start.
            self.store = embedded.EmbeddedImages(self.file('images'))
            self.store.recover()
            yield number
            if ended:
                return
        self.fail('it does not end')

    def test_upload(self):
        image = self.add()
        killed = 0
        for killed in self._upload(image):  # noqa: B007
            shown = self.store.show(base.OWNER, image.id)
            names = self.stored()
            if shown.status == 'active':
                # Active only with data on disk; a retry is refused.
                self.store.download(base.OWNER, image.id, self.file('copy'))
                self.assertEqual(base.RAW, self.read('copy'))
                break
            self.assertEqual(image, shown)
            self.assertEqual([f'{image.id}.json'], names)
        else:
            self.fail('it never became active')
        self.assertGreater(killed, 5)

    def test_delete(self):
        deleted = 0
        for number in range(20):
            image = self.add(base.RAW)
            ended = self._killed_at(
                number, lambda image=image: self.store.delete(image.id)
            )
            self.store = embedded.EmbeddedImages(self.file('images'))
            self.store.recover()
            if image in self.store.list_visible(base.OWNER):
                self.store.download(base.OWNER, image.id, self.file('copy'))
                self.assertFalse(ended)
                self.store.delete(image.id)
            else:
                deleted += 1
            self.assertEqual([], self.stored())
            if ended:
                break
        self.assertGreater(deleted, 1)

    def test_recover_touches_nothing_else(self):
        image = self.add(base.RAW)
        damaged = self.add(base.RAW)
        atomic_files.write_bytes(
            self.file('images', f'{damaged.id}.json'), b'{'
        )
        atomic_files.write_bytes(self.file('images', 'notes.data'), b'mine')
        before = set(self.stored())
        self.store.recover()
        self.assertEqual(before, set(self.stored()))
        self.assertEqual(image, self.store.show(base.OWNER, image.id))


class DownloadTest(base.TestCase):
    def _refused(self, kind, image, asker=base.OWNER):
        error = self.assertRaises(
            kind, self.store.download, asker, image.id, self.file('copy')
        )
        self.assertNotIn('copy', os.listdir(self.path))
        self.assertEqual(['images'], os.listdir(self.path))
        return str(error)

    def _damage(self, image, data):
        with open(self.file('images', f'{image.id}.data'), 'wb') as file:
            file.write(data)

    def test_complete(self):
        data = os.urandom((2 << 20) + 5)
        image = self.add(data)
        self.store.download(base.OWNER, image.id, self.file('copy'))
        self.assertEqual(data, self.read('copy'))
        self.assertEqual('0o640', self.mode('copy'))

    def test_download_replaces_file(self):
        image = self.add(base.RAW)
        atomic_files.write_bytes(self.file('copy'), b'older')
        self.store.download(base.OWNER, image.id, self.file('copy'))
        self.assertEqual(base.RAW, self.read('copy'))

    def test_damaged_data(self):
        image = self.add(base.RAW)
        for data, text in (
            (base.RAW[:-1] + b'!', 'sha512'),
            (base.RAW[:-1], 'size'),
            (base.RAW + b'!', 'size'),
            (b'', 'size'),
        ):
            self._damage(image, data)
            self.assertIn(
                text, self._refused(exception.OperationFailed, image)
            )

    def test_failed_download_keeps_file(self):
        image = self.add(base.RAW)
        self._damage(image, b'!' * len(base.RAW))
        atomic_files.write_bytes(self.file('copy'), b'older')
        self.assertRaises(
            exception.OperationFailed,
            self.store.download,
            base.OWNER,
            image.id,
            self.file('copy'),
        )
        self.assertEqual(b'older', self.read('copy'))

    def test_not_uploaded_yet(self):
        self._refused(exception.ImageNotActive, self.add())

    def test_other_project(self):
        image = self.add(base.RAW)
        self._refused(exception.ImageNotFound, image, base.OTHER)
        self.store.download(base.ADMIN, image.id, self.file('copy'))

    def test_no_free_space(self):
        image = self.add(base.RAW)
        self.assertRaises(
            exception.OperationFailed,
            self.store.download,
            base.OWNER,
            image.id,
            self.file('nowhere', 'copy'),
        )


class LoadTest(base.TestCase):
    def test_embedded(self):
        self.config.config(
            group='image', service='embedded', directory=self.file('images')
        )
        image = self.add(base.RAW)
        self.assertEqual(image, images.load().show(base.OWNER, image.id))

    def test_compute_imports_no_web_server(self):
        code = (
            'import sys; import minova.images.embedded; '
            'print([m for m in ("falcon", "jsonschema", "keystoneauth1", '
            '"requests", "sqlalchemy") if m in sys.modules])'
        )
        shown = subprocess.run(
            [sys.executable, '-c', code],
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        self.assertEqual('[]', shown.strip())
