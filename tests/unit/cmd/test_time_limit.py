# SPDX-License-Identifier: Apache-2.0
"""Every command ends within its time limit."""

import argparse
import contextlib
import io
import os
import signal
import socket
import subprocess
import sys
import threading

from minova import clock
from minova.cmd import commands
from minova.cmd import manage
from minova.cmd import rig
from minova.cmd import simulate
from minova.cmd import time_limit
from minova.conf import CONF
from minova.db import migrate
from minova.db.connections import engine
from minova.db.queries import hosts
from minova.db.queries import operations
from tests import base

UUID = '8f8bb350-31b5-40a7-abf8-5df69d5b1b12'
#: A process that runs a command with a limit of one second.
_PROGRAM = """
import sys, threading
from minova.cmd import time_limit
time_limit._GRACE = 1.0
{definitions}
sys.exit(time_limit.TimeLimit('prog', 1).run(command))
"""
_TEXT = 'prog: the command did not end within 1 s; it was still working. '


class TimeLimitTest(base.TestCase):
    """A command in a process of its own."""

    def run_command(self, definitions):
        """Return exit code, stdout and stderr."""
        done = subprocess.run(
            [sys.executable, '-c', _PROGRAM.format(definitions=definitions)],
            capture_output=True,
            text=True,
            timeout=60,
        )
        return done.returncode, done.stdout, done.stderr

    def test_in_time(self):
        self.assertEqual(
            (3, 'done\n', ''),
            self.run_command(
                "def command():\n    print('done')\n    return 3"
            ),
        )

    def test_waits_for_ever(self):
        code, out, err = self.run_command(
            'def command():\n'
            '    try:\n'
            '        threading.Event().wait()\n'
            '    except KeyboardInterrupt:\n'
            "        print('one of two')\n"
            '        raise\n'
        )
        self.assertEqual((1, 'one of two\n'), (code, out))
        self.assertEqual(f'{_TEXT}A longer limit: --timeout SECONDS.\n', err)

    def test_cleanup_fails(self):
        code, _, err = self.run_command(
            'def command():\n'
            '    try:\n'
            '        threading.Event().wait()\n'
            '    finally:\n'
            '        raise OSError\n'
        )
        self.assertEqual(1, code)
        self.assertEqual(f'{_TEXT}A longer limit: --timeout SECONDS.\n', err)

    def test_is_not_interruptible(self):
        code, _, err = self.run_command(
            'def command():\n'
            '    while True:\n'
            '        try:\n'
            '            threading.Event().wait()\n'
            '        except BaseException:\n'
            '            pass\n'
        )
        self.assertEqual(1, code)
        self.assertIn(_TEXT, err)

    def test_leaves_a_thread(self):
        code, _, err = self.run_command(
            'def command():\n'
            '    threading.Thread(target=threading.Event().wait).start()\n'
            '    threading.Event().wait()\n'
        )
        self.assertEqual(1, code)
        self.assertEqual(1, err.count(_TEXT))


class InProcessTest(base.TestCase):
    """What a command leaves in a process that continues."""

    def test_handler_is_restored(self):
        before = signal.getsignal(signal.SIGUSR1)
        limit = time_limit.TimeLimit('prog', 60)
        self.assertEqual(5, limit.run(lambda: 5))
        self.assertEqual(before, signal.getsignal(signal.SIGUSR1))

    def test_errors_pass(self):
        def fail():
            raise OSError('no')

        limit = time_limit.TimeLimit('prog', 60)
        self.assertRaises(OSError, limit.run, fail)
        names = [thread.name for thread in threading.enumerate()]
        self.assertNotIn('time-limit', names)


class OptionTest(base.TestCase):
    """--timeout."""

    def leaves(self, parser, words=()):
        """Yield the words and the parser of each command."""
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                for name, found in action.choices.items():
                    yield from self.leaves(found, (*words, name))
                return
        yield words, parser

    def test_every_command_has_it(self):
        count = 0
        for module in (manage, rig, simulate):
            for words, parser in self.leaves(module._parser()):
                count += 1
                limit = parser.get_default('timeout')
                self.assertIsInstance(limit, int, words)
                self.assertGreaterEqual(limit, commands.DEFAULT_TIMEOUT)
        self.assertGreater(count, 25)

    def test_invalid_values(self):
        for value in ('0', '-1', 'x', '1.5', '99999999'):
            err = io.StringIO()
            with contextlib.redirect_stderr(err):
                self.assertRaises(
                    SystemExit,
                    manage._parser().parse_args,
                    ['host', 'list', f'--timeout={value}'],
                )
            self.assertIn('is not a number from 1 to', err.getvalue())


class SilentPeersTest(base.TestCase):
    """minova-manage against a database or broker that does not answer."""

    def setUp(self):
        super().setUp()
        self.listener = socket.create_server(('127.0.0.1', 0))
        self.addCleanup(self.listener.close)
        self.port = self.listener.getsockname()[1]

    def manage(self, text, *words):
        """Run minova-manage; return its exit code, output and duration."""
        path = os.path.join(self.directory, 'minova.conf')
        with open(path, 'w') as file:
            file.write(text)
        began = clock.monotonic()
        done = subprocess.run(
            [
                sys.executable,
                '-m',
                'minova.cmd.manage',
                f'--config-file={path}',
                *words,
            ],
            capture_output=True,
            text=True,
            timeout=120,
        )
        seconds = clock.monotonic() - began
        return done.returncode, done.stdout, done.stderr, seconds

    def test_database(self):
        url = f'mysql+pymysql://u:secret@127.0.0.1:{self.port}/minova'
        code, _, err, _ = self.manage(
            f'[database]\nconnection = {url}\n', 'host', 'list', '--timeout=3'
        )
        self.assertEqual(1, code)
        self.assertIn(
            'did not end within 3 s; it waited for the database '
            '([database] connection).',
            err,
        )
        self.assertNotIn('secret', err)

    def test_broker_of_an_audit(self):
        url = f'sqlite:///{self.directory}/minova.sqlite'
        database = engine.connect(CONF, url)
        self.addCleanup(database.dispose)
        migrate.sync(database)
        database.write(
            lambda connection: hosts.register_service(
                connection, operations.COMPUTE_BINARY, 'a', UUID, '1'
            )
        )
        code, out, err, seconds = self.manage(
            '[DEFAULT]\n'
            f'transport_url = rabbit://u:secret@127.0.0.1:{self.port}/\n'
            f'[database]\nconnection = {url}\n',
            'audit',
            '--timeout=10',
        )
        self.assertEqual(1, code, err)
        silent = 'The message broker did not answer within 2 s.\n'
        self.assertIn('  host:      a\n', out)
        self.assertIn(f'  {silent}', out)
        self.assertIn(f'The queues were not checked: {silent}', out)
        self.assertIn('0 of 1 hosts were checked. Found: 1', out)
        self.assertLess(seconds, 60)
