# SPDX-License-Identifier: Apache-2.0
"""Whether KVM works on this host: found out by a guest, never believed.

That ``/dev/kvm`` exists and opens, and that libvirt knows of it, says little:
in a virtual machine that was not given what it takes, guests hang without a
word, or QEMU ends. So a guest is run that does what any does when it begins.
"""

import base64
from collections.abc import Sequence
import os
import shutil
import tempfile
from typing import Final

from oslo_log import log as logging

from minova import subprocesses

LOG = logging.getLogger(__name__)

#: Where QEMU is, by the names that distributions give it.
EMULATORS: Final = ('qemu-system-x86_64', '/usr/libexec/qemu-kvm')
#: The device by which KVM is used.
DEVICE: Final = '/dev/kvm'
#: Seconds for a guest that needs less than one, on a host that is busy.
PROBE_TIMEOUT: Final = 20

#: ``probe.S``, assembled, without the signature at the end of the sector.
_PROBE: Final = base64.b64decode(
    '6gV8AAD6/DHAjtiOwI7QvAB8sFK6+APuvwAQZjHAuQAMZvOrxwYAEAMgxwYAIAMwxwYA'
    'MIMADyDgDCAPIuBmuAAQAAAPIthmuYAAAMAPMoDMAQ8wDwEWIH0PIMBmDQEAAIAPIsDq'
    'anwIALgQAAAAjtiOwI7QvAB8AACwNma6+APuMcAPor8AQAAAMcC5AAQAAPOrvwBCAAC4'
    '+nwAAGaJB2bHRwIIAGbHRwQAjg8BHCUmfQAAsBHmILAR5qCwIOYhsCjmobAE5iGwAuah'
    'sAHmIbAB5qGw/uYhsP/moTHb+/SD+wNy+vqwVGa6+APuZroEBma4ACBm7/Tr/VD/w7Ag'
    '5iBYSM8PH0AAAAAAAAAAAAAAAAAAAJogAAAAAAAAkgAAFwAIfQAA/w8AQA=='
)
#: What it says when it comes to its end.
_PROBE_OUTPUT: Final = 'R6T'


def boot_sector() -> bytes:
    """Return the boot sector of the probe guest."""
    return _PROBE.ljust(510, b'\0') + b'\x55\xaa'


def detect_virt_type(emulator: str) -> str:
    """Return 'kvm' where a guest runs on it, 'qemu' elsewhere.

    ``emulator`` is a path; '': whichever this machine has.
    """
    try:
        if not os.path.exists(DEVICE):
            raise OSError(f'there is no {DEVICE}')
        run_probe_guest(emulator or find_emulator(), 'kvm', '-cpu', 'host')
    except OSError as error:
        LOG.warning(
            'KVM does not work here: %s. Guests get emulated processors, '
            'which are slow. To have it otherwise, or not to have it tried: '
            '[libvirt] virt_type.',
            str(error).rstrip('.'),
        )
        return 'qemu'
    LOG.info('KVM works here: a guest has run on it.')
    return 'kvm'


def find_emulator(names: Sequence[str] = EMULATORS) -> str:
    """Return the path of this machine's QEMU; OSError without one."""
    for name in names:
        path = shutil.which(name)
        if path is not None:
            return path
    raise OSError(
        f'there is no QEMU ({", ".join(names)}); install it, or name it by '
        '[libvirt] emulator'
    )


def run_probe_guest(
    emulator: str, accelerator: str, *words: str, timeout: int = PROBE_TIMEOUT
) -> None:
    """Run the probe guest; OSError says why it has not come to its end."""
    with tempfile.NamedTemporaryFile(prefix='minova-probe-') as disk:
        disk.write(boot_sector())
        # Firmware does not start from a disk that is too small to have
        # a geometry.
        disk.truncate(1 << 20)
        disk.flush()
        said = subprocesses.run(
            emulator,
            *('-nodefaults', '-no-user-config', '-no-reboot'),
            *('-display', 'none', '-serial', 'stdio', '-m', '16'),
            *('-machine', f'q35,accel={accelerator}', *words),
            *('-drive', f'if=none,id=disk,format=raw,file={disk.name}'),
            *('-device', 'virtio-blk-pci,drive=disk,bootindex=0'),
            timeout=timeout,
        ).decode(errors='replace')
    if said.strip() != _PROBE_OUTPUT:
        raise OSError(
            f'the probe guest has ended early: it said {said[:100]!r}, not '
            f'{_PROBE_OUTPUT!r}'
        )
