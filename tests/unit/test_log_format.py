# SPDX-License-Identifier: Apache-2.0
"""A quote of a user in a log is one line of bounded length."""

import io
import logging

from oslo_config import cfg
from oslo_log import formatters
from oslo_log import log as oslo_log

from minova import log_format
from tests import base

FORGED = 'x\r\n2026-11-30 12:00:00.000 1 INFO minova.api all is well\x1b[2J'


class LogFormatTest(base.TestCase):
    """Lines of the handlers that oslo.log installs."""

    def setUp(self):
        super().setUp()
        conf = cfg.ConfigOpts()
        oslo_log.register_options(conf)
        conf([])
        self.stream = io.StringIO()
        self.handler = logging.StreamHandler(self.stream)
        self.handler.setFormatter(formatters.ContextFormatter(config=conf))
        root = logging.getLogger()
        root.addHandler(self.handler)
        self.addCleanup(root.removeHandler, self.handler)
        log_format.install(conf, 'minova', '1')
        self.logger = logging.getLogger('minova.test')

    def lines(self):
        return self.stream.getvalue().splitlines()

    def test_message(self):
        self.logger.warning('tag %s of %s', FORGED, 'u')
        (line,) = self.lines()
        self.assertIn(r'tag x\r\n2026-11-30', line)
        self.assertIn(r'\x1b[2J of u', line)

    def test_message_without_arguments(self):
        self.logger.warning('100 %s')
        self.assertIn('100 %s', self.lines()[0])

    def test_other_separators(self):
        self.logger.warning('a\x85b\u2028c\u2029d\x0be')
        (line,) = self.lines()
        self.assertIn(r'a\x85b\u2028c\u2029d\x0be', line)

    def test_error_with_traceback(self):
        try:
            raise ValueError(FORGED)
        except ValueError:
            self.logger.exception('failed: %s', FORGED)
        first, *more = self.lines()
        self.assertIn(r'failed: x\r\n', first)
        self.assertGreater(len(more), 3)
        for line in more:
            self.assertIn('ERROR minova.test', line)
        self.assertNotIn('\x1b', self.stream.getvalue())

    def test_error_while_another_is_handled(self):
        try:
            raise ValueError(FORGED)
        except ValueError:
            self.logger.error('failed')
        self.assertEqual(1, len(self.lines()))

    def test_length(self):
        self.logger.warning('x' * 100000)
        self.assertLess(len(self.stream.getvalue()), 10000)
        self.assertIn('more]', self.stream.getvalue())
        try:
            raise ValueError('y' * 300000)
        except ValueError:
            self.logger.exception('failed')
        self.assertLess(len(self.stream.getvalue()), 100000)
