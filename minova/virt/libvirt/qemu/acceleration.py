# SPDX-License-Identifier: Apache-2.0
"""The test whether KVM works on this host: a guest that runs on it.

``/dev/kvm`` and libvirt's capabilities prove little: in a virtual machine
without nested virtualization guests hang or QEMU exits. The probe guest does
what every guest does when it boots.
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

#: The names of QEMU in the distributions.
EMULATORS: Final = ('qemu-system-x86_64', '/usr/libexec/qemu-kvm')
#: The device of KVM.
DEVICE: Final = '/dev/kvm'
#: Seconds; the guest needs less than one, but the host may be busy.
PROBE_TIMEOUT: Final = 20

#: ``probe.S``, assembled, without the signature of the boot sector.
_PROBE: Final = base64.b64decode(
    '6gV8AAD6/DHAjtiOwI7QvAB8sFK6+APuvwAQZjHAuQAMZvOrxwYAEAMgxwYAIAMwxwYA'
    'MIMADyDgDCAPIuBmuAAQAAAPIthmuYAAAMAPMoDMAQ8wDwEWIH0PIMBmDQEAAIAPIsDq'
    'anwIALgQAAAAjtiOwI7QvAB8AACwNma6+APuMcAPor8AQAAAMcC5AAQAAPOrvwBCAAC4'
    '+nwAAGaJB2bHRwIIAGbHRwQAjg8BHCUmfQAAsBHmILAR5qCwIOYhsCjmobAE5iGwAuah'
    'sAHmIbAB5qGw/uYhsP/moTHb+/SD+wNy+vqwVGa6+APuZroEBma4ACBm7/Tr/VD/w7Ag'
    '5iBYSM8PH0AAAAAAAAAAAAAAAAAAAJogAAAAAAAAkgAAFwAIfQAA/w8AQA=='
)
#: The output of a probe guest that finished.
_PROBE_OUTPUT: Final = 'R6T'


def boot_sector() -> bytes:
    """Return the boot sector of the probe guest."""
    return _PROBE.ljust(510, b'\0') + b'\x55\xaa'


def detect_virt_type(emulator: str) -> str:
    """Return 'kvm' when the probe guest runs with KVM, otherwise 'qemu'.

    ``emulator`` is the path of QEMU; '' means the first one found.
    """
    try:
        if not os.path.exists(DEVICE):
            raise OSError(f'{DEVICE} does not exist')
        run_probe_guest(emulator or find_emulator(), 'kvm', '-cpu', 'host')
    except OSError as error:
        LOG.warning(
            'KVM does not work on this host: %s. Guests get slow, emulated '
            'processors; repair KVM, or set [libvirt] virt_type to skip this '
            'test.',
            str(error).rstrip('.'),
        )
        return 'qemu'
    LOG.info('KVM works on this host: the probe guest ran')
    return 'kvm'


def find_emulator(names: Sequence[str] = EMULATORS) -> str:
    """Return the path of QEMU on this machine; OSError without one."""
    for name in names:
        path = shutil.which(name)
        if path is not None:
            return path
    raise OSError(
        f'there is no QEMU ({", ".join(names)}); install it, or set '
        '[libvirt] emulator'
    )


def run_probe_guest(
    emulator: str, accelerator: str, *args: str, timeout: int = PROBE_TIMEOUT
) -> None:
    """Run the probe guest; OSError says why it did not finish."""
    with tempfile.NamedTemporaryFile(prefix='minova-probe-') as disk:
        disk.write(boot_sector())
        # Firmware does not boot a disk that is too small for a geometry.
        disk.truncate(1 << 20)
        disk.flush()
        output = subprocesses.run(
            emulator,
            *('-nodefaults', '-no-user-config', '-no-reboot'),
            *('-display', 'none', '-serial', 'stdio', '-m', '16'),
            *('-machine', f'q35,accel={accelerator}', *args),
            *('-drive', f'if=none,id=disk,format=raw,file={disk.name}'),
            *('-device', 'virtio-blk-pci,drive=disk,bootindex=0'),
            timeout=timeout,
        ).decode(errors='replace')
    if output.strip() != _PROBE_OUTPUT:
        raise OSError(
            f'the probe guest ended early: its output is {output[:100]!r}, '
            f'expected {_PROBE_OUTPUT!r}'
        )
