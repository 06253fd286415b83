# SPDX-License-Identifier: Apache-2.0
"""The pages name only files, options and commands that exist."""

import argparse
import importlib.util
import pathlib
import re

import minova
from minova.cmd import allinone
from minova.cmd import manage
from minova.cmd import rig
from minova.cmd import simulate
from minova.conf import opts
from tests import base

ROOT = pathlib.Path(minova.__file__).parent.parent

_FOLDERS = ('minova', 'tests', 'tools', 'doc', 'etc', 'devstack')
_LITERAL = re.compile(r'``(.+?)``', re.DOTALL)
_PATH = re.compile(rf'(?:{"|".join(_FOLDERS)})/[\w./-]+')
_FILE = re.compile(
    rf'(?<![\w/.-])((?:{"|".join(_FOLDERS)})/[\w./-]*\.(?:py|sh|rst|svg))\b'
)
_OPTION = re.compile(r'^\[(\w+)\] (\w+)')
_COMMAND = re.compile(
    r'\b(minova-(?:manage|rig|simulate|allinone)|bash tools/rig\.sh)'
    r'((?: +(?!>|#|\|)[\w.\-\[\]:=/]+)*)'
)
_MODULE = re.compile(r'(?:-m unittest|``)\s*`*(tests(?:\.\w+)+)')
#: Groups to which libraries add options of their own.
_EXTENDED = {'DEFAULT', 'image', 'database'}
_PARSERS = {
    'minova-manage': manage._parser,
    'minova-rig': rig._parser,
    'bash tools/rig.sh': rig._parser,
    'minova-simulate': simulate._parser,
    'minova-allinone': allinone._parser,
}


def pages():
    """Yield each page: its path, and its text with joined lines."""
    found = [
        *ROOT.glob('*.rst'),
        *(ROOT / 'doc/source').rglob('*.rst'),
        *(ROOT / 'releasenotes/notes').glob('*.yaml'),
    ]
    for path in sorted(found):
        if '_generated' not in path.parts:
            text = re.sub(r'\\\n +', ' ', path.read_text())
            yield path.relative_to(ROOT), text


def literals():
    """Yield each inline literal of a page on one line."""
    for path, text in pages():
        for literal in _LITERAL.findall(text):
            yield path, re.sub(r'\s+', ' ', literal)


def _is_path(literal):
    return _PATH.fullmatch(literal) is not None


def _files(text):
    """Return the files that commands and other text name."""
    return _FILE.findall(text)


def _subparsers(parser):
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return action.choices
    return {}


class PagesTest(base.TestCase):
    """Every name in a page is a name of the code."""

    def test_files(self):
        found = [
            *((path, name) for path, name in literals() if _is_path(name)),
            *((path, name) for path, text in pages() for name in _files(text)),
        ]
        missing = [
            f'{path}: {name}'
            for path, name in found
            if not (ROOT / name).exists()
        ]
        self.assertEqual([], missing)

    def test_options(self):
        known = {
            group: {option.dest for option in options}
            for group, options in opts.list_opts()
        }
        self.assertGreater(len(known), 10)
        wrong = []
        for path, literal in literals():
            match = _OPTION.match(literal)
            if match is None or match[1] not in known:
                continue
            if match[2] not in known[match[1]] | {'transport_url'}:
                wrong.append(f'{path}: {literal}')
        self.assertEqual([], wrong)

    def test_options_of_examples(self):
        known = {
            group: {option.dest for option in options}
            for group, options in opts.list_opts()
        }
        wrong = []
        for path, text in pages():
            group = None
            for line in text.splitlines():
                header = re.fullmatch(r' +\[(\w+)\]', line)
                value = re.fullmatch(r' +(\w+) =( .*)?', line)
                if header:
                    group = header[1]
                elif line and not line.startswith(' '):
                    group = None
                elif (
                    value
                    and group in known.keys() - _EXTENDED
                    and value[1] not in known[group]
                ):
                    wrong.append(f'{path}: [{group}] {value[1]}')
        self.assertEqual([], wrong)

    def test_commands(self):
        wrong = []
        for path, text in pages():
            for program, words in _COMMAND.findall(text):
                error = self.find_error(program, words.split())
                if error:
                    wrong.append(f'{path}: {program}{words}: {error}')
        self.assertEqual([], wrong)

    def find_error(self, program, words):
        """Return the first word of a command that does not exist."""
        parser = _PARSERS[program]()
        for word in words:
            if word.startswith('--'):
                name = word.rstrip('.,:]').split('=')[0]
                if name not in parser._option_string_actions:
                    return name
            elif word in _subparsers(parser):
                parser = _subparsers(parser)[word]
        return None

    def test_subcommands(self):
        wrong = []
        for path, literal in literals():
            program, _, rest = literal.partition(' ')
            words = rest.split()
            if program not in _PARSERS or not words:
                continue
            parser = _PARSERS[program]()
            for word in words:
                choices = _subparsers(parser)
                if not choices or word.startswith('-'):
                    break
                if word not in choices:
                    wrong.append(f'{path}: {literal}')
                    break
                parser = choices[word]
        self.assertEqual([], wrong)

    def test_test_modules(self):
        wrong = []
        for path, text in pages():
            for name in _MODULE.findall(re.sub(r'``\s+``', ' ', text)):
                parts = name.split('.')
                while parts and not _exists('.'.join(parts)):
                    parts.pop()
                # A class and a method may follow.
                module = importlib.import_module('.'.join(parts))
                owner = module
                for part in name.split('.')[len(parts) :]:
                    owner = getattr(owner, part, None)
                if owner is None or len(parts) < 2:
                    wrong.append(f'{path}: {name}')
        self.assertEqual([], wrong)


def _exists(name):
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False
