# SPDX-License-Identifier: Apache-2.0
"""A Debian image with cloud-init that boots by itself.

It has the release of this machine, from the sources of this machine's apt.
mmdebstrap installs the packages in a directory; nothing is installed on the
machine. Users log in as ``debian`` with their key pair; there are no
passwords. The config drive supplies all that differs between servers.

Its console is the serial port. It needs 512 MiB of memory and has a disk of 2
GiB, which grows to the size of the flavor.
"""

import hashlib
import os
import shlex
import tempfile
from typing import Final

from minova import exception
from minova.rig import boot_disk
from minova.rig import subprocesses
from minova.rig.packages import apt_options
from minova.rig.packages import release
from minova.rig.packages import sources

#: The size of the disk.
SIZE: Final = 2 << 30
_PACKAGES: Final = (
    *('linux-image-cloud-amd64', 'grub-common', 'grub-pc-bin'),
    *('systemd-sysv', 'dbus', 'udev', 'e2fsprogs', 'cloud-guest-utils'),
    *('cloud-init', 'netplan.io', 'systemd-resolved', 'ca-certificates'),
    *('openssh-server', 'qemu-guest-agent', 'sudo'),
    *('iproute2', 'iputils-ping', 'less'),
)
#: The excluded files are documentation, a fifth of the size.
_OPTIONS: Final = (
    '--variant=apt',
    *(
        f'--dpkgopt=path-exclude=/usr/share/{name}/*'
        for name in ('doc', 'info', 'locale', 'man')
    ),
)
_CLOUD_CFG: Final = """\
# One host key is enough; more take long with emulated processors.
ssh_genkeytypes: [ed25519]
locale: C.UTF-8
manage_etc_hosts: true
"""
#: The files to write into the image, by path.
_FILES: Final = {
    '/etc/cloud/cloud.cfg.d/90_image.cfg': _CLOUD_CFG,
    '/etc/default/locale': 'LANG=C.UTF-8\n',
    '/etc/fstab': f'LABEL={boot_disk.LABEL} / ext4 errors=remount-ro 0 1\n',
    # Otherwise the image has this machine's name until cloud-init sets it.
    '/etc/hostname': 'debian\n',
    '/early.cfg': boot_disk.GRUB_COMMANDS,
}
#: The commands that run in the image after the installation.
_HOOKS: Final = (
    # The image downloads nothing by itself.
    'chroot "$1" systemctl mask apt-daily.timer apt-daily-upgrade.timer',
    (
        'chroot "$1" grub-mkimage --format=i386-pc --prefix=/boot/grub '
        '--config=/early.cfg --output=/core.img '
        f'{" ".join(boot_disk.GRUB_MODULES)}'
    ),
    'rm "$1/early.cfg" "$1/etc/apt/apt.conf.d/99mmdebstrap"',
)
_DOWNLOADS: Final = {
    'core': '/core.img',
    'boot': '/usr/lib/grub/i386-pc/boot.img',
}


def image_path(directory: str) -> str:
    """Return the path of the image in ``directory``, built or not.

    The path contains the release of Debian and of this program.
    """
    recipe = repr((_PACKAGES, _OPTIONS, _FILES, _HOOKS, SIZE))
    mark = hashlib.sha256(recipe.encode()).hexdigest()[:8]
    return os.path.join(directory, f'debian-{release()}-{mark}.qcow2')


def build(directory: str) -> str:
    """Build the image in ``directory`` unless it exists; return its path.

    Takes minutes. Raises ConfigInvalid when a program or package is missing.
    """
    made = image_path(directory)
    if not os.path.exists(made):
        needed = ['mmdebstrap', 'fakeroot', 'mke2fs', 'qemu-img', 'tar']
        if os.geteuid() != 0:
            needed.append('newuidmap')
        for name in needed:
            subprocesses.find(name)
        os.makedirs(directory, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=directory) as work:
            _build(work, made)
    return made


def _build(work: str, made: str) -> None:
    tar, raw, disk = (
        os.path.join(work, name) for name in ('tar', 'raw', 'disk')
    )
    _install(work, tar, f'{os.path.dirname(made)}/debian.log')
    parts = {}
    for name in _DOWNLOADS:
        with open(os.path.join(work, name), 'rb') as file:
            parts[name] = file.read()
    boot_disk.write_disk(raw, tar, parts['boot'], parts['core'], SIZE)
    subprocesses.run('qemu-img', 'convert', '-O', 'qcow2', raw, disk)
    os.rename(disk, made)


def _install(work: str, tar: str, log: str) -> None:
    """Install the packages and archive the result."""
    mode = 'root' if os.geteuid() == 0 else 'unshare'
    args = (
        *(f'--mode={mode}', '--format=tar', f'--logfile={log}'),
        *(*_OPTIONS, f'--include={",".join(_PACKAGES)}'),
        *(f'--aptopt={option}' for option in apt_options()),
        *(f'--customize-hook={hook}' for hook in _hooks(work)),
        *(release(), tar, '-'),
    )
    try:
        subprocesses.run(
            'mmdebstrap', *args, stdin='\n'.join(sources()).encode()
        )
    except exception.ConfigInvalid as error:
        raise exception.ConfigInvalid(
            reason=f'building the Debian image failed: {_cause(log)} (log: '
            f'{log})'
        ) from error


def _hooks(work: str) -> list[str]:
    """Return the commands that mmdebstrap runs after the installation."""
    hooks = []
    for number, (path, text) in enumerate(_FILES.items()):
        source = os.path.join(work, f'file{number}')
        with open(source, 'w', encoding='ascii') as file:
            file.write(text)
        hooks.append(f'upload {shlex.quote(source)} {path}')
    hooks += _HOOKS
    hooks += [
        f'download {path} {shlex.quote(os.path.join(work, name))}'
        for name, path in _DOWNLOADS.items()
    ]
    hooks.append('rm "$1/core.img"')
    return hooks


def _cause(log: str) -> str:
    """Return the first error in a log, which causes the others."""
    if os.path.exists(log):
        with open(log, encoding='utf-8', errors='replace') as file:
            for line in file:
                if line.startswith('E: '):
                    return line.removeprefix('E: ').strip() + _advice(line)
    return 'mmdebstrap failed'


def _advice(line: str) -> str:
    if 'subuid' not in line:
        return ''
    return (
        '; add subordinate ids for this user (usermod --add-subuids '
        'FIRST-LAST --add-subgids FIRST-LAST), or run as root'
    )
