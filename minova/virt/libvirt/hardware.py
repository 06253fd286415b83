# SPDX-License-Identifier: Apache-2.0
"""The parts of a definition that wishes of flavors and images change.

Pure, as ``xml``, which puts them together. The format is the one of
https://libvirt.org/formatdomain.html.
"""

import dataclasses
from xml.etree import ElementTree

from minova.virt.libvirt.elements import add
from minova.virt.libvirt.elements import leaf
from minova.wishes.reading import Bandwidth
from minova.wishes.reading import Wishes


@dataclasses.dataclass(frozen=True)
class Boot:
    """The files of a kernel that the hypervisor starts itself."""

    kernel: str
    ramdisk: str | None


def memory_backing(root: ElementTree.Element, wishes: Wishes) -> None:
    """Huge pages; without a size the ones that the host uses by default."""
    if wishes.pages is None:
        return
    pages = add(add(root, 'memoryBacking'), 'hugepages')
    if isinstance(wishes.pages, int):
        add(pages, 'page', size=wishes.pages, unit='KiB')


def cpu_tuning(root: ElementTree.Element, wishes: Wishes) -> None:
    """The guest's share of the host's processors."""
    limits = {
        'shares': wishes.cpu_shares,
        'period': wishes.cpu_period,
        'quota': wishes.cpu_quota,
    }
    said = {name: value for name, value in limits.items() if value is not None}
    if said:
        tuning = add(root, 'cputune')
        for name, value in said.items():
            leaf(tuning, name, value)


def system(
    root: ElementTree.Element,
    wishes: Wishes,
    machine: str | None,
    boot: Boot | None,
) -> None:
    """What the guest boots, on which machine."""
    made = add(root, 'os')
    kind = add(made, 'type', arch='x86_64')
    kind.text = 'hvm'
    if machine is not None:
        kind.set('machine', machine)
    if boot is not None:
        leaf(made, 'kernel', boot.kernel)
        if boot.ramdisk is not None:
            leaf(made, 'initrd', boot.ramdisk)
        leaf(made, 'cmdline', wishes.kernel_words)
    add(made, 'boot', dev='hd')
    if wishes.boot_menu is not None:
        add(made, 'bootmenu', enable='yes' if wishes.boot_menu else 'no')


def topology(cpu: ElementTree.Element, wishes: Wishes) -> None:
    """How the processors are arranged."""
    add(cpu, 'topology', **wishes.topology._asdict())


def disk_target(
    device: ElementTree.Element, wishes: Wishes, target: str
) -> None:
    """How a disk is attached, and what it may do.

    ``target`` is its name as a virtio disk; others have the same letter.
    """
    name = wishes.root_device[:2] + target[2:]
    add(device, 'target', dev=name, bus=wishes.disk_bus)
    if wishes.disk:
        tuning = add(device, 'iotune')
        for limit, value in wishes.disk:
            leaf(tuning, limit, value)


def bandwidth(device: ElementTree.Element, wishes: Wishes) -> None:
    """What an interface may carry."""
    ways = {'inbound': wishes.inbound, 'outbound': wishes.outbound}
    if any(ways.values()):
        made = add(device, 'bandwidth')
        for way, limits in ways.items():
            if limits is not None:
                add(made, way, **_said(limits))


def _said(limits: Bandwidth) -> dict[str, int]:
    return {
        name: value
        for name, value in dataclasses.asdict(limits).items()
        if value is not None
    }


def controllers(devices: ElementTree.Element, wishes: Wishes) -> None:
    """The controller of disks, where libvirt would take another one."""
    if wishes.disk_bus == 'scsi':
        add(
            devices,
            'controller',
            type='scsi',
            index=0,
            model=wishes.scsi_model,
        )


def screen(devices: ElementTree.Element, wishes: Wishes) -> None:
    """The graphics adapter."""
    add(add(devices, 'video'), 'model', type=wishes.video_model)


def agent(devices: ElementTree.Element, wishes: Wishes) -> None:
    """The channel to QEMU's guest agent."""
    if wishes.agent:
        channel = add(devices, 'channel', type='unix')
        add(channel, 'target', type='virtio', name='org.qemu.guest_agent.0')


def random_numbers(devices: ElementTree.Element, wishes: Wishes) -> None:
    """A source of random numbers, as the host has them."""
    if not wishes.rng:
        return
    rng = add(devices, 'rng', model=wishes.rng_model)
    if wishes.rng_bytes is not None:
        add(rng, 'rate', bytes=wishes.rng_bytes, period=wishes.rng_period)
    leaf(rng, 'backend', '/dev/urandom', model='random')


def watchdog(devices: ElementTree.Element, wishes: Wishes) -> None:
    """A device that acts when the guest does not feed it any more."""
    if wishes.watchdog not in (None, 'disabled'):
        add(devices, 'watchdog', model='i6300esb', action=wishes.watchdog)
