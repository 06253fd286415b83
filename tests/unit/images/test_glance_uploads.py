# SPDX-License-Identifier: Apache-2.0
"""The writing part of the Glance client: a Glance that is sick or refuses."""

import dataclasses
import hashlib
import io
import json
import os

from minova import clock
from minova import exception
from minova import images
from minova.images import glance
from tests.unit.images import base
from tests.unit.images.test_glance import answering
from tests.unit.images.test_glance import GlanceTestCase
from tests.unit.images.test_glance import no_fault


class Data:
    """A copy of a disk."""

    disk_format = 'raw'

    def __init__(self, content, size=None):
        self.content = content
        self.size = len(content) if size is None else size
        self.opened = 0

    def open(self):
        self.opened += 1
        return io.BytesIO(self.content)


class LostData(Data):
    """A copy that cannot be read."""

    def open(self):
        raise FileNotFoundError(2, 'No such file or directory', '/copy')


def refusing(status, body=b''):
    """Return a disturbance: another reply, after all data has arrived."""

    def trouble(app, environ, start_response):
        environ['wsgi.input'].read(int(environ.get('CONTENT_LENGTH') or 0))
        return answering(status, body)(app, environ, start_response)

    return trouble


def losing_reply(status='503 No'):
    """Return a disturbance: the request is handled, its reply is lost."""

    def trouble(app, environ, start_response):
        for _ in app(environ, lambda *arguments: None):
            pass
        start_response(status, [])
        return [b'']

    return trouble


def showing(**changes):
    """Return a disturbance: the image is shown with other values."""

    def trouble(app, environ, start_response):
        shown = b''.join(app(environ, lambda *arguments: None))
        document = json.dumps({**json.loads(shown), **changes}).encode()
        start_response('200 OK', [('Content-Type', 'application/json')])
        return [document]

    return trouble


class WritingTestCase(GlanceTestCase):
    """A reserved image."""

    def setUp(self):
        super().setUp()
        self.configure(attempts=3)
        self.new = images.NewImage(
            id=clock.uuid4(),
            name='copy',
            owner='ours',
            container_format='bare',
            min_disk=1,
            min_ram=0,
            properties={'image_type': 'snapshot'},
        )

    def stored_image(self):
        return self.store.show(base.ADMIN, self.new.id)

    def refused(self, kind, func, *arguments):
        """Require an error; return its text."""
        return str(self.assertRaises(kind, func, *arguments))


class ReserveTest(WritingTestCase):
    """An image without data."""

    def reserve(self):
        self.images.reserve(self.new)

    def test_reserve(self):
        self.reserve()
        found = self.stored_image()
        self.assertEqual(
            ('copy', 'ours', 'private', 'queued', 1),
            (
                found.name,
                found.owner,
                found.visibility,
                found.status,
                found.min_disk,
            ),
        )
        self.assertEqual('snapshot', found.properties['image_type'])

    def test_again(self):
        self.reserve()
        self.reserve()
        self.assertEqual('queued', self.stored_image().status)

    def test_reply_that_was_lost(self):
        self.trouble.next = [losing_reply()]
        self.reserve()
        self.assertEqual('queued', self.stored_image().status)

    def test_discarded_id(self):
        self.trouble.next = [refusing('409 No')]
        self.refused(exception.ImageNotFound, self.reserve)
        self.assertEqual([], self.clock.slept)

    def test_expired_token(self):
        self.images.show(base.OWNER, self.add().id)
        self.trouble.next = [refusing('401 No')]
        self.reserve()
        self.assertEqual('queued', self.stored_image().status)

    def test_refusals(self):
        for status, text in (
            ('400 Bad', 'replies 400 no such owner'),
            ('403 No', 'replies 403 no such owner'),
            ('413 Quota', 'replies 413 no such owner'),
        ):
            self.trouble.next = [refusing(status, b'<p>no such owner</p>')]
            error = self.refused(exception.OperationFailed, self.reserve)
            self.assertIn(text, error)
            self.assertIn(self.new.id, error)
        self.assertEqual([], self.clock.slept)

    def test_outage(self):
        self.trouble.next = [refusing('503 No')] * 2
        self.reserve()
        self.trouble.next = [refusing('503 No')] * 3
        self.assertIn('503', self.refused(exception.Unavailable, self.reserve))


class UploadTest(WritingTestCase):
    """The data of an image. The requests: show, PATCH, PUT, show."""

    def setUp(self):
        super().setUp()
        self.images.reserve(self.new)
        self.data = Data(os.urandom((2 << 20) + 7))
        self.sent = []

    def upload(self, data=None):
        self.images.upload_snapshot(
            self.new.id, data or self.data, self.sent.append
        )

    def assert_stored(self):
        found = self.stored_image()
        self.assertEqual('active', found.status)
        with self.store.open_data(found) as file:
            self.assertEqual(self.data.content, file.read())

    def count_puts(self):
        return len(self.requests('/file'))

    def test_upload(self):
        self.upload()
        self.assert_stored()
        self.assertEqual(self.data.size, self.sent[-1])
        self.assertEqual(sorted(self.sent), self.sent)

    def test_again(self):
        self.upload()
        self.upload()
        self.assertEqual(1, self.count_puts())

    def test_again_with_other_data(self):
        self.upload()
        error = self.refused(
            exception.OperationFailed, self.upload, Data(b'other')
        )
        self.assertIn(f'it has {self.data.size} bytes of 5', error)

    def test_expired_token(self):
        """The data is sent from its beginning with the next token."""
        self.configure(timeout=30)
        self.images = glance.open_images()
        self.trouble.next = [no_fault, no_fault, refusing('401 No')]
        self.upload()
        self.assert_stored()
        self.assertEqual(2, self.data.opened)

    def test_rejected_credentials(self):
        self.trouble.next = [no_fault, no_fault] + [refusing('401 No')] * 9
        error = self.refused(exception.Unavailable, self.upload)
        self.assertIn('401', error)
        self.assertIn('credentials', error)
        self.assertEqual('queued', self.stored_image().status)

    def test_forbidden(self):
        self.trouble.next = [no_fault, no_fault, refusing('403 No', b'role')]
        error = self.refused(exception.OperationFailed, self.upload)
        self.assertIn('replies 403 role', error)
        self.assertEqual(1, self.count_puts())
        self.assertEqual([], self.clock.slept)

    def test_forbidden_format(self):
        self.trouble.next = [no_fault, refusing('403 No', b'role')]
        error = self.refused(exception.OperationFailed, self.upload)
        self.assertIn('replies 403 role', error)
        self.assertEqual(0, self.count_puts())

    def test_quota(self):
        self.trouble.next = [
            no_fault,
            no_fault,
            refusing('413 No', b'{"message": "quota of ours"}'),
        ]
        error = self.refused(exception.ImageStorageFull, self.upload)
        self.assertIn('quota of ours', error)
        self.assertEqual([], self.clock.slept)

    def test_conflict_with_an_earlier_upload(self):
        """It is saving for a while, and then queued without data."""
        self.trouble.next = [
            no_fault,
            no_fault,
            refusing('409 No'),
            showing(status='saving'),
            showing(status='uploading'),
        ]
        self.upload()
        self.assert_stored()
        self.assertEqual([2.0, 2.0, 1.0], self.clock.slept)

    def test_earlier_upload_that_never_ends(self):
        self.configure(upload_timeout=10)
        self.trouble.next = [showing(status='saving')] * 9
        error = self.refused(exception.Unavailable, self.upload)
        self.assertIn('upload_timeout', error)
        self.assertEqual(0, self.count_puts())

    def test_deleted_meanwhile(self):
        def deleted(app, environ, start_response):
            self.store.delete(self.new.id)
            return app(environ, start_response)

        for at in range(3):
            self.trouble.next = [no_fault] * at + [deleted]
            self.refused(exception.ImageNotFound, self.upload)
            self.store.reserve(self.new)

    def test_killed_image(self):
        for status in ('killed', 'deleted', 'pending_delete'):
            self.trouble.next = [showing(status=status)]
            self.refused(exception.ImageNotFound, self.upload)

    def test_outage(self):
        for at in range(3):
            self.trouble.next = [no_fault] * at + [refusing('503 No')]
            self.upload()
            self.assert_stored()
            self.images.discard(self.new.id)
            self.new = images.NewImage(
                **{**vars(self.new), 'id': clock.uuid4()}
            )
            self.images.reserve(self.new)

    def test_lasting_outage(self):
        self.trouble.next = [no_fault, no_fault] + [refusing('503 No')] * 9
        self.assertIn('503', self.refused(exception.Unavailable, self.upload))
        self.assertEqual('queued', self.stored_image().status)

    def test_reply_that_was_lost(self):
        self.trouble.next = [no_fault, no_fault, losing_reply()]
        self.upload()
        self.assert_stored()
        self.assertEqual(1, self.data.opened)

    def test_hang(self):
        """No reply to the data: the request ends after ``timeout``."""
        release = clock.event()
        self.addCleanup(release.set)

        def silent(app, environ, start_response):
            release.wait(10)
            return answering('503 No')(app, environ, start_response)

        self.configure(timeout=0.3, attempts=1)
        self.images = glance.open_images()
        self.trouble.next = [no_fault, no_fault, silent]
        self.refused(exception.Unavailable, self.upload)
        self.assertEqual('queued', self.stored_image().status)

    def test_slow(self):
        """Each piece arrives in time, and all of them too late."""
        self.configure(upload_timeout=60)

        def report(sent):
            self.clock.forward(seconds=50)

        error = self.refused(
            exception.Unavailable,
            self.images.upload_snapshot,
            self.new.id,
            self.data,
            report,
        )
        self.assertIn('upload_timeout', error)
        self.assertEqual('queued', self.stored_image().status)

    def test_copy_that_cannot_be_read(self):
        error = self.refused(
            exception.OperationFailed, self.upload, LostData(b'data')
        )
        self.assertIn('No such file', error)

    def test_copy_that_is_too_short(self):
        """The image does not become active with a part of the disk."""
        self.configure(timeout=30)
        self.images = glance.open_images()
        short = Data(self.data.content, self.data.size + 1)
        error = self.refused(exception.OperationFailed, self.upload, short)
        self.assertIn(f'after {self.data.size} bytes', error)
        # The service takes a moment to notice the closed connection.
        until = clock.monotonic() + 30
        while self.stored_image().status != 'queued':
            self.assertLess(clock.monotonic(), until)
            clock.sleep(0.01)

    def test_short_write(self):
        self.trouble.next = [
            no_fault,
            no_fault,
            no_fault,
            showing(size=self.data.size - 1),
        ]
        error = self.refused(exception.OperationFailed, self.upload)
        self.assertIn('has stored other data', error)
        self.assertIn(f'{self.data.size - 1} bytes', error)

    def test_wrong_checksum(self):
        self.trouble.next = [
            no_fault,
            no_fault,
            no_fault,
            showing(checksum='f' * 32),
        ]
        error = self.refused(exception.OperationFailed, self.upload)
        self.assertIn('f' * 32, error)
        digest = hashlib.md5(self.data.content).hexdigest()
        self.assertIn(digest, error)

    def test_data_that_was_dropped(self):
        """The reply is 204, and the image is queued as before."""
        self.trouble.next = [no_fault, no_fault, refusing('204 OK')]
        self.upload()
        self.assert_stored()
        self.assertEqual(2, self.data.opened)


class RemovalTest(WritingTestCase):
    """Images that are discarded, listed and deleted."""

    def found(self):
        return [one.id for one in self.store.list_visible(base.ADMIN)]

    def test_discard(self):
        self.images.reserve(self.new)
        self.images.discard(self.new.id)
        self.assertEqual([], self.found())

    def test_discard_of_an_id(self):
        """An image that does not exist is created and deleted."""
        self.images.discard(self.new.id)
        self.assertEqual([], self.found())
        self.assertEqual(3, len(self.requests()))

    def test_discard_again(self):
        self.trouble.next = [answering('404 No'), answering('409 No')]
        self.images.discard(self.new.id)
        self.assertEqual([], self.clock.slept)

    def test_discard_of_a_protected_image(self):
        """Its user has protected an image that will never have data."""
        self.images.reserve(self.new)
        self.store.update(
            self.new.id,
            lambda old: dataclasses.replace(old, protected=True),
        )
        self.images.discard(self.new.id)
        self.assertEqual([], self.found())

    def test_discard_is_forbidden(self):
        self.images.reserve(self.new)
        self.trouble.next = [answering('403 No', b'role')] * 9
        error = self.refused(
            exception.Unavailable, self.images.discard, self.new.id
        )
        self.assertIn('replies 403 role', error)

    def test_discard_during_an_outage(self):
        self.images.reserve(self.new)
        self.trouble.next = [answering('503 No'), answering('409 No')]
        self.images.discard(self.new.id)
        self.assertEqual([], self.found())

    def test_list_that_fails(self):
        for status in ('401 No', '403 No', '503 No'):
            self.trouble.next = [answering(status)] * 9
            error = self.refused(
                exception.Unavailable, self.images.list_owned, 'ours', {}
            )
            self.assertIn(status[:3], error)

    def test_list_of_another_service(self):
        for body in (b'', b'[]', b'{}', b'{"images": [5]}'):
            self.trouble.next = [answering('200 OK', body)]
            error = self.refused(
                exception.Unavailable, self.images.list_owned, 'ours', {}
            )
            self.assertIn('not a list of images', error)

    def test_delete(self):
        self.images.reserve(self.new)
        for status, kind in (
            ('403 No', exception.Forbidden),
            ('404 No', exception.ImageNotFound),
            ('410 No', exception.ImageNotFound),
        ):
            self.trouble.next = [answering(status)]
            self.refused(kind, self.images.delete, self.new.id)
        self.trouble.next = [answering('409 No'), answering('503 No')]
        self.images.delete(self.new.id)
        self.assertEqual([], self.found())


class ListTest(WritingTestCase):
    """Images of a caller, their properties, and those without data."""

    def ids(self, found):
        return {one.id for one in found}

    def test_visible(self):
        own, public = self.add(), self.add(owner='theirs', visibility='public')
        foreign = self.add(owner='theirs')
        self.assertEqual(
            {own.id, public.id}, self.ids(self.images.list_visible(base.OWNER))
        )
        self.assertEqual(
            {public.id}, self.ids(self.images.list_visible(base.UNSCOPED))
        )
        self.assertIn(
            foreign.id, self.ids(self.images.list_visible(base.ADMIN))
        )

    def test_unfinished(self):
        marks = dict(images.SNAPSHOT_PROPERTIES)
        partial = self.add(properties=marks)
        self.add(properties={'image_type': 'snapshot'})
        self.add(base.RAW, properties=marks)
        self.assertEqual({partial.id}, self.ids(self.images.list_unfinished()))
        self.trouble.next = [answering('503 No')] * 9
        self.refused(exception.Unavailable, self.images.list_unfinished)

    def test_properties(self):
        made = self.add(properties={'a': '1', 'b': '2'})
        changed = self.images.change_properties(
            made.id, {'a': '3', 'c/d~': '4'}, ['b', 'unknown']
        )
        expected = {'a': '3', 'c/d~': '4'}
        self.assertEqual(expected, dict(changed.properties))
        shown = self.store.show(base.ADMIN, made.id)
        self.assertEqual(expected, dict(shown.properties))

    def test_properties_that_are_refused(self):
        made = self.add()
        for status, kind in (
            ('400 No', exception.InvalidInput),
            ('403 No', exception.InvalidInput),
            ('404 No', exception.ImageNotFound),
            ('413 No', exception.InvalidInput),
        ):
            self.trouble.next = [no_fault, answering(status, b'too many')]
            self.refused(
                kind, self.images.change_properties, made.id, {'a': '1'}, ()
            )
        self.assertEqual([], self.clock.slept)
