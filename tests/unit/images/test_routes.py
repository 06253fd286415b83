# SPDX-License-Identifier: Apache-2.0
"""The embedded Image v2 over HTTP."""

import http
import json

from minova import clock
from minova.images import attributes
from minova.images import listing
from minova.images import routes
from tests.unit.identity import base as identity_base
from tests.unit.images import base

IMAGES = '/image/v2/images'
HOST = 'http://cloud:8774'
PATCH_TYPE = 'application/openstack-images-v2.1-json-patch'
DATA_TYPE = 'application/octet-stream'
CALLERS = {
    'owner': base.OWNER,
    'other': base.OTHER,
    'admin': base.ADMIN,
    'unscoped': base.UNSCOPED,
}


class RoutesTestCase(base.TestCase):
    def setUp(self):
        super().setUp()
        self.client = identity_base.client(
            routes.routes(self.store),
            routes.error_body,
            lambda req: CALLERS.get(req.get_header('X-Auth-Token')),
        )

    def request(self, method, path, who='owner', **arguments):
        headers = {'Host': 'cloud:8774', **arguments.pop('headers', {})}
        if who is not None:
            headers['X-Auth-Token'] = who
        return self.client.simulate_request(
            method, path, headers=headers, **arguments
        )

    def assert_error(self, status, answer):
        self.assertEqual(status, answer.status_code, answer.text)
        self.assertEqual(status, answer.json['code'])
        self.assertEqual(http.HTTPStatus(status).phrase, answer.json['title'])
        self.assertTrue(answer.json['message'])
        return answer.json['message']

    def create(self, who='owner', /, **content):
        return self.request('POST', IMAGES, who, json=content)

    def made(self, who='owner', **content):
        content = {
            'name': 'one',
            'disk_format': 'raw',
            'container_format': 'bare',
            **content,
        }
        answer = self.create(who, **content)
        self.assertEqual(201, answer.status_code, answer.text)
        return answer.json

    def show(self, image, who='owner'):
        return self.request('GET', f'{IMAGES}/{image["id"]}', who)

    def patch(self, image, *operations, who='owner', **arguments):
        arguments.setdefault('body', json.dumps(operations))
        return self.request(
            'PATCH',
            f'{IMAGES}/{image["id"]}',
            who,
            headers={'Content-Type': PATCH_TYPE},
            **arguments,
        )

    def upload(self, image, data=base.RAW, who='owner', **headers):
        return self.request(
            'PUT',
            f'{IMAGES}/{image["id"]}/file',
            who,
            body=data,
            headers={'Content-Type': DATA_TYPE, **headers},
        )

    def delete(self, image, who='owner'):
        return self.request('DELETE', f'{IMAGES}/{image["id"]}', who)


class VersionTest(RoutesTestCase):
    def test_versions(self):
        for path, status in (
            ('/image', 300),
            ('/image/', 300),
            ('/image/versions', 200),
        ):
            answer = self.request('GET', path, None)
            self.assertEqual(status, answer.status_code)
            current = [
                version
                for version in answer.json['versions']
                if version['status'] == 'CURRENT'
            ]
            self.assertEqual(1, len(current))
            self.assertEqual(
                [{'rel': 'self', 'href': f'{HOST}/image/v2/'}],
                current[0]['links'],
            )

    def test_public_paths_exist(self):
        templates = {template for template, _ in routes.routes(self.store)}
        self.assertLessEqual({path for _, path in routes.PUBLIC}, templates)

    def test_anonymous_is_refused(self):
        image = self.made()
        one = f'{IMAGES}/{image["id"]}'
        for method, path in (
            ('GET', IMAGES),
            ('POST', IMAGES),
            ('GET', one),
            ('PATCH', one),
            ('DELETE', one),
            ('PUT', f'{one}/file'),
            ('GET', f'{one}/file'),
            ('PUT', f'{one}/tags/x'),
            ('DELETE', f'{one}/tags/x'),
        ):
            self.assert_error(401, self.request(method, path, None))

    def test_schemas(self):
        schema = self.request('GET', '/image/v2/schemas/image').json
        self.assertEqual('image', schema['name'])
        self.assertIn('raw', schema['properties']['disk_format']['enum'])
        # The schema describes every attribute of an image.
        self.assertLessEqual(set(self.made()), set(schema['properties']))
        schema = self.request('GET', '/image/v2/schemas/images').json
        self.assertEqual('images', schema['name'])

    def test_no_import(self):
        answer = self.request('GET', '/image/v2/info/import')
        self.assertEqual([], answer.json['import-methods']['value'])


class CreateTest(RoutesTestCase):
    def test_defaults(self):
        answer = self.create()
        self.assertEqual(201, answer.status_code)
        image = answer.json
        path = f'/v2/images/{image["id"]}'
        self.assertEqual(f'{HOST}/image{path}', answer.headers['Location'])
        self.assertRegex(image['created_at'], r'^[-0-9]{10}T[:0-9]{8}Z$')
        self.assertEqual(
            {
                'id': image['id'],
                'name': None,
                'status': 'queued',
                'disk_format': None,
                'container_format': None,
                'size': None,
                'virtual_size': None,
                'min_disk': 0,
                'min_ram': 0,
                'checksum': None,
                'os_hash_algo': None,
                'os_hash_value': None,
                'os_hidden': False,
                'owner': 'ours',
                'visibility': 'shared',
                'protected': False,
                'tags': [],
                'created_at': image['created_at'],
                'updated_at': image['created_at'],
                'self': path,
                'file': f'{path}/file',
                'schema': '/v2/schemas/image',
            },
            image,
        )
        self.assertEqual(image, self.show(image).json)

    def test_everything(self):
        content = {
            'id': clock.uuid4(),
            'name': 'Ünï ☃',
            'disk_format': 'qcow2',
            'container_format': 'bare',
            'min_disk': 3,
            'min_ram': 512,
            'visibility': 'private',
            'protected': True,
            'os_hidden': True,
            'tags': ['a', 'b', 'a'],
            'kernel_id': 'k',
            'owner_specified.openstack.md5': '',
        }
        image = self.made(**content)
        content['tags'] = ['a', 'b']
        for name, value in content.items():
            self.assertEqual(value, image[name], name)
        self.assertEqual(image, self.show(image).json)

    def test_integral_float_is_valid(self):
        self.assertEqual(3, self.made(min_disk=3.0)['min_disk'])

    def test_id_in_use(self):
        image = self.made()
        self.assert_error(409, self.create(id=image['id']))

    def test_invalid_create_is_400_with_path(self):
        for place, content in (
            ('name', {'name': 5}),
            ('name', {'name': 'x' * 256}),
            ('id', {'id': 'one'}),
            ('id', {'id': '../../etc/passwd'}),
            ('id', {'id': clock.uuid4() + '\n'}),
            ('id', {'id': clock.uuid4().upper()}),
            ('id', {'id': None}),
            ('disk_format', {'disk_format': 'vmdk'}),
            ('disk_format', {'disk_format': 5}),
            ('container_format', {'container_format': 'docker'}),
            ('visibility', {'visibility': 'secret'}),
            ('visibility', {'visibility': None}),
            ('protected', {'protected': 'true'}),
            ('os_hidden', {'os_hidden': 1}),
            ('min_disk', {'min_disk': -1}),
            ('min_disk', {'min_disk': 2**31}),
            ('min_disk', {'min_disk': 10**400}),
            ('min_disk', {'min_disk': '1'}),
            ('min_disk', {'min_disk': True}),
            ('min_ram', {'min_ram': 0.5}),
            ('min_ram', {'min_ram': float('nan')}),
            ('min_ram', {'min_ram': float('inf')}),
            ('min_ram', {'min_ram': None}),
            ('tags', {'tags': 'a'}),
            ('tags', {'tags': None}),
            ('tags/0', {'tags': [1]}),
            ('tags/1', {'tags': ['a', '']}),
            ('tags/0', {'tags': ['x' * 256]}),
            ('tags', {'tags': [str(n) for n in range(129)]}),
            ('hw_cpu', {'hw_cpu': 5}),
            ('hw_cpu', {'hw_cpu': None}),
            ('hw_cpu', {'hw_cpu': {}}),
            ('hw_cpu', {'hw_cpu': 'x' * 65536}),
            ('property', {'': 'x'}),
            ('property', {'x' * 256: 'x'}),
            ('properties', {f'p{n}': 'x' for n in range(129)}),
        ):
            message = self.assert_error(400, self.create(**content))
            self.assertIn(place, message)
        self.assertEqual([], self.stored())

    def test_body_must_be_an_object(self):
        for body in (
            b'',
            b'[]',
            b'null',
            b'5',
            b'"x"',
            b'{',
            b'\xff',
            b'{"name": "\\udc00"}',
            b'{"\\udc00": "x"}',
            b'{"a":' * 20000,
        ):
            answer = self.request(
                'POST',
                IMAGES,
                body=body,
                headers={'Content-Type': 'application/json'},
            )
            self.assert_error(400, answer)

    def test_another_content_type_is_400(self):
        answer = self.request(
            'POST', IMAGES, body='{}', headers={'Content-Type': 'text/html'}
        )
        self.assertIn('application/json', self.assert_error(400, answer))

    def test_large_body_is_413(self):
        self.config.config(group='api', max_request_body_size=1024)
        self.assert_error(413, self.create(name='x' * 1024))

    def test_read_only_attributes_are_403(self):
        for name in (
            'status',
            'size',
            'virtual_size',
            'checksum',
            'os_hash_algo',
            'os_hash_value',
            'created_at',
            'updated_at',
            'self',
            'file',
            'schema',
            'direct_url',
            'locations',
        ):
            value = 5 if 'size' in name else 'active'
            message = self.assert_error(403, self.create(**{name: value}))
            self.assertIn(name, message)

    def test_administrator_attributes_are_403(self):
        for content in ({'visibility': 'public'}, {'owner': 'theirs'}):
            self.assert_error(403, self.create(**content))
            image = self.made('admin', **content)
            self.assertEqual(content, {k: image[k] for k in content})
        self.assertEqual('ours', self.made(owner='ours')['owner'])

    def test_without_a_project_is_403(self):
        self.assertIn(
            'Use a token for a project',
            self.assert_error(403, self.create('unscoped')),
        )


class ShowTest(RoutesTestCase):
    def test_visibility_to_other_projects(self):
        for who, visibility, status in (
            ('owner', 'private', 404),
            ('owner', 'shared', 404),
            ('owner', 'community', 200),
            ('admin', 'public', 200),
        ):
            image = self.made(who, visibility=visibility)
            self.assertEqual(status, self.show(image, 'other').status_code)
            self.assertEqual(200, self.show(image, 'admin').status_code)

    def test_image_not_found(self):
        for image_id in (clock.uuid4(), 'x', '..', '%ff', '%00'):
            self.assert_error(404, self.show({'id': image_id}))

    def test_only_the_owner_and_the_administrator_write(self):
        private = self.made()
        public = self.made('admin', visibility='public')
        operation = {'op': 'replace', 'path': '/name', 'value': 'new'}
        for image, who, status in (
            (private, 'other', 404),
            (public, 'other', 403),
            (public, 'unscoped', 403),
        ):
            one = f'{IMAGES}/{image["id"]}'
            self.assert_error(status, self.patch(image, operation, who=who))
            self.assert_error(status, self.upload(image, who=who))
            for method in ('PUT', 'DELETE'):
                answer = self.request(method, f'{one}/tags/x', who)
                self.assertIn(answer.status_code, (status, 404))
            self.assert_error(status, self.delete(image, who))
            self.assertEqual(image, self.show(image, 'admin').json)
        for image, who in ((private, 'owner'), (public, 'admin')):
            answer = self.patch(image, operation, who=who)
            self.assertEqual('new', answer.json['name'])
            self.assertEqual(204, self.upload(image, who=who).status_code)
            self.assertEqual(204, self.delete(image, who).status_code)
            self.assert_error(404, self.show(image, who))

    def test_protected(self):
        image = self.made(protected=True)
        self.assertIn('protected', self.assert_error(403, self.delete(image)))
        self.patch(
            image, {'op': 'replace', 'path': '/protected', 'value': False}
        )
        self.assertEqual(204, self.delete(image).status_code)


class PatchTest(RoutesTestCase):
    def test_operations(self):
        image = self.made(a='1', b='2', tags=['x'])
        answer = self.patch(
            image,
            {'op': 'add', 'path': '/c', 'value': '3'},
            {'op': 'add', 'path': '/a', 'value': '4'},
            {'op': 'replace', 'path': '/c', 'value': '5'},
            {'op': 'remove', 'path': '/b'},
            {'op': 'replace', 'path': '/name', 'value': None},
            {'op': 'replace', 'path': '/min_disk', 'value': 7},
            {'op': 'add', 'path': '/tags/0', 'value': 'w'},
            {'op': 'add', 'path': '/tags/-', 'value': 'y'},
            {'op': 'replace', 'path': '/tags/1', 'value': 'z'},
            {'op': 'remove', 'path': '/tags/0'},
            {'op': 'add', 'path': '/x~1y~0z', 'value': '6'},
        )
        self.assertEqual(200, answer.status_code, answer.text)
        wanted = {
            **image,
            'a': '4',
            'c': '5',
            'name': None,
            'min_disk': 7,
            'tags': ['z', 'y'],
            'x/y~z': '6',
        }
        del wanted['b']
        found = answer.json
        found['updated_at'] = wanted['updated_at']
        self.assertEqual(wanted, found)

    def test_all_or_nothing(self):
        image = self.made()
        answer = self.patch(
            image,
            {'op': 'replace', 'path': '/name', 'value': 'new'},
            {'op': 'replace', 'path': '/min_disk', 'value': -1},
        )
        self.assertIn('min_disk', self.assert_error(400, answer))
        self.assertEqual(image, self.show(image).json)

    def test_data_is_unchanged(self):
        image = self.made()
        self.upload(image)
        before = self.show(image).json
        after = self.patch(
            image, {'op': 'add', 'path': '/a', 'value': 'b'}
        ).json
        after['updated_at'] = before['updated_at']
        self.assertEqual({**before, 'a': 'b'}, after)

    def test_invalid_update_is_400(self):
        image = self.made(tags=['x'])
        add = {'op': 'add', 'path': '/a', 'value': 'b'}
        for operation in (
            5,
            None,
            [],
            {},
            {'op': 'add'},
            {'path': '/a'},
            {**add, 'op': 'move'},
            {**add, 'op': 5},
            {**add, 'path': 5},
            {**add, 'path': 'a'},
            {**add, 'path': ''},
            {**add, 'path': '/'},
            {**add, 'path': '/' + 'x' * 256},
            {**add, 'path': '/' + 'x' * 5000},
            {**add, 'path': '/a/b'},
            {**add, 'path': '/tags/0/1'},
            {**add, 'path': '/tags/0', 'value': 5},
            {**add, 'path': '/tags', 'value': 'x'},
            {**add, 'value': 5},
            {**add, 'value': None},
            {'op': 'add', 'path': '/a'},
            {'op': 'replace', 'path': '/name'},
            {**add, 'path': '/visibility', 'value': 'x'},
            {**add, 'path': '/protected', 'value': 'x'},
        ):
            self.assert_error(400, self.patch(image, operation))
        for body in (b'', b'{}', b'null', b'5', b'\xff', b'[' * 50000):
            self.assert_error(400, self.patch(image, body=body))
        self.assertEqual(image, self.show(image).json)

    def test_missing_target_is_409(self):
        image = self.made(tags=['x'])
        for operation in (
            {'op': 'replace', 'path': '/a', 'value': 'b'},
            {'op': 'remove', 'path': '/a'},
            {'op': 'remove', 'path': '/tags/1'},
            {'op': 'remove', 'path': '/tags/-'},
            {'op': 'replace', 'path': '/tags/1', 'value': 'y'},
            {'op': 'add', 'path': '/tags/2', 'value': 'y'},
            {'op': 'add', 'path': '/tags/-1', 'value': 'y'},
            {'op': 'add', 'path': '/tags/00', 'value': 'y'},
            {'op': 'add', 'path': f'/tags/{"9" * 500}', 'value': 'y'},
        ):
            self.assert_error(409, self.patch(image, operation))

    def test_tags_replaced_by_other_type(self):
        image = self.made()
        for value in (5, 'x', None, {}):
            for place in ('-', '0'):
                answer = self.patch(
                    image,
                    {'op': 'replace', 'path': '/tags', 'value': value},
                    {'op': 'add', 'path': f'/tags/{place}', 'value': 'x'},
                )
                self.assert_error(409, answer)

    def test_immutable_attributes_are_403(self):
        image = self.made()
        for operation in (
            {'op': 'replace', 'path': '/id', 'value': clock.uuid4()},
            {'op': 'replace', 'path': '/status', 'value': 'active'},
            {'op': 'replace', 'path': '/size', 'value': 5},
            {'op': 'add', 'path': '/locations/-', 'value': {}},
            {'op': 'add', 'path': '/locations', 'value': 'x'},
            {'op': 'remove', 'path': '/checksum'},
            {'op': 'remove', 'path': '/name'},
            {'op': 'remove', 'path': '/owner'},
            {'op': 'remove', 'path': '/tags'},
            {'op': 'replace', 'path': '/owner', 'value': 'theirs'},
            {'op': 'replace', 'path': '/visibility', 'value': 'public'},
        ):
            self.assert_error(403, self.patch(image, operation))
        self.assertEqual(image, self.show(image).json)

    def test_format_of_the_data(self):
        image = self.made()
        change = {'op': 'replace', 'path': '/disk_format', 'value': 'qcow2'}
        back = {**change, 'value': 'raw'}
        self.assertEqual(200, self.patch(image, change).status_code)
        self.patch(image, back)
        self.upload(image)
        self.assert_error(403, self.patch(image, change))
        self.assertEqual(200, self.patch(image, back).status_code)

    def test_administrator_publishes_owner_edits(self):
        image = self.made()
        public = {'op': 'replace', 'path': '/visibility', 'value': 'public'}
        answer = self.patch(image, public, who='admin')
        self.assertEqual('ours', answer.json['owner'])
        answer = self.patch(image, {'op': 'add', 'path': '/a', 'value': 'b'})
        self.assertEqual('public', answer.json['visibility'])

    def test_properties_have_a_bound(self):
        image = self.made()
        for first, status in ((0, 200), (100, 400)):
            operations = [
                {'op': 'add', 'path': f'/p{n}', 'value': 'x'}
                for n in range(first, first + 100)
            ]
            answer = self.patch(image, *operations)
            self.assertEqual(status, answer.status_code)
        self.assertIn(str(attributes.MAX_PROPERTIES), answer.text)

    def test_properties_have_a_total_bound(self):
        image = self.made()
        text = 'x' * 30000
        for number, status in ((1, 200), (2, 200), (3, 400)):
            operation = {'op': 'add', 'path': f'/p{number}', 'value': text}
            answer = self.patch(image, operation)
            self.assertEqual(status, answer.status_code)
        self.assertIn(str(attributes.MAX_PROPERTIES_LENGTH), answer.text)

    def test_another_content_type_is_400(self):
        image = self.made()
        answer = self.request('PATCH', f'{IMAGES}/{image["id"]}', json=[])
        self.assertIn(PATCH_TYPE, self.assert_error(400, answer))


class TagTest(RoutesTestCase):
    def test_tags(self):
        image = self.made(tags=['a'])
        one = f'{IMAGES}/{image["id"]}/tags'
        for method, tag, status, left in (
            ('PUT', 'b', 204, ['a', 'b']),
            ('PUT', 'b', 204, ['a', 'b']),
            ('DELETE', 'a', 204, ['b']),
            ('DELETE', 'a', 404, ['b']),
            ('PUT', 'x' * 256, 400, ['b']),
        ):
            answer = self.request(method, f'{one}/{tag}')
            self.assertEqual(status, answer.status_code)
            self.assertEqual(left, self.show(image).json['tags'])


class DataTest(RoutesTestCase):
    def download(self, image, who='owner'):
        return self.request('GET', f'{IMAGES}/{image["id"]}/file', who)

    def test_up_and_down(self):
        image = self.made()
        self.assertEqual(204, self.download(image).status_code)
        self.assertEqual(204, self.upload(image).status_code)
        shown = self.show(image).json
        wanted = base.sums(base.RAW)
        self.assertEqual(
            (
                'active',
                wanted['size'],
                wanted['checksum'],
                'sha512',
                wanted['hash_value'],
            ),
            (
                shown['status'],
                shown['size'],
                shown['checksum'],
                shown['os_hash_algo'],
                shown['os_hash_value'],
            ),
        )
        answer = self.download(image)
        self.assertEqual(200, answer.status_code)
        self.assertEqual(base.RAW, answer.content)
        self.assertEqual(DATA_TYPE, answer.headers['Content-Type'])
        self.assertEqual(wanted['checksum'], answer.headers['Content-MD5'])
        self.assertEqual(str(wanted['size']), answer.headers['Content-Length'])
        self.assert_error(404, self.download(image, 'other'))

    def test_only_once(self):
        image = self.made()
        self.upload(image)
        self.assertIn(
            'active', self.assert_error(409, self.upload(image, b'x'))
        )

    def test_refused_upload_stays_queued(self):
        image = self.made(disk_format='qcow2')
        for data, text in (
            (base.RAW, 'not in the format qcow2'),
            (b'', 'empty'),
            (base.qcow2(backing=(104, 9)), 'backing file'),
            (base.qcow2(features=4), 'external data file'),
        ):
            message = self.assert_error(400, self.upload(image, data))
            self.assertIn(text, message)
            self.assertEqual(image, self.show(image).json)
        self.assertEqual(204, self.upload(image, base.qcow2()).status_code)
        self.assertEqual(1 << 30, self.show(image).json['virtual_size'])

    def test_too_large(self):
        self.config.config(group='image', max_upload_bytes=100)
        image = self.made()
        self.assertIn(
            '100', self.assert_error(413, self.upload(image, b'x' * 101))
        )
        self.assertEqual('queued', self.show(image).json['status'])
        self.assertEqual(204, self.upload(image, b'x' * 100).status_code)

    def test_announced_size(self):
        image = self.made()
        for size, status in (('9', 400), ('11', 400), ('', 400), ('x', 400)):
            answer = self.upload(
                image, b'x' * 10, **{'X-OpenStack-Image-Size': size}
            )
            self.assert_error(status, answer)
        answer = self.upload(
            image, b'x' * 10, **{'X-OpenStack-Image-Size': '10'}
        )
        self.assertEqual(204, answer.status_code)

    def test_another_content_type_is_400(self):
        image = self.made()
        for kind in ('application/json', 'text/plain', ''):
            answer = self.upload(image, **{'Content-Type': kind})
            self.assertIn(DATA_TYPE, self.assert_error(400, answer))

    def test_without_a_format_is_400(self):
        answer = self.upload(self.create().json)
        self.assertIn('disk_format', self.assert_error(400, answer))

    def test_body_of_unknown_length(self):
        image = self.made()
        answer = self.request(
            'PUT',
            f'{IMAGES}/{image["id"]}/file',
            body=base.RAW,
            headers={'Content-Type': DATA_TYPE},
            extras={'wsgi.input_terminated': True, 'CONTENT_LENGTH': ''},
        )
        self.assertEqual(204, answer.status_code)
        self.assertEqual(len(base.RAW), self.show(image).json['size'])


class ListTest(RoutesTestCase):
    def setUp(self):
        super().setUp()
        self.start = clock.now()
        for name, content in (
            ('a', {'min_disk': 5, 'tags': ['x', 'y']}),
            ('b', {'disk_format': 'qcow2', 'os_type': 'linux'}),
            ('c', {'tags': ['x'], 'protected': True, 'name': 'b,c'}),
            ('d', {'os_hidden': True}),
            ('e', {'visibility': 'community'}),
            ('f', {'disk_format': None, 'name': None}),
        ):
            made = self.made(**{'name': name, **content})
            setattr(self, name, made['id'])
            self.clock.forward(seconds=10)
        self.g = self.made('admin', name='g', visibility='public')['id']
        self.upload({'id': self.a})

    def list(self, who='owner', **params):
        answer = self.request('GET', IMAGES, who, params=params)
        self.assertEqual(200, answer.status_code, answer.text)
        return answer.json

    def names(self, who='owner', **params):
        by_id = {getattr(self, name): name for name in 'abcdefg'}
        found = self.list(who, **params)['images']
        return ''.join(by_id[image['id']] for image in found)

    def test_list_visibility(self):
        self.assertEqual('gfcba', self.names())
        self.assertEqual('g', self.names('other'))
        self.assertEqual('gfcba', self.names('admin'))
        self.assertEqual('d', self.names(os_hidden='true'))
        self.assertEqual('', self.names('other', os_hidden='true'))
        self.assertEqual('e', self.names('other', visibility='community'))
        self.assertEqual('gfecba', self.names(visibility='all'))

    def test_each_is_shown_in_full(self):
        for image in self.list()['images']:
            self.assertEqual(self.show(image).json, image)

    def test_filters(self):
        day = self.start.strftime('%Y-%m-%dT%H:%M:%SZ')
        for params, names in (
            ({'name': 'a'}, 'a'),
            ({'name': 'nothing'}, ''),
            ({'name': 'in:a,b'}, 'ba'),
            ({'name': 'in:a,"b,c"'}, 'ca'),
            ({'id': self.b}, 'b'),
            ({'id': f'in:{self.a},{self.b},x'}, 'ba'),
            ({'status': 'active'}, 'a'),
            ({'status': 'in:active,queued'}, 'gfcba'),
            ({'visibility': 'public'}, 'g'),
            ({'owner': 'ours'}, 'fcba'),
            ({'disk_format': 'qcow2'}, 'b'),
            ({'disk_format': 'in:qcow2,raw'}, 'gcba'),
            ({'container_format': 'bare'}, 'gfcba'),
            ({'tag': 'x'}, 'ca'),
            ({'tag': ['x', 'y']}, 'a'),
            ({'os_type': 'linux'}, 'b'),
            ({'os_type': 'windows'}, ''),
            ({'protected': 'True'}, 'c'),
            ({'protected': 'false', 'tag': 'x'}, 'a'),
            ({'min_disk': '5'}, 'a'),
            ({'size_min': '1'}, 'a'),
            ({'size_max': '1'}, 'gfcb'),
            ({'checksum': base.sums(base.RAW)['checksum']}, 'a'),
            ({'os_hash_value': base.sums(base.RAW)['hash_value']}, 'a'),
            ({'created_at': f'lte:{day}'}, 'a'),
            ({'created_at': f'gt:{day}'}, 'gfcb'),
            ({'created_at': 'lt:0001-01-01T00:00:00+23:59'}, ''),
            ({'created_at': '2020-01-01'}, ''),
            ({'member_status': 'all'}, 'gfcba'),
            ({'name': 'é☃'}, ''),
        ):
            self.assertEqual(names, self.names(**params), params)

    def test_order(self):
        for params, names in (
            ({'sort': 'created_at:asc'}, 'abcfg'),
            ({'sort': 'name:asc'}, 'fabcg'),
            ({'sort': 'name'}, 'gcbaf'),
            ({'sort_key': 'name', 'sort_dir': 'asc'}, 'fabcg'),
            ({'sort': 'size:asc,created_at:desc'}, 'gfcba'),
            ({'sort': 'disk_format:asc,created_at:asc'}, 'fbacg'),
            (
                {
                    'sort_key': ['disk_format', 'created_at'],
                    'sort_dir': ['desc', 'asc'],
                },
                'acgbf',
            ),
            (
                {
                    'sort_key': ['disk_format', 'created_at'],
                    'sort_dir': 'asc',
                },
                'fbacg',
            ),
        ):
            self.assertEqual(names, self.names(**params), params)

    def test_pages(self):
        for params in ({}, {'sort': 'disk_format:asc'}, {'owner': 'ours'}):
            whole = [image['id'] for image in self.list(**params)['images']]
            found = []
            path = f'{IMAGES}?limit=2'
            answer = self.list(limit=2, **params)
            while True:
                self.assertNotIn('marker', answer['first'])
                self.assertIn('limit=2', answer['first'])
                self.assertEqual('/v2/schemas/images', answer['schema'])
                self.assertNotEqual([], answer['images'])
                found += [image['id'] for image in answer['images']]
                if 'next' not in answer:
                    break
                self.assertEqual(2, len(answer['images']))
                path, _, query = answer['next'].partition('?')
                answer = self.request(
                    'GET', f'/image{path}', query_string=query
                ).json
            self.assertEqual(whole, found)

    def test_equal_sort_keys_have_an_order(self):
        found = [base.image(name='same') for _ in range(5)]
        shown, _ = listing.select_page(found, {'sort': 'name:asc'})
        self.assertEqual(
            sorted(image.id for image in found), [image.id for image in shown]
        )
        again, _ = listing.select_page(found[::-1], {'sort': 'name:asc'})
        self.assertEqual(shown, again)

    def test_largest_page(self):
        self.config.config(group='api', max_limit=3)
        for params in ({}, {'limit': '100'}):
            answer = self.list(**params)
            self.assertEqual(3, len(answer['images']))
            self.assertIn('next', answer)

    def test_empty_page(self):
        answer = self.list(limit='0')
        self.assertEqual([], answer['images'])
        self.assertNotIn('next', answer)

    def test_invalid_queries_are_400(self):
        for params in (
            {'limit': '-1'},
            {'limit': 'x'},
            {'limit': ''},
            {'limit': '1.5'},
            {'limit': '9' * 5000},
            {'limit': ['1', '2']},
            {'marker': 'x'},
            {'marker': clock.uuid4()},
            {'sort': 'shape'},
            {'sort': 'name:up'},
            {'sort': ''},
            {'sort': 'name', 'sort_key': 'name'},
            {'sort_key': 'shape'},
            {'sort_dir': 'up'},
            {'sort_key': 'name', 'sort_dir': ['asc', 'desc']},
            {'protected': 'maybe'},
            {'os_hidden': ''},
            {'size_min': 'x'},
            {'min_ram': '-1'},
            {'created_at': 'yesterday'},
            {'updated_at': 'gt:'},
            {'created_at': 'about:2020-01-01'},
            {'name': ['a', 'b']},
            {'os_type': ['a', 'b']},
        ):
            answer = self.request('GET', IMAGES, params=params)
            self.assert_error(400, answer)

    def test_query_is_not_text(self):
        answer = self.request(
            'GET', IMAGES, query_string='name=%ff%fe&%00=%zz'
        )
        self.assertEqual(200, answer.status_code)
        self.assertEqual([], answer.json['images'])
