# SPDX-License-Identifier: Apache-2.0
"""The access of QEMU's account to the disks of guests and their images.

libvirt gives the files of a guest to QEMU's account while the guest runs
(``dynamic_ownership``), but not the directories on the way to them.
"""

import grp
import os
import pwd
import re

from minova import exception
from minova import private_files
from minova.conf import CONF
from minova.virt.libvirt.qemu.host_config import HostConfig

#: The accounts of QEMU, by distribution.
_ACCOUNTS = ('libvirt-qemu', 'qemu')
_GROUP_OPTION = '[libvirt] qemu_group'
#: The configuration of libvirt's QEMU driver, and its setting of the group.
QEMU_CONF = '/etc/libvirt/qemu.conf'
_GROUP_SETTING = re.compile(r'^[ \t]*group[ \t]*=[ \t]*"([^"]+)"', re.M)


def prepare_directories(host_config: HostConfig) -> None:
    """Create the directories of disks and images; admit QEMU, no one else.

    Raises ConfigInvalid for an unknown group, or for a directory that other
    accounts may use or that QEMU cannot.
    """
    gid = _qemu_gid(host_config.connection_uri)
    directories = (
        (host_config.instances_path, '[libvirt] instances_path'),
        (host_config.image_cache_path, '[compute] image_cache_directory'),
    )
    for path, option in directories:
        if gid is None:
            private_files.make_directory(path, option)
        else:
            private_files.share_with_group(path, gid, option)
    if gid is not None:
        _admit_below_state_path(directories, gid)


def _admit_below_state_path(
    directories: tuple[tuple[str, str], ...], gid: int
) -> None:
    """Let QEMU pass through the state path to a directory below it."""
    state_path = os.path.abspath(CONF.state_path)
    if any(
        os.path.commonpath((state_path, path)) == state_path
        for path, _ in directories
    ):
        private_files.let_group_pass(state_path, gid, '[DEFAULT] state_path')


def _qemu_gid(connection_uri: str) -> int | None:
    """Return the group of QEMU's account; None: QEMU has the own account."""
    name = str(CONF.libvirt.qemu_group)
    if name == 'auto':
        is_system = connection_uri.partition('?')[0].endswith('/system')
        # Only root can use the files of another account.
        return _detect_gid() if is_system and os.geteuid() == 0 else None
    return _gid_of(name, _GROUP_OPTION) if name else None


def _detect_gid() -> int | None:
    """Return the group that qemu.conf names, or that of a known account."""
    try:
        with open(QEMU_CONF, encoding='utf-8', errors='replace') as file:
            named = _GROUP_SETTING.findall(file.read())
    except OSError:
        # libvirt has its defaults then, too.
        named = []
    if named:
        return _gid_of(named[-1].lstrip('+'), QEMU_CONF)
    for account in _ACCOUNTS:
        try:
            return pwd.getpwnam(account).pw_gid
        except KeyError:
            continue
    return None


def _gid_of(name: str, where: str) -> int:
    try:
        return int(name) if name.isdigit() else grp.getgrnam(name).gr_gid
    except KeyError as error:
        raise exception.ConfigInvalid(
            reason=f'{where}: this machine has no group {name}; create the '
            f'group or set {_GROUP_OPTION}'
        ) from error
