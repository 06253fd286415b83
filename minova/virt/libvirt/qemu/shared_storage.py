# SPDX-License-Identifier: Apache-2.0
"""Whether two hosts see the same directory: found out, never believed.

Each host keeps a file of its name in its directory of instances, with a token
that was drawn when its driver was opened. Who is told the name and the token,
and finds them in its own directory, sees the same one.
"""

import os

from minova import clock

Probe = dict[str, str]


class SharedStorageProbe:
    """The directory of one host, as another one may see it too."""

    def __init__(self, directory: str, host: str) -> None:
        self._directory = directory
        self._name = f'.probe-{host}'
        self._token = clock.uuid4()

    def probe(self) -> Probe:
        """Put the file there, unless it is; return what to look for."""
        if not self.is_visible({'name': self._name, 'token': self._token}):
            path = os.path.join(self._directory, self._name)
            part = f'{path}.{self._token}'
            with open(part, 'w', encoding='ascii') as file:
                file.write(self._token)
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, path)
        return {'name': self._name, 'token': self._token}

    def is_visible(self, probe: Probe) -> bool:
        """Tell whether what another host has put there is here."""
        return contains_token(self._directory, probe['name'], probe['token'])


def contains_token(directory: str, name: str, token: str) -> bool:
    """Tell whether a file of a directory holds a token and nothing else.

    The name comes from another host; it says nothing but a name.
    """
    path = os.path.join(directory, os.path.basename(name))
    try:
        with open(path, 'rb') as file:
            return file.read(len(token) + 1) == token.encode()
    except FileNotFoundError:
        return False
