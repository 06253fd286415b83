# SPDX-License-Identifier: Apache-2.0
"""Words that are not the field's: banned in code, documents and samples."""

import ast
import fnmatch
import functools
import pathlib
import re

from tests import base
from tests.unit.style import banned

ROOT = pathlib.Path(base.minova.__file__).parent.parent
_DIRECTORIES = (
    'devstack',
    'doc',
    'etc',
    'minova',
    'releasenotes',
    'tests',
    'tools',
)
#: Files in the root of the repository.
_ROOT_FILES = ('*.rst', '*.ini', '*.cfg', '*.toml', '*.txt', '.*.yaml')
#: Generated when the documentation is built, and this test's own data. The
#: shell scripts of ``tools`` are not checked.
_SKIPPED = (
    'doc/build/*',
    'doc/source/_generated/*',
    'tests/unit/style/*',
)
_BINARY_SUFFIXES = {'.pyc', '.png', '.gz', '.mo'}

_WORD = re.compile(r'[A-Za-z_][A-Za-z0-9_]*')
#: What continues a comment on its next line.
_CONTINUATION = re.compile(r'\s*\n\s*(?:#:?\s+)?')


@functools.cache
def read_texts():
    """Return the text of each file that is checked, by its path."""
    paths = [path for name in _ROOT_FILES for path in ROOT.glob(name)]
    for directory in _DIRECTORIES:
        paths += (ROOT / directory).rglob('*')
    texts = {}
    for path in sorted(paths):
        name = path.relative_to(ROOT).as_posix()
        if (
            path.is_file()
            and path.suffix not in _BINARY_SUFFIXES
            and not any(fnmatch.fnmatch(name, one) for one in _SKIPPED)
        ):
            texts[name] = path.read_text(encoding='utf-8')
    return texts


def find_words(text, names):
    """Yield (line number, word) for each whole word that is in ``names``."""
    for number, line in enumerate(text.split('\n'), 1):
        for word in _WORD.findall(line):
            if word in names:
                yield number, word


def find_identifiers(text, names):
    """Yield (line number, name) for each identifier of a Python source."""
    for node in ast.walk(ast.parse(text)):
        line = getattr(node, 'lineno', 0)
        for field in ('id', 'attr', 'arg', 'name', 'asname', 'module'):
            value = getattr(node, field, None)
            if isinstance(value, str):
                for part in value.split('.'):
                    if part in names:
                        yield line, part


def find_phrases(text, phrases):
    """Yield (line number, phrase) for each phrase, also across lines."""
    if not phrases:
        return
    joined = _CONTINUATION.sub(lambda match: ' ' * len(match[0]), text)
    pattern = '|'.join(
        re.escape(phrase).replace(r'\ ', r'\s+') for phrase in sorted(phrases)
    )
    for match in re.finditer(
        rf'(?<![\w-])(?:{pattern})(?![\w-])', joined, re.I
    ):
        line = text.count('\n', 0, match.start()) + 1
        yield line, ' '.join(match[0].lower().split())


def is_used(path, text, name):
    """Tell whether a file has a banned name, identifier or phrase."""
    if name in banned.PHRASES:
        return any(find_phrases(text, {name}))
    if name in banned.NAMES:
        return any(find_words(text, {name}))
    return path.endswith('.py') and any(find_identifiers(text, {name}))


class BannedNamesTest(base.TestCase):
    """Each finding names the file, the line and the replacement."""

    def assert_none(self, find, names, suffix=''):
        """Fail for what ``find`` yields, except where it is allowed."""
        wrong = []
        for path, text in read_texts().items():
            if not path.endswith(suffix):
                continue
            wrong += [
                f'{path}:{line}: {name}; use {names[name]}'
                for line, name in find(text, names)
                if not self.is_allowed(path, name)
            ]
        self.assertEqual([], wrong, '\n'.join(wrong))

    @staticmethod
    def is_allowed(path, name):
        return any(
            name == allowed and fnmatch.fnmatch(path, pattern)
            for pattern, allowed in banned.ALLOWED
        )

    def test_names(self):
        self.assert_none(find_words, banned.NAMES)

    def test_identifiers(self):
        self.assert_none(find_identifiers, banned.IDENTIFIERS, '.py')

    def test_phrases(self):
        self.assert_none(find_phrases, banned.PHRASES)

    def test_each_exception_is_needed(self):
        unused = [
            (pattern, name)
            for pattern, name in banned.ALLOWED
            if not any(
                is_used(path, text, name)
                for path, text in read_texts().items()
                if fnmatch.fnmatch(path, pattern)
            )
        ]
        self.assertEqual([], unused)


class FindTest(base.TestCase):
    """The searches find what they are for."""

    def test_a_word_is_whole(self):
        text = 'x = OnHost\nOnHosts, an_OnHost\nsee ``OnHost``.'
        self.assertEqual(
            [(1, 'OnHost'), (3, 'OnHost')],
            list(find_words(text, {'OnHost': ''})),
        )

    def test_identifiers_of_each_kind(self):
        text = (
            'import a.desk\nfrom desk import x as desk\n'
            'def desk(desk=1): return a.desk\n# desk\nf(desk="desk")\n'
        )
        found = sorted(find_identifiers(text, {'desk': ''}))
        self.assertEqual([1, 2, 2, 3, 3, 3, 5], [line for line, _ in found])

    def test_a_phrase_across_lines(self):
        text = '# It is\n#  Told so.\nis told\nthis told\n'
        self.assertEqual(
            [(1, 'is told'), (3, 'is told')],
            list(find_phrases(text, {'is told': ''})),
        )
