# SPDX-License-Identifier: Apache-2.0
"""The hosts of a rig: each a libvirtd with a host name of its own.

libvirt identifies hosts by host name, host UUID and socket. Each libvirtd
therefore runs in a UTS namespace with its own host name, and with its own
directories. It also runs in a user namespace without privileges, so that it is
a libvirtd of a user session: it does not need root, and a rig that root starts
changes nothing outside of its directory. A mount namespace has accounts of its
own, because libvirtd and QEMU exit for a user without an account.

A libvirtd of a session keeps its files below the XDG base directories, here
those of the host::

    DIR/host1/run      sockets, pid files (XDG_RUNTIME_DIR)
    DIR/host1/config   definitions, QEMU's sockets (XDG_CONFIG_HOME)
    DIR/host1/cache    logs of guests (XDG_CACHE_HOME)
    DIR/host1/accounts passwd and group, instead of the machine's
    DIR/host1/disks    for the users of the host
    DIR/host1/tls      certificates for live migration, if a test put them
                       there before the start

Guests keep running when their libvirtd ends; its next start finds them.

The paths of QEMU's sockets are almost as long as a socket's path may be. A
symbolic link in ``/tmp`` therefore stands for the host's directory.
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
from minova.rig import capabilities
from minova.rig import subprocesses
from minova.subprocesses import PATH

#: Seconds to wait until a libvirtd answers or a process ends.
_TIMEOUT = 30.0
_POLL_INTERVAL = 0.05
#: Seconds for libvirtd to learn what the QEMU programs can.
_LEARNING_TIME = 120
#: The path of a socket has at most 107 characters; libvirt appends the rest.
_MAX_DIRECTORY_LENGTH = 70
#: The number of ports of a kind per host, below the ephemeral ports.
_PORTS_PER_KIND = 40
_FIRST_PORT = 6000
_SLOTS = 300
#: The user of a host, in the accounts of the host.
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
#: The root of the outer user namespace sets host name and accounts. A user of
#: the inner one runs libvirtd, which daemonizes.
_START = f"""\
set -e
hostname "$1"
mount --bind "$2/passwd" /etc/passwd
mount --bind "$2/group" /etc/group
exec unshare --user --map-user={_USER} --map-group={_USER} "$3" -d -f "$4"
"""
#: Opens a connection like a client, in a process that can be killed, and lets
#: libvirtd learn what QEMU can.
_TRY = """\
import sys, libvirt
libvirt.registerErrorHandler(lambda *_: None, None)
try:
    connection = libvirt.open(sys.argv[1])
    connection.getCapabilities()
    connection.getDomainCapabilities(sys.argv[2] or None)
    connection.close()
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
remote_display_port_min = {first_vnc}
remote_display_port_max = {last_vnc}
migration_port_min = {first_migration}
migration_port_max = {last_migration}
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
        """The host name."""
        return f'host{self.number}'

    @property
    def address(self) -> str:
        """The address for migrations from other hosts."""
        return f'127.0.0.{10 + self.number}'

    @property
    def link(self) -> str:
        """A short path that links to the directory."""
        mark = hashlib.sha256(self.directory.encode()).hexdigest()[:8]
        return f'/tmp/rig{mark}'  # noqa: S108  the owner is checked

    @property
    def socket(self) -> str:
        """The socket of its libvirtd."""
        return f'{self.directory}/run/libvirt/libvirt-sock'

    @property
    def uri(self) -> str:
        """The URI of its libvirtd for clients on this machine."""
        return f'qemu:///session?socket={self.socket}'

    @property
    def peer_uri(self) -> str:
        """The URI of its libvirtd for other hosts.

        Differs from ``uri``, which libvirt would take for the caller's host.
        """
        return f'qemu+unix:///session?socket={self.socket}'

    @property
    def live_migration_uri(self) -> str:
        """The ``peer_uri`` of any host of the rig, with %s for its address."""
        rig = os.path.dirname(self.directory)
        return f'qemu+unix:///session?socket={rig}/%s/run/libvirt/libvirt-sock'

    @property
    def address_link(self) -> str:
        """The directory's name in ``live_migration_uri``."""
        return os.path.join(os.path.dirname(self.directory), self.address)

    @property
    def libvirtd_conf(self) -> str:
        """The configuration file of its libvirtd, which identifies it."""
        return f'{self.directory}/libvirtd.conf'

    @property
    def tls_directory(self) -> str:
        """The directory of certificates for QEMU."""
        return f'{self.directory}/tls'

    @property
    def cache(self) -> str:
        """The directory of what its libvirtd can learn again."""
        return f'{self.directory}/cache'

    @property
    def libvirtd_log(self) -> str:
        """The log of its libvirtd."""
        return f'{self.directory}/libvirtd.log'


def host_at(directory: str, number: int) -> Host:
    """Return a host of the rig in ``directory``; numbers start with 1."""
    return Host(
        os.path.join(os.path.abspath(directory), f'host{number}'), number
    )


def list_hosts(directory: str) -> list[Host]:
    """Return the hosts of a rig, running or not."""
    if not os.path.isdir(directory):
        return []
    numbers = [
        int(name.removeprefix('host'))
        for name in os.listdir(directory)
        if name.startswith('host') and name.removeprefix('host').isdecimal()
    ]
    return [host_at(directory, number) for number in sorted(numbers)]


# -- up ----------------------------------------------------------------------


def up(
    directory: str,
    count: int,
    known: str | None = None,
    emulator: str | None = None,
) -> list[Host]:
    """Start hosts 1 to ``count``; running hosts stay as they are.

    ``known`` is the directory of what earlier hosts have learned of QEMU,
    ``emulator`` the program of their guests, if it is not the system's.
    Raises ConfigInvalid when this machine cannot run them.
    """
    for name in (
        *('libvirtd', 'qemu-img', 'qemu-system-x86_64'),
        *('hostname', 'mount', 'unshare'),
    ):
        subprocesses.find(name)
    found = [host_at(directory, number + 1) for number in range(count)]
    for rig_host in found:
        if known is not None:
            capabilities.give(known, rig_host.cache)
        start(rig_host)
        _require_qemu(rig_host, emulator)
        if known is not None:
            capabilities.keep(rig_host.cache, known)
    return found


def start(rig_host: Host) -> None:
    """Start the libvirtd of a host and wait until it answers."""
    if len(rig_host.directory) > _MAX_DIRECTORY_LENGTH:
        raise exception.ConfigInvalid(
            reason=f'{rig_host.directory} is too long for the path of a '
            f'socket; use at most {_MAX_DIRECTORY_LENGTH} characters'
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
    # The same uuid at each start, by which libvirtd finds its guests.
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
    """Return ports for VNC and for incoming migrations.

    libvirtd checks which of its ports are free and QEMU takes one a moment
    later, so hosts on one machine need separate ranges.
    """
    slot = zlib.crc32(directory.encode()) % _SLOTS
    first = _FIRST_PORT + slot * 2 * _PORTS_PER_KIND
    return {
        'first_vnc': first,
        'last_vnc': first + _PORTS_PER_KIND - 1,
        'first_migration': first + _PORTS_PER_KIND,
        'last_migration': first + 2 * _PORTS_PER_KIND - 1,
    }


def _write(path: str, text: str) -> None:
    with open(path, 'w', encoding='utf-8') as file:
        file.write(text)


def _make_link(rig_host: Host) -> None:
    for link in (rig_host.link, rig_host.address_link):
        _link(link, rig_host.directory)


def _link(link: str, directory: str) -> None:
    if not os.path.lexists(link):
        os.symlink(directory, link)
    # /tmp is writable for everyone; only root can change a link of ours.
    mine = os.lstat(link).st_uid == os.geteuid()
    if not mine or os.path.realpath(link) != os.path.realpath(directory):
        raise exception.ConfigInvalid(
            reason=f'{link} exists but does not link to {directory}; remove it'
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
            'XDG_CACHE_HOME': rig_host.cache,
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


def _require_qemu(rig_host: Host, emulator: str | None) -> None:
    """Raise ConfigInvalid when the libvirtd of a host lacks QEMU."""
    try:
        subprocesses.run(
            sys.executable,
            *('-c', _TRY, rig_host.uri, emulator or ''),
            patience=_LEARNING_TIME,
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
    """Return whether the libvirtd of a host accepts connections."""
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(rig_host.socket)
        except OSError:
            return False
    return True


def _last_log_line(rig_host: Host) -> str:
    if not os.path.exists(rig_host.libvirtd_log):
        return 'its log is empty'
    with open(
        rig_host.libvirtd_log, encoding='utf-8', errors='replace'
    ) as file:
        lines = [line for line in file.read().splitlines() if line]
    return lines[-1] if lines else 'its log is empty'


# -- down --------------------------------------------------------------------


def down(directory: str, known: str | None = None) -> None:
    """Stop the hosts of a rig and their guests; remove their directories.

    What they have learned of QEMU is kept in the directory ``known``. Nothing
    happens when there is no rig.
    """
    for rig_host in list_hosts(directory):
        stop(rig_host)
        if known is not None:
            capabilities.keep(rig_host.cache, known)
        shutil.rmtree(rig_host.directory)
        for link in (rig_host.link, rig_host.address_link):
            if os.path.islink(link):
                os.unlink(link)


def stop(rig_host: Host) -> None:
    """Kill the libvirtd of a host, then its guests."""
    for find in (_libvirtds, find_guests):
        pids = find(rig_host)
        for pid in pids:
            _send_signal(pid, signal.SIGTERM)
        if not _wait_for_exit(pids):
            for pid in pids:
                _send_signal(pid, signal.SIGKILL)
            _wait_for_exit(pids)


def find_libvirtd(rig_host: Host) -> int | None:
    """Return the process of the libvirtd of a host, None without one."""
    return next(iter(_libvirtds(rig_host)), None)


def _libvirtds(rig_host: Host) -> list[int]:
    return [
        pid
        for pid, args in _processes()
        if args[-2:] == ['-f', rig_host.libvirtd_conf]
        and 'libvirtd' in args[0]
    ]


def find_guests(rig_host: Host) -> list[int]:
    """Return the processes of the guests of a host."""
    mine = f'{rig_host.link}/config/libvirt/qemu/'
    return [
        pid
        for pid, args in _processes()
        if 'qemu-system' in args[0] and any(mine in word for word in args)
    ]


def _processes() -> list[tuple[int, list[str]]]:
    """Return all processes with their arguments."""
    found = []
    for name in os.listdir('/proc'):
        if name.isdecimal():
            try:
                with open(f'/proc/{name}/cmdline', 'rb') as file:
                    args = file.read().decode(errors='replace').split('\0')
            except OSError:
                continue  # the process has ended meanwhile
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
