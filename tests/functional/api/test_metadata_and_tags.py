# SPDX-License-Identifier: Apache-2.0
"""Metadata and tags of a server."""

from tests.functional.api import base


class MetadataTestCase(base.ApiTestCase):
    """A server that is a database row only."""

    hosts = ()

    def setUp(self):
        super().setUp()
        self.make_flavor()
        self.uuid = self.boot(wait=False, metadata={'a': 'b'})


class MetadataTest(MetadataTestCase):
    """/servers/{id}/metadata."""

    def setUp(self):
        super().setUp()
        self.path = f'/servers/{self.uuid}/metadata'

    def items(self):
        return self.user.get(self.path).body['metadata']

    def test_show(self):
        self.assertEqual({'a': 'b'}, self.items())
        reply = self.user.get(f'{self.path}/a')
        self.assertEqual({'meta': {'a': 'b'}}, reply.body)
        reply = self.user.get(f'{self.path}/x')
        self.assert_refused(404, 'Metadata item was not found', reply)

    def test_add_replace_remove(self):
        reply = self.user.post(self.path, {'metadata': {'c': 'd', 'a': 'x'}})
        self.assertEqual({'metadata': {'a': 'x', 'c': 'd'}}, reply.body)
        reply = self.user.put(f'{self.path}/e', {'meta': {'e': 'f'}})
        self.assertEqual({'meta': {'e': 'f'}}, reply.body)
        self.assertEqual({'a': 'x', 'c': 'd', 'e': 'f'}, self.items())
        self.assertEqual(204, self.user.delete(f'{self.path}/c').status)
        reply = self.user.delete(f'{self.path}/c')
        self.assert_refused(404, 'Metadata item was not found', reply)
        reply = self.user.put(self.path, {'metadata': {'n': 'm'}})
        self.assertEqual({'metadata': {'n': 'm'}}, reply.body)
        self.assertEqual({'n': 'm'}, self.items())
        self.user.put(self.path, {'metadata': {}})
        self.assertEqual({}, self.items())

    def test_changes_emit_notifications(self):
        before = len(self.cloud.notifications(self.uuid))
        self.user.put(self.path, {'metadata': {'n': 'm'}})
        (emitted,) = self.cloud.notifications(self.uuid)[before:]
        self.assertEqual('compute.instance.update', emitted.event_type)
        self.assertEqual({'n': 'm'}, emitted.payload['metadata'])
        self.assertNotIn('old_display_name', emitted.payload)

    def test_no_change_emits_nothing(self):
        self.config('notifications', notify_on_state_change='none')
        before = self.cloud.notifications(self.uuid)
        self.user.put(self.path, {'metadata': {'n': 'm'}})
        self.assertEqual(before, self.cloud.notifications(self.uuid))

    def test_quota(self):
        self.config('quota', metadata_items=2)
        text = 'Maximum number of metadata items exceeds 2'
        reply = self.user.post(self.path, {'metadata': {'c': '', 'd': ''}})
        self.assert_refused(403, text, reply)
        reply = self.user.put(f'{self.path}/c', {'meta': {'c': ''}})
        self.assertEqual(200, reply.status)
        reply = self.user.put(f'{self.path}/d', {'meta': {'d': ''}})
        self.assert_refused(403, text, reply)
        self.config('quota', metadata_items=-1)
        reply = self.user.put(f'{self.path}/d', {'meta': {'d': ''}})
        self.assertEqual(200, reply.status)

    def test_invalid_metadata(self):
        for items in ({'': ''}, {'a': 1}, {'a': 'x' * 256}, [], None):
            reply = self.user.post(self.path, {'metadata': items})
            self.assertEqual(400, reply.status, reply.body)
        for body in ({'meta': {'x': 'y'}}, {'meta': {}}, {'a': 'b'}):
            reply = self.user.put(f'{self.path}/a', body)
            self.assertEqual(400, reply.status, reply.body)
        self.assertEqual({'a': 'b'}, self.items())

    def test_of_another_project(self):
        for method, path, body in (
            ('GET', '', None),
            ('POST', '', {'metadata': {}}),
            ('PUT', '', {'metadata': {}}),
            ('GET', '/a', None),
            ('PUT', '/a', {'meta': {'a': 'x'}}),
            ('DELETE', '/a', None),
        ):
            reply = self.other.request(method, self.path + path, body)
            self.assert_refused(404, self.uuid, reply)
        self.assertEqual({'a': 'b'}, self.items())


class TagsTest(MetadataTestCase):
    """/servers/{id}/tags."""

    def setUp(self):
        super().setUp()
        self.path = f'/servers/{self.uuid}/tags'
        self.user = self.user.at_version('2.26')

    def tags(self):
        return self.user.get(self.path).body['tags']

    def test_life(self):
        self.assertEqual([], self.tags())
        reply = self.user.put(f'{self.path}/red')
        self.assertEqual(201, reply.status)
        self.assertEqual(
            f'http://falconframework.org/v2.1{self.path}/red',
            reply.headers['Location'],
        )
        self.assertEqual(204, self.user.put(f'{self.path}/red').status)
        self.assertEqual(['red'], self.tags())
        self.assertEqual(204, self.user.get(f'{self.path}/red').status)
        reply = self.user.get(f'{self.path}/blue')
        self.assert_refused(404, "has no tag 'blue'", reply)
        reply = self.user.put(self.path, {'tags': ['a', 'b', 'a']})
        self.assertEqual({'tags': ['a', 'b']}, reply.body)
        self.assertEqual(204, self.user.delete(f'{self.path}/a').status)
        reply = self.user.delete(f'{self.path}/a')
        self.assert_refused(404, "has no tag 'a'", reply)
        self.assertEqual(['b'], self.tags())
        self.assertEqual(204, self.user.delete(self.path).status)
        self.assertEqual([], self.tags())

    def test_at_most_50(self):
        many = [str(number) for number in range(50)]
        self.user.put(self.path, {'tags': many})
        reply = self.user.put(f'{self.path}/more')
        self.assert_refused(400, 'per-server limit 50', reply)
        self.assertEqual(204, self.user.put(f'{self.path}/1').status)
        reply = self.user.put(self.path, {'tags': [*many, 'more']})
        self.assert_refused(400, 'more than 50 entries', reply)
        self.assertEqual(sorted(many), self.tags())

    def test_invalid_tags(self):
        for tag in ('a,b', 'x' * 61, 'a%2Cb'):
            reply = self.user.put(f'{self.path}/{tag}')
            self.assert_refused(400, '1 to 60 characters', reply)
        self.assertEqual([], self.tags())
