# SPDX-License-Identifier: Apache-2.0
"""Messages that the check of commit messages takes and refuses."""

import contextlib
import importlib.util
import io
import os
import pathlib
import subprocess

from tests import base

_PATH = pathlib.Path(base.minova.__file__).parents[1] / 'tools'
_BODY = '\n\nThe broker redelivers the message.\n'


def load():
    """Return the script as a module; tools/ is no package."""
    path = _PATH / 'check_commit.py'
    spec = importlib.util.spec_from_file_location('check_commit', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class CheckCommitTest(base.TestCase):
    """One error for each thing that is wrong."""

    def setUp(self):
        super().setUp()
        self.check = load()

    def errors(self, message):
        return self.check.find_errors(message)

    def test_valid_messages(self):
        for summary in (
            'rpc: acknowledge conductor messages after the answer',
            'virt.libvirt: retry',
            'api, docs: name the limits',
            f'db: {"x" * 68}',
            'Revert "rpc: acknowledge after the answer"',
            'Merge branch words',
        ):
            self.assertEqual([], self.errors(summary + _BODY), summary)

    def test_summary(self):
        for summary, error in (
            ('Acknowledge messages after the answer', 'area: summary'),
            ('Rpc: acknowledge messages', 'area: summary'),
            ('rpc:acknowledge messages', 'area: summary'),
            ('rpc: ', 'area: summary'),
            ('rpc: acknowledge messages.', 'full stop'),
            (f'db: {"x" * 69}', '73 characters, more than 72'),
        ):
            (found,) = self.errors(summary + _BODY)
            self.assertIn(error, found)

    def test_body(self):
        summary = 'rpc: acknowledge messages'
        for rest, error in (
            ('', 'no body'),
            ('\n\nSigned-off-by: A <a@example.org>\n', 'no body'),
            ('\nThe broker redelivers.', 'line 2 is not empty'),
            (f'\n\n{"word " * 16}', None),
            (f'\n\n{"words " * 16}', 'line 3 has 95 characters'),
            (f'\n\nSee\nhttps://example.org/{"x" * 80}', None),
        ):
            found = self.errors(summary + rest)
            if error is None:
                self.assertEqual([], found)
            else:
                self.assertIn(error, found[0])
                self.assertEqual(1, len(found))

    def test_comments_of_git_do_not_count(self):
        self.assertEqual(
            ['the message is empty'], self.errors('\n# Please enter\n')
        )
        message = (
            f'# hint\nrpc: retry{_BODY}# On branch x\n'
            '# ------------------------ >8 ------------------------\n'
            f'{"diff " * 40}\n'
        )
        self.assertEqual([], self.errors(message))

    def run_it(self, *arguments):
        err = io.StringIO()
        with contextlib.redirect_stderr(err):
            return self.check.main(list(arguments)), err.getvalue()

    def test_hook(self):
        path = os.path.join(self.directory, 'COMMIT_EDITMSG')
        for message, code in (('rpc: retry' + _BODY, 0), ('Retry\n', 1)):
            with open(path, 'w') as opened:
                opened.write(message)
            self.assertEqual(code, self.run_it(path)[0])

    def test_range(self):
        def git(*words):
            identity = ('-c', 'user.name=a', '-c', 'user.email=a@example.org')
            subprocess.run(
                ('git', *identity, '-C', self.directory, *words),
                check=True,
                capture_output=True,
            )

        git('init', '--quiet')
        for message in ('rpc: retry' + _BODY, 'Retry' + _BODY):
            git('commit', '--allow-empty', '--message', message)
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(self.directory)
        code, err = self.run_it('--range', 'HEAD')
        self.assertEqual(1, code)
        self.assertEqual(1, err.count('\n'))
        self.assertIn('lower-case area: Retry', err)
        self.assertEqual((0, ''), self.run_it('--range', 'HEAD~..HEAD~'))
