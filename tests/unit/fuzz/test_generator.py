# SPDX-License-Identifier: Apache-2.0
"""Requests that can be repeated, of all kinds."""

import collections
import json

from tests import base
from tests.fuzz import endpoints
from tests.fuzz import generator


class Pools:
    """Objects that are named as their kinds."""

    def pick(self, kind, actor, is_write, roll, is_own=False):
        return kind, None

    def is_foreign(self, owner, actor):
        return False

    def marker(self, actor):
        return f'{actor}-'

    def projects(self):
        return ['p1', 'p2']


class GeneratorTest(base.TestCase):
    """Some thousand requests."""

    def setUp(self):
        super().setUp()
        self.endpoints = endpoints.find_endpoints()
        self.make = self.generator('1').make

    def generator(self, seed):
        return generator.Generator(seed, self.endpoints, Pools())

    def bytes(self, seed, index):
        request = self.generator(seed).make(index)
        return request.to_bytes('host', 'token')

    def test_same_seed_same_request(self):
        for index in range(200):
            self.assertEqual(self.bytes('1', index), self.bytes('1', index))
        self.assertNotEqual(
            [self.bytes('1', index) for index in range(20)],
            [self.bytes('2', index) for index in range(20)],
        )

    def test_everything_is_attacked_by_everyone(self):
        seen = collections.Counter(
            (request.actor, request.endpoint.label)
            for request in map(self.make, range(12000))
        )
        wanted = {
            (actor, endpoint.label)
            for actor in generator.ACTORS
            for endpoint in self.endpoints
        }
        self.assertEqual(set(), wanted - set(seen))

    def test_kinds_of_requests(self):
        """Valid bodies, and each kind of attack."""
        texts = [
            self.make(index).to_bytes('host', 'token')
            for index in range(10000)
        ]
        for part in (
            b'X-Roles: admin',
            b'X-Project-Id: p',
            b'Transfer-Encoding: chunked',
            b'Expect: 100-continue',
            b'Content-Length: 50000000000',
            b'NaN',
            b'../../etc/passwd',
            b'DROP TABLE',
            b'[' * 300,
            b'\\u0000',
            b'application/xml',
            b'compute 3.1',
            b'If-None-Match',
            b'9' * 1000,
        ):
            self.assertTrue(any(part in text for text in texts), part)
        valid = [text for text in texts if _is_json(text)]
        self.assertGreater(len(valid), 200)


def _is_json(text):
    try:
        return json.loads(text.partition(b'\r\n\r\n')[2]) is not None
    except (ValueError, RecursionError):
        return False
