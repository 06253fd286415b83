# SPDX-License-Identifier: Apache-2.0
"""Who may read the files of a service: its account, and QEMU where it must.

Disks, config drives, images and secrets are for the account of the service.
New files and directories get their permissions from the umask, so that no
code that creates a file can forget them. Where QEMU has an account of its
own, its group may read the directories of disks and images: they carry the
group and the set-group-id bit, which every new directory below inherits.
"""

import os
import stat

from minova import exception

#: Permission bits: of others; of the group and others; the group may read.
_OTHERS = 0o007
_OWNER_ONLY = 0o077
_GROUP_READS = 0o027
#: A directory nearer to the root may be one of the system: it is not changed.
_MIN_DEPTH = 3


def set_umask() -> None:
    """Let the own account alone use what this process creates."""
    os.umask(_OWNER_ONLY)


def make_directory(path: str, option: str) -> None:
    """Create a directory; narrow one whose data other accounts could read.

    ``option`` is the setting that names the directory, for the ConfigInvalid
    of a directory that is not this account's to narrow.
    """
    try:
        os.makedirs(path, exist_ok=True)
        status = os.stat(path)
        if not status.st_mode & _OTHERS:
            return
        if _is_own(path, status):
            os.chmod(path, stat.S_IMODE(status.st_mode) & ~_OWNER_ONLY)
            return
    except OSError as error:
        raise exception.ConfigInvalid(
            reason=f'{option}: {path}: {error.strerror}'
        ) from error
    raise exception.ConfigInvalid(
        reason=f'{option}: other accounts may use {path}; name a directory of '
        f'its own, or run: chmod o= {path}'
    )


def share_with_group(path: str, gid: int, option: str) -> None:
    """Let a group read a directory and all that is created below later.

    Changes the umask of the process. Raises ConfigInvalid when this account
    may not give files to the group, and for a directory that is not this
    account's to change.
    """
    os.umask(_GROUP_READS)
    _give_to_group(path, gid, 0o2750, option)


def let_group_pass(path: str, gid: int, option: str) -> None:
    """Let a group use paths below a directory that it may not list."""
    _give_to_group(path, gid, 0o710, option)


def _give_to_group(path: str, gid: int, mode: int, option: str) -> None:
    try:
        is_new = not os.path.isdir(path)
        os.makedirs(path, exist_ok=True)
        status = os.stat(path)
        if (status.st_gid, stat.S_IMODE(status.st_mode)) == (gid, mode):
            return
        if is_new or _is_own(path, status):
            os.chown(path, -1, gid)
            os.chmod(path, mode)
            return
    except OSError as error:
        raise exception.ConfigInvalid(
            reason=f'{option}: the group {gid} of QEMU cannot be given access '
            f'to {path}: {error.strerror}; add the account of this service to '
            'the group, or run the service as root'
        ) from error
    raise exception.ConfigInvalid(
        reason=f'{option}: {path} is not a directory of the service; name '
        f'another one, or run: chgrp {gid} {path}; chmod {mode:o} {path}'
    )


def _is_own(path: str, status: os.stat_result) -> bool:
    depth = len([part for part in os.path.abspath(path).split('/') if part])
    return (
        status.st_uid == os.geteuid()
        and not status.st_mode & stat.S_ISVTX
        and depth >= _MIN_DEPTH
    )
