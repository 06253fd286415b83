# SPDX-License-Identifier: Apache-2.0
"""Headers of replies have no control characters."""

from minova.api.http import replies
from tests import base

SPLIT = 'a\r\nSet-Cookie: evil=1\x00'


class SafeResponseTest(base.TestCase):
    """Each way to set a header."""

    def setUp(self):
        super().setUp()
        self.response = replies.SafeResponse()

    def values(self):
        return dict(self.response._wsgi_headers())

    def test_set(self):
        self.response.set_header('X-A', SPLIT)
        self.response.set_headers({'X-B': SPLIT})
        self.response.set_headers([('X-C', SPLIT)])
        for name in ('x-a', 'x-b', 'x-c'):
            self.assertEqual('aSet-Cookie: evil=1', self.values()[name])

    def test_append(self):
        self.response.append_header('Vary', 'a\r')
        self.response.append_header('Vary', 'b\n')
        self.assertEqual('a, b', self.values()['vary'])

    def test_location_is_quoted(self):
        self.response.location = 'http://h/tags/' + SPLIT
        self.assertEqual(
            'http://h/tags/a%0D%0ASet-Cookie:%20evil=1%00',
            self.values()['location'],
        )
