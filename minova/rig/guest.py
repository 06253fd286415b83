# SPDX-License-Identifier: Apache-2.0
"""A tiny guest: Debian's cloud kernel, busybox, and a counter on the console.

It shows whether a guest is the same after a migration, a stop or a resize. It
writes to its serial console, several times a second::

    COUNT 17 boot=3f0c... memory=9a1e... disk=77b2...

The number grows as long as the guest runs. The kernel draws ``boot`` when it
starts. The guest draws ``memory`` when it starts and keeps it in memory only.
It draws ``disk`` when its first disk is empty, writes it there, and reads it
again each time (``none`` without a disk). It obeys the power button.

Each nic requests an address by DHCP for some seconds, in the background; the
guest uses the address and writes its server::

    ADDRESS 10.0.0.5 from 10.0.0.1 for fa:16:3e:00:00:01

The guest writes the MACs of its nics when it boots with some, and again when
one is attached or detached::

    NICS fa:16:3e:00:00:01 fa:16:3e:00:00:02

With ``minova.other=IP`` on the kernel's command line the guest then tries to
reach the DHCP server with its own address, with the other one, and with
another MAC, and writes the result::

    REACHES own=yes address=no mac=no

With ``minova.dirty=N`` on the kernel's command line the guest rewrites N MiB
of its memory each second and checks 8 MiB that must not change; the line then
ends with ``kept=yes`` or ``kept=no``.

A guest with UEFI firmware draws ``variable`` when the firmware has no variable
of its own, stores it there and reads it again at each boot. ``secure`` is 1
with Secure Boot::

    FIRMWARE uefi secure=0 variable=5d0e...

A guest with a TPM 2.0 does the same with an index of its NV storage, 16
hexadecimal digits::

    TPM 2 stored=01a7...

With ``minova.shell`` on the kernel's command line the guest runs the commands
that its serial console receives, each a line, between the other output.

The kernel and its modules are downloaded as Debian packages and unpacked, not
installed; busybox is this machine's (package busybox-static). The guest needs
80 MiB of memory.
"""

import dataclasses
import glob
import gzip
import hashlib
import lzma
import os
import re
import shutil
import stat
import tempfile
from typing import Final

from minova import exception
from minova.rig import subprocesses
from minova.rig.packages import Packages

#: The modules to load, with their dependencies.
_MODULES: Final = (
    *('virtio_pci', 'virtio_blk', 'virtio_net', 'button', 'evdev'),
    'efivarfs',
)
_PACKAGE: Final = 'linux-image-cloud-amd64'
#: The kernel's command line.
COMMAND_LINE: Final = 'console=ttyS0 quiet no_timer_check panic=1'

_INIT: Final = """\
#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
while read -r module; do
    case $module in efivarfs*) [ -d /sys/firmware/efi ] || continue ;; esac
    insmod /modules/$module
done < /modules/order
mkdir -p /etc/acpi/PWRF
printf '#!/bin/sh\\npoweroff -f\\n' > /etc/acpi/PWRF/00000080
chmod 755 /etc/acpi/PWRF/00000080
acpid -l /dev/null
draw() { cat /proc/sys/kernel/random/uuid; }
boot=$(cat /proc/sys/kernel/random/boot_id)
memory=$(draw)
read_disk() {
    echo 3 > /proc/sys/vm/drop_caches
    dd if=/dev/vda bs=64 count=1 2>/dev/null | sed -n 's/^minova //p'
}
if [ -b /dev/vda ] && [ -z "$(read_disk)" ]; then
    printf 'minova %s\\n' "$(draw)" |
        dd of=/dev/vda conv=sync,fsync bs=512 2>/dev/null
fi
variables=/sys/firmware/efi/efivars
if [ -d $variables ]; then
    mount -t efivarfs efivarfs $variables
    own=$variables/Minova-6f1e7c2e-1111-4222-8333-abcdefabcdef
    [ -e $own ] || printf '\\7\\0\\0\\0%s' "$(draw)" > $own
    secure=$(dd if=$(echo $variables/SecureBoot-*) bs=1 skip=4 | od -An -tu1)
    variable=$(dd if=$own bs=1 skip=4)
    echo "FIRMWARE uefi secure=${secure##* } variable=$variable"
fi 2>/dev/null
tpm() {
    exec 3<> /dev/tpm0
    printf "$1" >&3
    dd bs=4096 count=1 <&3 2>/dev/null | od -An -v -tx1 | tr -d ' \\n'
    exec 3>&-
}
if [ -c /dev/tpm0 ]; then
    owner='\\x40\\x00\\x00\\x01' index='\\x01\\x50\\x00\\x01'
    password='\\x00\\x00\\x00\\x09\\x40\\x00\\x00\\x09\\x00\\x00\\x00\\x00\\x00'
    head='\\x80\\x02\\x00\\x00\\x00'
    read_index="$head\\x23\\x00\\x00\\x01\\x4e$owner$index$password"
    read_index="$read_index\\x00\\x10\\x00\\x00"
    define="$head\\x2d\\x00\\x00\\x01\\x2a$owner$password\\x00\\x00\\x00\\x0e$index"
    define="$define\\x00\\x0b\\x02\\x06\\x00\\x06\\x00\\x00\\x00\\x10"
    write="$head\\x33\\x00\\x00\\x01\\x37$owner$index$password\\x00\\x10"
    write="$write$(draw | cut -c1-16)\\x00\\x00"
    case $(tpm "$read_index") in
    8002????????00000000*) ;;
    *) tpm "$define" > /dev/null; tpm "$write" > /dev/null ;;
    esac
    stored=$(tpm "$read_index" | cut -c33-64)
    version=$(cat /sys/class/tpm/tpm0/tpm_version_major)
    echo "TPM $version stored=$stored"
fi
dirty=
for word in $(cat /proc/cmdline); do
    case $word in minova.dirty=*) dirty=${word#*=} ;; esac
done
if [ -n "$dirty" ]; then
    mount -t tmpfs tmpfs /tmp
    dd if=/dev/urandom of=/tmp/kept bs=1M count=8 2>/dev/null
    was=$(md5sum < /tmp/kept)
    while true; do
        place=$((RANDOM % 3 * 8))
        dd if=/tmp/kept of=/tmp/dirty bs=1M seek=$place conv=notrunc
        usleep $((8000000 / dirty))
    done 2>/dev/null &
fi
cat > /dhcp <<'END'
#!/bin/sh
[ "$1" = bound ] || exit 0
ip address replace "$ip/${mask:-24}" dev "$interface"
[ -z "$router" ] || ip route replace default via "${router%% *}"
mac=$(cat /sys/class/net/$interface/address)
echo "ADDRESS $ip from $serverid for $mac" > /dev/console
other=$(sed -n 's/.*minova.other=\\([^ ]*\\).*/\\1/p' /proc/cmdline)
[ -n "$other" ] || exit 0
reach() { ping -c 5 -W 3 "$@" "$serverid" > /dev/null && echo yes || echo no; }
own=$(reach)
ip address add "$other/${mask:-24}" dev "$interface"
address=$(reach -I "$other")
ip address del "$other/${mask:-24}" dev "$interface"
ip link set "$interface" address 02:00:00:00:00:66
ip neigh flush dev "$interface"
echo "REACHES own=$own address=$address mac=$(reach)" > /dev/console
END
chmod 755 /dhcp
for nic in /sys/class/net/eth*; do
    [ -e "$nic" ] || continue
    nic=${nic##*/}
    ip link set "$nic" up
    udhcpc -i "$nic" -s /dhcp -q -n -t 10 -T 2 > /dev/null 2>&1 &
done
while true; do
    now=
    for nic in /sys/class/net/eth*; do
        [ -e "$nic" ] && read -r mac < "$nic/address" && now="$now $mac"
    done
    [ "$now" = "$seen" ] || echo "NICS$now"
    seen=$now
    sleep 0.5
done 2>/dev/null &
if grep -q minova.shell /proc/cmdline; then
    while true; do
        setsid sh < /dev/ttyS0 > /dev/ttyS0 2>&1
        sleep 1
    done &
fi
number=0
while true; do
    disk=none
    [ -b /dev/vda ] && disk=$(read_disk)
    kept=
    if [ -n "$dirty" ]; then
        kept=' kept=no'
        [ "$(md5sum < /tmp/kept)" = "$was" ] && kept=' kept=yes'
    fi
    number=$((number + 1))
    echo "COUNT $number boot=$boot memory=$memory disk=$disk$kept"
    sleep 0.2
done
"""


@dataclasses.dataclass(frozen=True)
class GuestFiles:
    """The files that a tiny guest boots."""

    kernel: str
    ramdisk: str


def build(directory: str) -> GuestFiles:
    """Build the guest in ``directory`` unless it exists; return its files.

    Raises ConfigInvalid when a program or package is missing.
    """
    # The name contains the release, so files of another one are not used.
    mark = hashlib.sha256(_INIT.encode()).hexdigest()[:8]
    made = GuestFiles(
        os.path.join(directory, f'kernel-{mark}'),
        os.path.join(directory, f'ramdisk-{mark}'),
    )
    if not (os.path.exists(made.kernel) and os.path.exists(made.ramdisk)):
        os.makedirs(directory, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=directory) as work:
            _build(work, made)
    return made


def _build(work: str, made: GuestFiles) -> None:
    packages = Packages(work)
    packages.unpack(packages.find_dependency(_PACKAGE, 'linux-image-'))
    (kernel,) = glob.glob(f'{work}/boot/vmlinuz-*')
    root = os.path.join(work, 'root')
    for name in ('bin', 'dev', 'etc', 'modules', 'proc', 'sys', 'tmp'):
        os.makedirs(os.path.join(root, name))
    shutil.copy(subprocesses.find('busybox'), f'{root}/bin/busybox')
    _copy_modules(work, root)
    _write_executable(f'{root}/init', _INIT)
    ramdisk = os.path.join(work, 'ramdisk')
    with gzip.open(ramdisk, 'wb') as file:
        file.write(_archive(root))
    os.rename(ramdisk, made.ramdisk)
    # Last: its existence means that all files exist.
    os.rename(kernel, made.kernel)


def _copy_modules(work: str, root: str) -> None:
    """Copy the modules and the order in which to load them."""
    paths = {
        _module(path.partition('.ko')[0]): path
        for path in _modules(work, '*/**/*.ko*')
    }
    built_in = _built_in(work)
    order: list[str] = []

    def add(name: str) -> None:
        if name in order or name in built_in:
            return
        if name not in paths:
            raise exception.ConfigInvalid(
                reason=f'{_PACKAGE} has no module {name}'
            )
        content = _read_module(paths[name])
        depends = re.search(rb'\0depends=([^\0]*)\0', content)
        for other in depends[1].decode().split(',') if depends else ():
            if other:
                add(_module(other))
        order.append(name)
        with open(f'{root}/modules/{name}.ko', 'wb') as file:
            file.write(content)

    for name in _MODULES:
        add(name)
    with open(f'{root}/modules/order', 'w', encoding='ascii') as file:
        file.writelines(f'{name}.ko\n' for name in order)


def _modules(work: str, pattern: str) -> list[str]:
    """Return the kernel's list of modules; Debian 13 has it in /usr."""
    return [
        path
        for lib in ('lib', 'usr/lib')
        for path in glob.glob(
            f'{work}/{lib}/modules/{pattern}', recursive=True
        )
    ]


def _module(path: str) -> str:
    """Return the name of a module; - and _ are equal in it."""
    return os.path.basename(path).replace('-', '_')


def _built_in(work: str) -> set[str]:
    """Return the modules that the kernel contains."""
    found = set()
    for path in _modules(work, '*/modules.builtin'):
        with open(path, encoding='ascii') as file:
            found |= {_module(line.partition('.ko')[0]) for line in file}
    return found


def _read_module(path: str) -> bytes:
    """Return a module for busybox; Debian 13 compresses modules."""
    if path.endswith('.xz'):
        with lzma.open(path) as file:
            return file.read()
    with open(path, 'rb') as file:
        return file.read()


def _write_executable(path: str, text: str) -> None:
    with open(path, 'w', encoding='ascii') as file:
        file.write(text)
    os.chmod(path, stat.S_IRWXU)


def _archive(root: str) -> bytes:
    """Return the tree as an initramfs (cpio, newc)."""
    names = sorted(
        os.path.relpath(os.path.join(folder, name), root)
        for folder, folders, files in os.walk(root)
        for name in (*folders, *files)
    )
    return subprocesses.run(
        'busybox',
        *('cpio', '-o', '-H', 'newc', '-R', '0:0'),
        cwd=root,
        stdin='\n'.join(names).encode(),
    )
