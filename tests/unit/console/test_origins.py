# SPDX-License-Identifier: Apache-2.0
"""The origins whose pages may connect."""

from minova.console import origins
from tests import base


class OriginsTest(base.TestCase):
    """Origin against Host, the page's URL and the allowed origins."""

    def setUp(self):
        super().setUp()
        self.config(
            'vnc', novncproxy_base_url='https://screens.example.org/vnc.html'
        )

    def test_table(self):
        for origin, host, expected in (
            (None, 'proxy:6080', True),
            ('http://proxy:6080', 'proxy:6080', True),
            ('http://PROXY:6080', 'proxy:6080', True),
            ('http://proxy', 'proxy:80', True),
            ('https://proxy', 'proxy', True),
            ('http://[::1]:6080', '[::1]:6080', True),
            ('https://screens.example.org', 'proxy:6080', True),
            ('http://proxy:6081', 'proxy:6080', False),
            ('http://proxy', 'proxy:6080', False),
            # Another scheme is another origin.
            ('http://screens.example.org', 'proxy:6080', False),
            ('https://screens.example.org:8443', 'proxy:6080', False),
            ('https://example.org', 'proxy:6080', False),
            ('https://screens.example.org.evil.org', 'proxy', False),
            ('null', 'null', False),
            ('', '', False),
            ('http://', '', False),
            ('http://proxy:port', 'proxy:port', False),
            ('http://proxy', None, False),
            ('file://proxy', 'proxy', False),
            ('http://a, http://proxy', 'proxy', False),
        ):
            self.assertEqual(
                expected, origins.is_allowed(origin, host), (origin, host)
            )

    def test_allowed_origins(self):
        self.config('vnc', allowed_origins=['https://a.org', 'http://b:81'])
        self.assertTrue(origins.is_allowed('https://a.org', 'proxy'))
        self.assertTrue(origins.is_allowed('http://b:81', 'proxy'))
        self.assertFalse(origins.is_allowed('http://a.org', 'proxy'))
        # A malformed URL allows no origin.
        self.config('vnc', allowed_origins=['*', ''])
        self.assertFalse(origins.is_allowed('https://c.org', 'proxy'))
        self.assertFalse(origins.is_allowed('null', 'proxy'))
