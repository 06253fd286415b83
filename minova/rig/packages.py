# SPDX-License-Identifier: Apache-2.0
"""Debian packages, downloaded and unpacked beside the system, not installed.

It needs no root: what apt must know of another suite is kept in a directory of
its own, and what it fetches is verified like everything that apt fetches.
"""

import glob
import os
import re

from minova import exception
from minova.rig import programs

_KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg'


class Packages:
    """Packages of this machine's suite, or of another one, in a directory."""

    def __init__(self, work: str, suite: str | None = None) -> None:
        """``suite`` is what follows the release's name, as ``backports``."""
        self._work = work
        self._options: list[str] = []
        if suite is not None:
            self._options = self._look_elsewhere(suite)

    def unpack(self, name: str) -> None:
        """Download a package and unpack it below the directory."""
        self._run('apt-get', 'download', name)
        (package,) = glob.glob(f'{self._work}/{name}_*.deb')
        programs.run('dpkg', '-x', package, self._work)
        os.unlink(package)

    def depends(self, name: str, wanted: str) -> str:
        """Return the first package that one depends on whose name begins so.

        ConfigInvalid when there is none.
        """
        asked = self._run('apt-cache', 'depends', name).decode()
        found = re.search(rf'Depends: ({re.escape(wanted)}\S+)', asked)
        if found is None:
            raise exception.ConfigInvalid(
                reason=f'apt knows no package {name}; run apt-get update'
            )
        return found[1]

    def _run(self, name: str, *words: str) -> bytes:
        return programs.run(name, *self._options, *words, cwd=self._work)

    def _look_elsewhere(self, suite: str) -> list[str]:
        """Return the options by which apt knows another suite only."""
        uri, release = _mirror()
        lists = os.path.join(self._work, 'apt')
        os.makedirs(os.path.join(lists, 'lists', 'partial'))
        os.makedirs(os.path.join(lists, 'archives', 'partial'))
        sources = os.path.join(lists, 'sources.list')
        with open(sources, 'w', encoding='utf-8') as file:
            file.write(
                f'deb [signed-by={_KEYRING}] {uri} {release}-{suite} main\n'
            )
        options = {
            'Dir::Etc::sourcelist': sources,
            'Dir::Etc::sourceparts': '/dev/null',
            'Dir::State::lists': f'{lists}/lists',
            'Dir::Cache': lists,
        }
        words = [f'--option={name}={text}' for name, text in options.items()]
        programs.run('apt-get', *words, 'update', cwd=self._work)
        return words


def _mirror() -> tuple[str, str]:
    """Return where this machine's packages come from, and its release."""
    told = programs.run(
        'apt-get',
        'indextargets',
        *('--format', '$(REPO_URI) $(CODENAME) $(COMPONENT) $(LABEL)'),
        'Created-By: Packages',
    ).decode()
    for line in told.splitlines():
        words = line.split()
        if words[2:] == ['main', 'Debian'] and '-' not in words[1]:
            return words[0], words[1]
    raise exception.ConfigInvalid(
        reason='apt has no lists of Debian; run apt-get update'
    )
