# SPDX-License-Identifier: Apache-2.0
"""Whether two hosts see the same directory: found out, never believed.

Each host keeps a file of its name in its directory of instances, with a word
that was drawn when its driver was opened. Who is told the name and the word,
and finds them in its own directory, sees the same one.
"""

import os

from minova import clock

Probe = dict[str, str]


class Sharing:
    """The directory of one host, as another one may see it too."""

    def __init__(self, directory: str, host: str) -> None:
        self._directory = directory
        self._name = f'.probe-{host}'
        self._word = clock.uuid4()

    def probe(self) -> Probe:
        """Put the file there, unless it is; return what to look for."""
        if not self.sees({'name': self._name, 'word': self._word}):
            path = os.path.join(self._directory, self._name)
            part = f'{path}.{self._word}'
            with open(part, 'w', encoding='ascii') as file:
                file.write(self._word)
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, path)
        return {'name': self._name, 'word': self._word}

    def sees(self, probe: Probe) -> bool:
        """Tell whether what another host has put there is here."""
        return holds(self._directory, probe['name'], probe['word'])


def holds(directory: str, name: str, word: str) -> bool:
    """Tell whether a file of a directory holds a word and nothing else.

    The name comes from another host; it says nothing but a name.
    """
    path = os.path.join(directory, os.path.basename(name))
    try:
        with open(path, 'rb') as file:
            return file.read(len(word) + 1) == word.encode()
    except FileNotFoundError:
        return False
