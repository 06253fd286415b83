# SPDX-License-Identifier: Apache-2.0
"""The WSGI application before the database is available."""

import json
import os
import socket
import subprocess
import sys

from tests import base

_REQUESTS = """
from minova.cmd import wsgi

for _ in range(2):
    body = wsgi.application({}, lambda status, headers: print(status))
    print(b''.join(body).decode())
"""


class WsgiTest(base.TestCase):
    """Requests before the connections exist."""

    def test_database_unavailable(self):
        silent = socket.socket()
        self.addCleanup(silent.close)
        silent.bind(('127.0.0.1', 0))
        path = os.path.join(self.directory, 'minova.conf')
        with open(path, 'w', encoding='utf-8') as file:
            file.write(
                f'[DEFAULT]\nlog_file = {path}.log\n'
                '[database]\nconnection = mysql+pymysql://u@127.0.0.1:'
                f'{silent.getsockname()[1]}/minova\n'
            )
        # A process of its own: its configuration is read once.
        asked = subprocess.run(
            [sys.executable, '-c', _REQUESTS],
            env=os.environ | {'MINOVA_CONFIG': path},
            capture_output=True,
            text=True,
            check=True,
        )
        lines = asked.stdout.splitlines()
        self.assertEqual(4, len(lines), asked.stderr)
        for status, body in (lines[:2], lines[2:]):
            self.assertEqual('503 Service Unavailable', status)
            emitted = json.loads(body)['serviceUnavailable']
            self.assertEqual(503, emitted['code'])
            self.assertIn('Try again', emitted['message'])
        with open(f'{path}.log', encoding='utf-8') as log:
            self.assertEqual(2, log.read().count('Requests fail with 503'))
