# SPDX-License-Identifier: Apache-2.0
"""The state of emulated TPMs: where libvirt keeps it, and with the disks.

libvirt has one directory for the TPMs of all guests of a host. While a guest
is defined its state is there. Before the disks of a guest that is off are sent
or retained, and before its definition is removed, the state is copied to a
file among them. The next definition, on any host, installs that file and
removes it. A guest that migrates while it runs takes its state along, by QEMU.

Below the directory of libvirt::

    UUID/tpm2/tpm2-00.permall      the state of a TPM 2.0
    UUID/tpm1.2/tpm-00.permall     the state of a TPM 1.2
"""

import contextlib
import os
import pwd
import shutil
from typing import Final

from minova.conf import CONF

#: The directories by the name of the file, which is also that of the copy.
_DIRECTORIES: Final = {'tpm2-00.permall': 'tpm2', 'tpm-00.permall': 'tpm1.2'}
_SYSTEM: Final = '/var/lib/libvirt/swtpm'


class TpmStates:
    """The states of the TPMs of one host, below ``directory``.

    ``uid`` is the account of swtpm, None for the account of this service.
    """

    def __init__(self, directory: str, uid: int | None = None) -> None:
        self._directory = directory
        self._uid = uid

    def is_usable(self) -> bool:
        """Return whether this service can move states.

        libvirt creates the directory with the first TPM.
        """
        path = self._directory
        while not os.path.exists(path):
            path = os.path.dirname(path)
        return os.access(path, os.R_OK | os.W_OK | os.X_OK)

    def save(self, uuid: str, folder: str) -> None:
        """Copy the state of a guest that is off to ``folder``.

        Nothing without a state or without the folder.
        """
        if not os.path.isdir(folder):
            return
        for name, kind in _DIRECTORIES.items():
            path = os.path.join(self._directory, uuid, kind, name)
            if os.path.exists(path):
                _copy(path, folder, name)

    def install(self, uuid: str, folder: str) -> None:
        """Make the copy in ``folder`` the state of a guest that is off."""
        for name, kind in _DIRECTORIES.items():
            path = os.path.join(folder, name)
            if not os.path.exists(path):
                continue
            parent = os.path.join(self._directory, uuid)
            for made in (parent, os.path.join(parent, kind)):
                os.makedirs(made, mode=0o711, exist_ok=True)
                self._give(made)
            _copy(path, made, name)
            self._give(os.path.join(made, name))
            os.unlink(path)

    def discard_copy(self, folder: str) -> None:
        """Remove the copy: the guest goes on with its own state."""
        for name in _DIRECTORIES:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(folder, name))

    def _give(self, path: str) -> None:
        if self._uid is not None:
            os.chown(path, self._uid, -1)


def from_config(connection_uri: str) -> TpmStates:
    """Return the states of the configured host."""
    directory = str(CONF.libvirt.swtpm_state_path)
    is_system = connection_uri.partition('?')[0].endswith('/system')
    if not directory and is_system:
        directory = _SYSTEM
    if not directory:
        config = os.environ.get(
            'XDG_CONFIG_HOME', os.path.expanduser('~/.config')
        )
        directory = os.path.join(config, 'libvirt', 'qemu', 'swtpm')
    uid = None
    if is_system and os.geteuid() == 0:
        # Without the account libvirt reports no emulator either.
        with contextlib.suppress(KeyError):
            uid = pwd.getpwnam(CONF.libvirt.swtpm_user).pw_uid
    return TpmStates(directory, uid)


def _copy(source: str, folder: str, name: str) -> None:
    """Copy a file durably, in one rename."""
    part = os.path.join(folder, f'.{name}.part')
    flags = os.O_CREAT | os.O_TRUNC | os.O_WRONLY
    with (
        open(source, 'rb') as old,
        open(os.open(part, flags, 0o600), 'wb') as new,
    ):
        shutil.copyfileobj(old, new)
        new.flush()
        os.fsync(new.fileno())
    os.rename(part, os.path.join(folder, name))
