# SPDX-License-Identifier: Apache-2.0
"""Hosts: each a libvirtd of its own, with a host name of its own.

libvirt tells hosts apart by host name, host UUID and socket. So each libvirtd
runs in a UTS namespace, where the name is its own, with directories of its
own. It also runs in a user namespace in which it is no administrator, which
makes it one of a user's session: nothing of it needs root, and a rig that is
started by root does nothing outside its directory either.

What libvirtd calls a session's it keeps below the XDG base directories, here
those of the host::

    DIR/host1/run      sockets, pid files (XDG_RUNTIME_DIR)
    DIR/host1/config   definitions, QEMU's sockets (XDG_CONFIG_HOME)
    DIR/host1/cache    logs of guests (XDG_CACHE_HOME)
    DIR/host1/disks    for whoever uses the host
    DIR/host1/tls      certificates for guests that move, if somebody put
                       them there before the host was started

Guests live on when their libvirtd ends, and are found again by its next start.

The paths of QEMU's sockets are almost as long as a socket's may be before the
host's directory is added. So they are known by a symbolic link in ``/tmp``.
"""

import dataclasses
import hashlib
import os
import shutil
import signal
import socket
import uuid
import zlib

from minova import clock
from minova import exception
from minova.programs import PATH
from minova.rig import programs

#: Seconds in which a libvirtd answers, or a process ends.
_PATIENCE = 30.0
_LOOK = 0.05
#: A socket's path has 107 characters at most; libvirt's are this much longer.
_LONGEST = 70
#: Ports of one kind that a host has, below those that any client may get.
_PORTS = 40
_FIRST_PORT = 6000
_SLOTS = 300
_LIBVIRTD_CONF = """\
host_uuid = "{uuid}"
unix_sock_dir = "{run}/libvirt"
auth_unix_rw = "none"
auth_unix_ro = "none"
log_outputs = "3:file:{log}"
"""
_QEMU_CONF = """\
# No virtlogd, security driver, mount namespaces or control groups: they need
# root or a system with them.
stdio_handler = "file"
security_driver = "none"
namespaces = []
cgroup_controllers = []
migration_host = "{address}"
migration_address = "{address}"
remote_display_port_min = {screens}
remote_display_port_max = {last_screen}
migration_port_min = {moves}
migration_port_max = {last_move}
migrate_tls_x509_cert_dir = "{tls}"
migrate_tls_x509_verify = 1
"""


@dataclasses.dataclass(frozen=True)
class Host:
    """One host of a rig."""

    directory: str
    number: int

    @property
    def name(self) -> str:
        """Its host name."""
        return f'host{self.number}'

    @property
    def address(self) -> str:
        """Where other hosts reach its guests that move."""
        return f'127.0.0.{10 + self.number}'

    @property
    def link(self) -> str:
        """A short path that stands for the directory."""
        mark = hashlib.sha256(self.directory.encode()).hexdigest()[:8]
        return f'/tmp/rig{mark}'  # noqa: S108  whose it is is looked at

    @property
    def socket(self) -> str:
        """The socket of its libvirtd."""
        return f'{self.directory}/run/libvirt/libvirt-sock'

    @property
    def uri(self) -> str:
        """Where its libvirtd is reached by clients of this machine."""
        return f'qemu:///session?socket={self.socket}'

    @property
    def peer_uri(self) -> str:
        """Where its libvirtd is reached by those of other hosts.

        Not as ``uri``: that is taken for the very host that asks.
        """
        return f'qemu+unix:///session?socket={self.socket}'

    @property
    def conf(self) -> str:
        """The configuration of its libvirtd, by which that is known."""
        return f'{self.directory}/libvirtd.conf'

    @property
    def tls(self) -> str:
        """Where QEMU looks for certificates."""
        return f'{self.directory}/tls'

    @property
    def log(self) -> str:
        """What its libvirtd has to say."""
        return f'{self.directory}/libvirtd.log'


def host(directory: str, number: int) -> Host:
    """Return a host of the rig in ``directory``; numbers begin with 1."""
    return Host(
        os.path.join(os.path.abspath(directory), f'host{number}'), number
    )


def known(directory: str) -> list[Host]:
    """Return the hosts that a rig has, up or not."""
    if not os.path.isdir(directory):
        return []
    numbers = [
        int(name.removeprefix('host'))
        for name in os.listdir(directory)
        if name.startswith('host') and name.removeprefix('host').isdecimal()
    ]
    return [host(directory, number) for number in sorted(numbers)]


# -- up ----------------------------------------------------------------------


def up(directory: str, count: int) -> list[Host]:
    """Bring up hosts 1 to ``count``; those that are up stay as they are.

    Raises ConfigInvalid when this machine cannot run them.
    """
    for name in ('libvirtd', 'qemu-img', 'qemu-system-x86_64', 'unshare'):
        programs.find(name)
    found = [host(directory, number + 1) for number in range(count)]
    for one in found:
        start(one)
    return found


def start(one: Host) -> None:
    """Start a host's libvirtd and wait until it answers, unless it does."""
    if len(one.directory) > _LONGEST:
        raise exception.ConfigInvalid(
            reason=f'{one.directory} is too long for the path of a socket; '
            f'{_LONGEST} characters fit'
        )
    if libvirtd(one) is None:
        _configure(one)
        _make_link(one)
        _spawn(one)
    _wait_until_it_answers(one)


def _configure(one: Host) -> None:
    for name in ('run', 'config/libvirt', 'cache', 'data', 'disks', 'tls'):
        os.makedirs(os.path.join(one.directory, name), exist_ok=True)
    # The same at each start: guests are found again by it.
    known_by = uuid.uuid5(uuid.NAMESPACE_URL, f'file://{one.directory}')
    _write(
        one.conf,
        _LIBVIRTD_CONF.format(
            uuid=known_by, run=f'{one.directory}/run', log=one.log
        ),
    )
    _write(
        f'{one.directory}/config/libvirt/qemu.conf',
        _QEMU_CONF.format(
            address=one.address, tls=one.tls, **_ports(one.directory)
        ),
    )


def _ports(directory: str) -> dict[str, int]:
    """Return ports for screens and for guests that come.

    A libvirtd looks which of its ports are free, and QEMU takes one a moment
    later: hosts that share a machine would be in each other's way.
    """
    slot = zlib.crc32(directory.encode()) % _SLOTS
    first = _FIRST_PORT + slot * 2 * _PORTS
    return {
        'screens': first,
        'last_screen': first + _PORTS - 1,
        'moves': first + _PORTS,
        'last_move': first + 2 * _PORTS - 1,
    }


def _write(path: str, text: str) -> None:
    with open(path, 'w', encoding='utf-8') as file:
        file.write(text)


def _make_link(one: Host) -> None:
    if not os.path.lexists(one.link):
        os.symlink(one.directory, one.link)
    # Anyone may write there. What is ours none but root can change.
    mine = os.lstat(one.link).st_uid == os.geteuid()
    if not mine or os.path.realpath(one.link) != os.path.realpath(
        one.directory
    ):
        raise exception.ConfigInvalid(
            reason=f'{one.link} is not a link of ours to {one.directory}; '
            'remove it'
        )


def _spawn(one: Host) -> None:
    # It returns when libvirtd has become a daemon, or could not.
    programs.run(
        'unshare',
        *('--user', '--map-user=1000', '--map-group=1000'),
        *('--uts', '--keep-caps', 'sh', '-c'),
        'hostname "$1" && exec "$2" -d -f "$3"',
        *('sh', one.name, programs.find('libvirtd'), one.conf),
        environment={
            'PATH': PATH,
            'HOME': one.directory,
            'XDG_RUNTIME_DIR': f'{one.directory}/run',
            'XDG_CONFIG_HOME': f'{one.link}/config',
            'XDG_CACHE_HOME': f'{one.directory}/cache',
            'XDG_DATA_HOME': f'{one.directory}/data',
        },
    )


def _wait_until_it_answers(one: Host) -> None:
    until = clock.monotonic() + _PATIENCE
    while not answers(one):
        if clock.monotonic() > until:
            raise exception.ConfigInvalid(
                reason=f'the libvirtd of {one.name} does not answer: '
                f'{_last_words(one)}'
            )
        clock.sleep(_LOOK)


def answers(one: Host) -> bool:
    """Tell whether a host's libvirtd takes connections."""
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(one.socket)
        except OSError:
            return False
    return True


def _last_words(one: Host) -> str:
    if not os.path.exists(one.log):
        return 'it said nothing'
    with open(one.log, encoding='utf-8', errors='replace') as file:
        lines = [line for line in file.read().splitlines() if line]
    return lines[-1] if lines else 'it said nothing'


# -- down --------------------------------------------------------------------


def down(directory: str) -> None:
    """End the hosts of a rig with all their guests, and remove what they had.

    Nothing when there is no rig.
    """
    for one in known(directory):
        stop(one)
        shutil.rmtree(one.directory)
        if os.path.islink(one.link):
            os.unlink(one.link)


def stop(one: Host) -> None:
    """End a host's libvirtd, then its guests, at once."""
    for find in (_libvirtds, guests):
        pids = find(one)
        for pid in pids:
            _send(pid, signal.SIGTERM)
        if not _gone(pids):
            for pid in pids:
                _send(pid, signal.SIGKILL)
            _gone(pids)


def libvirtd(one: Host) -> int | None:
    """Return the process that is a host's libvirtd, None when it is down."""
    return next(iter(_libvirtds(one)), None)


def _libvirtds(one: Host) -> list[int]:
    return [
        pid
        for pid, words in _processes()
        if words[-2:] == ['-f', one.conf] and 'libvirtd' in words[0]
    ]


def guests(one: Host) -> list[int]:
    """Return the processes that are a host's guests."""
    mine = f'{one.link}/config/libvirt/qemu/'
    return [
        pid
        for pid, words in _processes()
        if 'qemu-system' in words[0] and any(mine in word for word in words)
    ]


def _processes() -> list[tuple[int, list[str]]]:
    """Return all processes that run, with their words."""
    found = []
    for name in os.listdir('/proc'):
        if name.isdecimal():
            try:
                with open(f'/proc/{name}/cmdline', 'rb') as file:
                    words = file.read().decode(errors='replace').split('\0')
            except OSError:
                continue  # it has ended meanwhile
            if words[0]:
                found.append((int(name), words[:-1]))
    return found


def _send(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _gone(pids: list[int]) -> bool:
    until = clock.monotonic() + _PATIENCE / 3
    while set(pids) & {pid for pid, _ in _processes()}:
        if clock.monotonic() > until:
            return False
        clock.sleep(_LOOK)
    return True
