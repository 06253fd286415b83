# SPDX-License-Identifier: Apache-2.0
"""A QEMU that migrates guests with emulated processors safely.

Debian 12's QEMU does not (see ``virt.qemu_version``), that of its backports
does. It is unpacked beside the system's QEMU, which stays as it is.
"""

import contextlib
import os
import shutil
import stat
import tempfile
from typing import Final

from minova import exception
from minova.rig import subprocesses
from minova.rig.packages import Packages
from minova.virt import qemu_version

_NAME: Final = 'qemu-system-x86_64'
#: The packages with modules. QEMU would load a missing module from the system
#: and exit, because that is of another build.
_PACKAGES: Final = (
    'qemu-system-x86',
    'qemu-system-common',
    'qemu-system-data',
    'qemu-system-gui',
    'qemu-system-modules-opengl',
    'qemu-system-modules-spice',
    'qemu-block-extra',
    'seabios',
)
#: The program that libvirt starts. The firmware is in several directories;
#: that of network cards is the system's.
_WRAPPER: Final = """\
#!/bin/sh
export QEMU_MODULE_DIR='{root}/usr/lib/x86_64-linux-gnu/qemu'
exec '{root}/usr/bin/{name}' -L '{root}/usr/share/qemu' \\
    -L '{root}/usr/share/seabios' -L /usr/lib/ipxe/qemu "$@"
"""


def ensure_safe_emulator(directory: str) -> str:
    """Return the path of a safe emulator: the system's, or one in here.

    Unpacks one in ``directory`` when the system's is too old. Raises
    ConfigInvalid when Debian has none.
    """
    own = subprocesses.find(_NAME)
    if _is_safe(own):
        return own
    root = os.path.join(os.path.abspath(directory), 'qemu')
    wrapper = os.path.join(root, _NAME)
    if not os.path.exists(wrapper):
        os.makedirs(directory, exist_ok=True)
        with contextlib.ExitStack() as cleanup:
            work = tempfile.mkdtemp(dir=directory)
            cleanup.callback(shutil.rmtree, work)
            packages = Packages(work, 'backports')
            for name in _PACKAGES:
                packages.unpack(name)
            _write_wrapper(os.path.join(work, _NAME), root)
            try:
                os.rename(work, root)
            except OSError:
                # Another process may have been faster; its result is used.
                if not os.path.exists(wrapper):
                    raise
            else:
                cleanup.pop_all()
    if not _is_safe(wrapper):
        raise exception.ConfigInvalid(
            reason=f'{wrapper} is older than QEMU '
            f'{qemu_version.MIN_SAFE_VERSION // 1_000_000}'
        )
    return wrapper


def _is_safe(path: str) -> bool:
    try:
        return qemu_version.get_version(path) >= qemu_version.MIN_SAFE_VERSION
    except OSError as error:
        raise exception.ConfigInvalid(reason=str(error)) from error


def _write_wrapper(path: str, root: str) -> None:
    with open(path, 'w', encoding='utf-8') as file:
        file.write(_WRAPPER.format(root=root, name=_NAME))
    os.chmod(path, stat.S_IRWXU)
