# SPDX-License-Identifier: Apache-2.0
"""The GuestProfile of a QEMU host, from the configuration."""

import dataclasses
import errno
import os
from typing import Final

from oslo_log import log as logging

from minova import exception
from minova.conf import CONF
from minova.virt.libvirt import xml
from minova.virt.libvirt.qemu import firmware_descriptors
from minova.virt.libvirt.qemu.host_config import HostConfig

LOG = logging.getLogger(__name__)

_PROBE = '.direct-io.probe'
#: The UEFI of emulated aarch64 guests, where distributions have it.
_AARCH64_FIRMWARE: Final = (
    '/usr/share/AAVMF/AAVMF_CODE.fd',
    '/usr/share/qemu-efi-aarch64/QEMU_EFI.fd',
    '/usr/share/edk2/aarch64/QEMU_EFI.fd',
)


def from_config(host_config: HostConfig) -> xml.GuestProfile:
    """Return the profile of the guests of a host.

    ConfigInvalid when options contradict each other.
    """
    options = CONF.libvirt
    profile = xml.PROFILES[host_config.virt_type]
    mode: str | None = profile.cpu_mode
    if options.cpu_mode != 'auto':
        mode = None if options.cpu_mode == 'none' else options.cpu_mode
    _check_cpu_mode(host_config.virt_type, mode)
    native = dataclasses.replace(
        profile,
        cpu_mode=mode,
        cpu_model=options.cpu_model or None,
        machine=options.hw_machine_type,
        emulator=host_config.emulator or None,
        cache=_cache_mode(host_config.instances_path),
        stats_period=options.mem_stats_period_seconds,
        pcie_ports=options.num_pcie_ports,
        uefi=firmware_descriptors.find(),
        shared_cpus=CONF.compute.cpu_shared_set,
    )
    return dataclasses.replace(native, emulated=_emulated_profiles(native))


def _emulated_profiles(
    native: xml.GuestProfile,
) -> dict[str, xml.GuestProfile]:
    """Return the profiles of other architectures by their names.

    Without its firmware a guest cannot boot, and there is no profile.
    """
    firmware = next(filter(os.path.exists, _AARCH64_FIRMWARE), None)
    if firmware is None:
        return {}
    return {
        'aarch64': dataclasses.replace(
            native,
            type='qemu',
            architecture='aarch64',
            cpu_mode='custom',
            cpu_model='cortex-a57',
            machine='virt',
            emulator=None,
            firmware=firmware,
        )
    }


def _check_cpu_mode(virt_type: str, mode: str | None) -> None:
    model = CONF.libvirt.cpu_model
    reason = None
    if mode == 'custom' and not model:
        reason = '[libvirt] cpu_mode = custom needs cpu_model, which is unset.'
    elif mode != 'custom' and model:
        reason = (
            f'[libvirt] cpu_model is {model}, which needs cpu_mode = custom.'
        )
    elif mode == 'host-passthrough' and virt_type != 'kvm':
        reason = (
            '[libvirt] cpu_mode = host-passthrough needs virt_type = kvm; '
            'choose another cpu_mode.'
        )
    if reason is not None:
        raise exception.ConfigInvalid(reason=reason)


def _cache_mode(directory: str) -> str:
    mode = str(CONF.libvirt.disk_cachemode)
    if mode != 'auto':
        return mode
    if supports_direct_io(directory):
        return 'none'
    LOG.info(
        'The file system of %s does not support O_DIRECT; disks use the '
        'page cache of the host',
        directory,
    )
    return 'writeback'


def supports_direct_io(directory: str) -> bool:
    """Return whether files in a directory can be opened with O_DIRECT.

    OSError when the directory is not writable.
    """
    os.makedirs(directory, exist_ok=True)
    path = os.path.join(directory, _PROBE)
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_DIRECT
    try:
        os.close(os.open(path, flags, 0o600))
    except OSError as error:
        # EINVAL means that the file system does not support O_DIRECT.
        if error.errno != errno.EINVAL:
            raise
        return False
    finally:
        if os.path.exists(path):
            os.unlink(path)
    return True
