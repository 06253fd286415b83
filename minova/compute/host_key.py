# SPDX-License-Identifier: Apache-2.0
"""The key of this host, in the state directory of its compute service.

The first start makes it. Only the account of the service can read it; its
public part lies beside it, for ``minova-manage host enroll --key``.
"""

import os
import stat
from typing import Final

from oslo_log import log as logging

from minova import atomic_files
from minova import exception
from minova import private_files
from minova.conf import CONF
from minova.rpc.signing import SigningKey

LOG = logging.getLogger(__name__)

_PRIVATE: Final = 0o600
_OTHERS: Final = 0o077


def ensure(host: str) -> SigningKey:
    """Return the key of a host; make it if there is none.

    Raises ConfigInvalid for a file that cannot be used.
    """
    name = host.replace(os.sep, '_')
    path = os.path.join(CONF.state_path, f'compute-{name}.key')
    private_files.make_directory(CONF.state_path, '[DEFAULT] state_path')
    try:
        try:
            text = _read(path)
        except FileNotFoundError:
            made = SigningKey.generate()
            public, private = made.public_key, made.to_text()
            # The public part first: what has a key has both.
            atomic_files.write_bytes(
                f'{path[:-4]}.pub', f'{public}\n'.encode('ascii')
            )
            atomic_files.write_bytes(path, f'{private}\n'.encode('ascii'))
            text = _read(path)
        return SigningKey.from_text(text)
    except OSError as error:
        raise _unusable(path, error.strerror or str(error)) from error
    except ValueError as error:
        raise _unusable(
            path,
            'it is no key. Remove it, and enroll the host again with '
            f'minova-manage host enroll {host} --replace',
        ) from error


def _read(path: str) -> str:
    number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with os.fdopen(number, encoding='ascii') as file:
        status = os.fstat(number)
        if not stat.S_ISREG(status.st_mode):
            raise _unusable(path, 'it is no regular file')
        if status.st_uid != os.geteuid():
            raise _unusable(path, 'another account owns it')
        if status.st_mode & _OTHERS:
            os.fchmod(number, _PRIVATE)
            LOG.warning(
                'The key %s was open to other accounts and is closed now. If '
                'one of them may have read it, remove it and enroll the host '
                'again with minova-manage host enroll --replace.',
                path,
            )
        return file.read().strip()


def _unusable(path: str, reason: str) -> exception.ConfigInvalid:
    return exception.ConfigInvalid(reason=f'{path}: {reason}')
