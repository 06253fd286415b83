# SPDX-License-Identifier: Apache-2.0
"""Hosts: each a libvirtd of its own, with a host name of its own.

libvirt tells hosts apart by host name, host UUID and socket. So each libvirtd
runs in a UTS namespace, where the name is its own, with directories of its
own. It also runs in a user namespace in which it is no administrator, which
makes it one of a user's session: nothing of it needs root, and a rig that is
started by root does nothing outside its directory either. In a mount namespace
it has accounts of its own, because libvirtd and QEMU end for a user without an
account: the accounts of the machine do not matter.

What libvirtd calls a session's it keeps below the XDG base directories, here
those of the host::

    DIR/host1/run      sockets, pid files (XDG_RUNTIME_DIR)
    DIR/host1/config   definitions, QEMU's sockets (XDG_CONFIG_HOME)
    DIR/host1/cache    logs of guests (XDG_CACHE_HOME)
    DIR/host1/accounts passwd and group, in the place of the machine's
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
import sys
import uuid
import zlib

from minova import clock
from minova import exception
from minova.rig import subprocesses
from minova.subprocesses import PATH

#: Seconds in which a libvirtd answers, or a process ends.
_TIMEOUT = 30.0
_POLL_INTERVAL = 0.05
#: A socket's path has 107 characters at most; libvirt's are this much longer.
_MAX_DIRECTORY_LENGTH = 70
#: Ports of one kind that a host has, below those that any client may get.
_PORTS_PER_KIND = 40
_FIRST_PORT = 6000
_SLOTS = 300
#: The user that a host runs as, by the accounts of the host.
_USER = 1000
_PASSWD = f"""\
root:x:0:0::/:/bin/sh
rig:x:{_USER}:{_USER}::{{home}}:/bin/sh
nobody:x:65534:65534::/:/bin/sh
"""
_GROUP = f"""\
root:x:0:
rig:x:{_USER}:
nogroup:x:65534:
"""
#: As root of the outer user namespace: host name and accounts. An ordinary
#: user of the inner one runs libvirtd, which returns as a daemon.
_START = f"""\
set -e
hostname "$1"
mount --bind "$2/passwd" /etc/passwd
mount --bind "$2/group" /etc/group
exec unshare --user --map-user={_USER} --map-group={_USER} "$3" -d -f "$4"
"""
#: Opens a connection as a client does, in a process that can be ended.
_TRY = """\
import sys, libvirt
libvirt.registerErrorHandler(lambda *_: None, None)
try:
    libvirt.open(sys.argv[1]).close()
except libvirt.libvirtError as error:
    sys.exit(str(error))
"""
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
    def libvirtd_conf(self) -> str:
        """The configuration of its libvirtd, by which that is known."""
        return f'{self.directory}/libvirtd.conf'

    @property
    def tls_directory(self) -> str:
        """Where QEMU looks for certificates."""
        return f'{self.directory}/tls'

    @property
    def libvirtd_log(self) -> str:
        """What its libvirtd has to say."""
        return f'{self.directory}/libvirtd.log'


def host_at(directory: str, number: int) -> Host:
    """Return a host of the rig in ``directory``; numbers begin with 1."""
    return Host(
        os.path.join(os.path.abspath(directory), f'host{number}'), number
    )


def list_hosts(directory: str) -> list[Host]:
    """Return the hosts that a rig has, up or not."""
    if not os.path.isdir(directory):
        return []
    numbers = [
        int(name.removeprefix('host'))
        for name in os.listdir(directory)
        if name.startswith('host') and name.removeprefix('host').isdecimal()
    ]
    return [host_at(directory, number) for number in sorted(numbers)]


# -- up ----------------------------------------------------------------------


def up(directory: str, count: int) -> list[Host]:
    """Bring up hosts 1 to ``count``; those that are up stay as they are.

    Raises ConfigInvalid when this machine cannot run them.
    """
    for name in (
        *('libvirtd', 'qemu-img', 'qemu-system-x86_64'),
        *('hostname', 'mount', 'unshare'),
    ):
        subprocesses.find(name)
    found = [host_at(directory, number + 1) for number in range(count)]
    for rig_host in found:
        start(rig_host)
        _require_qemu(rig_host)
    return found


def start(rig_host: Host) -> None:
    """Start a host's libvirtd and wait until it answers, unless it does."""
    if len(rig_host.directory) > _MAX_DIRECTORY_LENGTH:
        raise exception.ConfigInvalid(
            reason=f'{rig_host.directory} is too long for the path of a socket; '
            f'{_MAX_DIRECTORY_LENGTH} characters fit'
        )
    if find_libvirtd(rig_host) is None:
        _configure(rig_host)
        _make_link(rig_host)
        _spawn_libvirtd(rig_host)
    _wait_until_answering(rig_host)


def _configure(rig_host: Host) -> None:
    for name in (
        *('accounts', 'run', 'config/libvirt', 'cache', 'data'),
        *('disks', 'tls'),
    ):
        os.makedirs(os.path.join(rig_host.directory, name), exist_ok=True)
    accounts = os.path.join(rig_host.directory, 'accounts')
    _write(f'{accounts}/passwd', _PASSWD.format(home=rig_host.directory))
    _write(f'{accounts}/group', _GROUP)
    # The same at each start: guests are found again by it.
    known_by = uuid.uuid5(uuid.NAMESPACE_URL, f'file://{rig_host.directory}')
    _write(
        rig_host.libvirtd_conf,
        _LIBVIRTD_CONF.format(
            uuid=known_by,
            run=f'{rig_host.directory}/run',
            log=rig_host.libvirtd_log,
        ),
    )
    _write(
        f'{rig_host.directory}/config/libvirt/qemu.conf',
        _QEMU_CONF.format(
            address=rig_host.address,
            tls=rig_host.tls_directory,
            **_ports(rig_host.directory),
        ),
    )


def _ports(directory: str) -> dict[str, int]:
    """Return ports for screens and for guests that come.

    A libvirtd looks which of its ports are free, and QEMU takes one a moment
    later: hosts that share a machine would be in each other's way.
    """
    slot = zlib.crc32(directory.encode()) % _SLOTS
    first = _FIRST_PORT + slot * 2 * _PORTS_PER_KIND
    return {
        'screens': first,
        'last_screen': first + _PORTS_PER_KIND - 1,
        'moves': first + _PORTS_PER_KIND,
        'last_move': first + 2 * _PORTS_PER_KIND - 1,
    }


def _write(path: str, text: str) -> None:
    with open(path, 'w', encoding='utf-8') as file:
        file.write(text)


def _make_link(rig_host: Host) -> None:
    if not os.path.lexists(rig_host.link):
        os.symlink(rig_host.directory, rig_host.link)
    # Anyone may write there. What is ours none but root can change.
    mine = os.lstat(rig_host.link).st_uid == os.geteuid()
    if not mine or os.path.realpath(rig_host.link) != os.path.realpath(
        rig_host.directory
    ):
        raise exception.ConfigInvalid(
            reason=f'{rig_host.link} is not a link of ours to {rig_host.directory}; '
            'remove it'
        )


def _spawn_libvirtd(rig_host: Host) -> None:
    subprocesses.run(
        'unshare',
        *('--user', '--map-root-user', '--mount', '--uts', 'sh', '-c', _START),
        *('sh', rig_host.name, f'{rig_host.directory}/accounts'),
        *(subprocesses.find('libvirtd'), rig_host.libvirtd_conf),
        patience=int(_TIMEOUT),
        environment={
            'PATH': PATH,
            'HOME': rig_host.directory,
            'XDG_RUNTIME_DIR': f'{rig_host.directory}/run',
            'XDG_CONFIG_HOME': f'{rig_host.link}/config',
            'XDG_CACHE_HOME': f'{rig_host.directory}/cache',
            'XDG_DATA_HOME': f'{rig_host.directory}/data',
        },
    )


def _wait_until_answering(rig_host: Host) -> None:
    until = clock.monotonic() + _TIMEOUT
    while not is_answering(rig_host):
        if clock.monotonic() > until:
            raise exception.ConfigInvalid(
                reason=f'the libvirtd of {rig_host.name} does not answer: '
                f'{_last_log_line(rig_host)}'
            )
        clock.sleep(_POLL_INTERVAL)


def _require_qemu(rig_host: Host) -> None:
    """Raise ConfigInvalid when a host's libvirtd has no QEMU for clients."""
    try:
        subprocesses.run(
            sys.executable, '-c', _TRY, rig_host.uri, patience=int(_TIMEOUT)
        )
    except exception.ConfigInvalid as error:
        hint = ''
        if 'no connection driver' in str(error):
            hint = ' (Debian package libvirt-daemon-driver-qemu)'
        raise exception.ConfigInvalid(
            reason=f'the libvirtd of {rig_host.name} cannot be used: '
            f'{error.kwargs["reason"]}{hint}'
        ) from error


def is_answering(rig_host: Host) -> bool:
    """Tell whether a host's libvirtd takes connections."""
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(rig_host.socket)
        except OSError:
            return False
    return True


def _last_log_line(rig_host: Host) -> str:
    if not os.path.exists(rig_host.libvirtd_log):
        return 'it said nothing'
    with open(
        rig_host.libvirtd_log, encoding='utf-8', errors='replace'
    ) as file:
        lines = [line for line in file.read().splitlines() if line]
    return lines[-1] if lines else 'it said nothing'


# -- down --------------------------------------------------------------------


def down(directory: str) -> None:
    """End the hosts of a rig with all their guests, and remove what they had.

    Nothing when there is no rig.
    """
    for rig_host in list_hosts(directory):
        stop(rig_host)
        shutil.rmtree(rig_host.directory)
        if os.path.islink(rig_host.link):
            os.unlink(rig_host.link)


def stop(rig_host: Host) -> None:
    """End a host's libvirtd, then its guests, at once."""
    for find in (_libvirtds, find_guests):
        pids = find(rig_host)
        for pid in pids:
            _send_signal(pid, signal.SIGTERM)
        if not _wait_for_exit(pids):
            for pid in pids:
                _send_signal(pid, signal.SIGKILL)
            _wait_for_exit(pids)


def find_libvirtd(rig_host: Host) -> int | None:
    """Return the process that is a host's libvirtd, None when it is down."""
    return next(iter(_libvirtds(rig_host)), None)


def _libvirtds(rig_host: Host) -> list[int]:
    return [
        pid
        for pid, args in _processes()
        if args[-2:] == ['-f', rig_host.libvirtd_conf]
        and 'libvirtd' in args[0]
    ]


def find_guests(rig_host: Host) -> list[int]:
    """Return the processes that are a host's guests."""
    mine = f'{rig_host.link}/config/libvirt/qemu/'
    return [
        pid
        for pid, args in _processes()
        if 'qemu-system' in args[0] and any(mine in word for word in args)
    ]


def _processes() -> list[tuple[int, list[str]]]:
    """Return all processes that run, with their words."""
    found = []
    for name in os.listdir('/proc'):
        if name.isdecimal():
            try:
                with open(f'/proc/{name}/cmdline', 'rb') as file:
                    args = file.read().decode(errors='replace').split('\0')
            except OSError:
                continue  # it has ended meanwhile
            if args[0]:
                found.append((int(name), args[:-1]))
    return found


def _send_signal(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _wait_for_exit(pids: list[int]) -> bool:
    until = clock.monotonic() + _TIMEOUT / 3
    while set(pids) & {pid for pid, _ in _processes()}:
        if clock.monotonic() > until:
            return False
        clock.sleep(_POLL_INTERVAL)
    return True
