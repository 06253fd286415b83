# SPDX-License-Identifier: Apache-2.0
"""The hooks of pre-commit run what tox runs in CI."""

import configparser
import os
import pathlib

import yaml

from tests import base

ROOT = pathlib.Path(base.minova.__file__).parent.parent


class PreCommitTest(base.TestCase):
    """One list of checks in tox.ini and in .pre-commit-config.yaml."""

    def setUp(self):
        super().setUp()
        text = (ROOT / '.pre-commit-config.yaml').read_text()
        (repository,) = yaml.safe_load(text)['repos']
        self.hooks = {hook['id']: hook for hook in repository['hooks']}

    def test_commands(self):
        tox = configparser.ConfigParser(interpolation=None)
        tox.read(ROOT / 'tox.ini')
        commands = {
            f'.tox/{name}/bin/{" ".join(command.split())}'
            for name in ('pep8', 'mypy')
            for command in tox[f'testenv:{name}']['commands'].splitlines()
            if command
        }
        entries = {
            ' '.join(hook['entry'].split())
            for hook in self.hooks.values()
            if 'stages' not in hook
        }
        self.assertEqual(commands, entries)

    def test_commit_message(self):
        hook = self.hooks['commit-message']
        self.assertEqual(['commit-msg'], hook['stages'])
        self.assertTrue(os.access(ROOT / hook['entry'], os.X_OK))
