# SPDX-License-Identifier: Apache-2.0
"""A test by which two hosts find out whether they see the same directory.

Each host keeps a probe in its directory of instances: a file named after the
host, with a token that is drawn when the driver is opened. Another host that
knows name and token and finds them in its own directory sees the same one.
"""

import contextlib
import os

from minova import clock
from minova.objects.live_migrate_data import StorageProbe


class SharedStorage:
    """The directory of one host, which other hosts may see too."""

    def __init__(self, directory: str, host: str) -> None:
        self._directory = directory
        self._probe = StorageProbe(name=f'.probe-{host}', token=clock.uuid4())

    def write_probe(self) -> StorageProbe:
        """Write the own probe unless it is there; return it."""
        if not self.has_probe(self._probe):
            write_probe(self._directory, self._probe)
        return self._probe

    def has_probe(self, probe: StorageProbe) -> bool:
        """Return whether the probe of another host is in this directory."""
        return has_probe(self._directory, probe)


def write_probe(directory: str, probe: StorageProbe) -> None:
    """Write a probe, durably and in one rename."""
    path = os.path.join(directory, probe.name)
    part = f'{path}.{probe.token}'
    with open(part, 'w', encoding='ascii') as file:
        file.write(probe.token)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)


def has_probe(directory: str, probe: StorageProbe) -> bool:
    """Return whether a directory has a file with exactly the probe's token.

    The name comes from another host; only its last component is used.
    """
    path = os.path.join(directory, os.path.basename(probe.name))
    try:
        with open(path, 'rb') as file:
            return file.read(len(probe.token) + 1) == probe.token.encode()
    except FileNotFoundError:
        return False


def remove_probe(directory: str, probe: StorageProbe) -> None:
    """Remove a probe, and a part of it that a crash left."""
    path = os.path.join(directory, probe.name)
    for name in (path, f'{path}.{probe.token}'):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
