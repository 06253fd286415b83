# SPDX-License-Identifier: Apache-2.0
"""Debian packages, downloaded and unpacked beside the system, not installed.

Root is not needed: apt's state for another suite is in a directory of its own,
and apt verifies these downloads like all others.
"""

import glob
import os
import re

from minova import exception
from minova.rig import subprocesses

_KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg'
#: The parts of apt's configuration that concern proxies.
_PROXY_SETTINGS = (
    *('Acquire::http', 'Acquire::https', 'Acquire::Retries'),
    *('Acquire::Check-Date', 'Acquire::Check-Valid-Until'),
)


class Packages:
    """Packages of the suite of this machine or of another, in a directory."""

    def __init__(self, work: str, suite: str | None = None) -> None:
        """``suite`` is the suffix of the release's name, such as backports."""
        self._work = work
        self._options: list[str] = []
        if suite is not None:
            self._options = self._use_suite(suite)

    def unpack(self, name: str) -> None:
        """Download a package and unpack it below the directory."""
        self._run('apt-get', 'download', name)
        (package,) = glob.glob(f'{self._work}/{name}_*.deb')
        subprocesses.run('dpkg', '-x', package, self._work)
        os.unlink(package)

    def find_dependency(self, name: str, wanted: str) -> str:
        """Return the first dependency of a package with a prefix.

        ConfigInvalid without one.
        """
        output = self._run('apt-cache', 'depends', name).decode()
        found = re.search(rf'Depends: ({re.escape(wanted)}\S+)', output)
        if found is None:
            raise exception.ConfigInvalid(
                reason=f'apt has no package {name}; run apt-get update'
            )
        return found[1]

    def _run(self, name: str, *args: str) -> bytes:
        return subprocesses.run(name, *self._options, *args, cwd=self._work)

    def _use_suite(self, suite: str) -> list[str]:
        """Return the options that limit apt to the suite."""
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
        args = [f'--option={name}={text}' for name, text in options.items()]
        subprocesses.run('apt-get', *args, 'update', cwd=self._work)
        return args


def release() -> str:
    """Return the code name of this machine's Debian."""
    return _mirror()[1]


def sources() -> list[str]:
    """Return the sources of that release, one line each for apt.

    Includes its updates if this machine has them.
    """
    name = release()
    wanted = (name, f'{name}-updates', f'{name}-security')
    found = [
        f'deb [signed-by={_KEYRING}] {uri} {suite} main'
        for uri, suite in _targets()
        if suite in wanted
    ]
    return list(dict.fromkeys(found))


def apt_options() -> list[str]:
    """Return the options of this machine's apt for proxies.

    They are in its configuration, which mmdebstrap does not read.
    """
    output = subprocesses.run(
        'apt-config', 'dump', '--no-empty', '--format', '%F "%v"%n'
    ).decode()
    return [
        line
        for line in output.splitlines()
        if line.startswith(_PROXY_SETTINGS)
    ]


def _mirror() -> tuple[str, str]:
    """Return the mirror and the release of this machine's packages."""
    for uri, suite in _targets():
        if '-' not in suite:
            return uri, suite
    raise exception.ConfigInvalid(
        reason='apt has no package lists of Debian; run apt-get update'
    )


def _targets() -> list[tuple[str, str]]:
    """Return the Debian archives in apt's sources."""
    output = subprocesses.run(
        'apt-get',
        'indextargets',
        *('--format', '$(REPO_URI) $(CODENAME) $(COMPONENT) $(LABEL)'),
        'Created-By: Packages',
    ).decode()
    return [
        (args[0], args[1])
        for args in map(str.split, output.splitlines())
        if args[2:] in (['main', 'Debian'], ['main', 'Debian-Security'])
    ]
