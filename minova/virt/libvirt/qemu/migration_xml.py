# SPDX-License-Identifier: Apache-2.0
"""The XML of a live migration between QEMU hosts."""

from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree

from minova.numa.placement import Placement
from minova.virt.driver import GuestSpec
from minova.virt.libvirt import xml
from minova.virt.libvirt import xml_placement
from minova.virt.libvirt.xml_elements import add as _add
from minova.virt.libvirt.xml_elements import add_text as _leaf


def incoming_domain_xml(
    text: str,
    path_map: Mapping[str, str],
    emulator: str,
    vnc_listen: str,
    binding: Mapping[str, Any] | None = None,
) -> str:
    """Return the definition with which the destination receives a guest.

    ``text`` is the definition of the running guest, which keeps libvirt's
    choices. What depends on the host is replaced: directories, the VNC
    address, the emulator unless it is '', and CPUs and NUMA cells by
    ``binding``, the result of ``cpu_binding`` at the destination.
    """
    root = ElementTree.fromstring(text)  # noqa: S314  libvirt wrote it
    xml.relocate(root, path_map)
    for disk in root.iterfind('./devices/disk'):
        # The destination determines its own chain of backing files.
        for chain in disk.findall('backingStore'):
            disk.remove(chain)
    for screen in root.iterfind('./devices/graphics'):
        screen.set('listen', vnc_listen)
        for listen in screen.iterfind("listen[@type='address']"):
            listen.set('address', vnc_listen)
    if binding is not None:
        placement = binding['placement']
        xml_placement.rebind(
            root,
            None if placement is None else Placement.from_json(placement),
            binding['emulator_threads'],
            binding['shared_cpus'],
        )
    program = root.find('./devices/emulator')
    if program is not None and emulator:
        program.text = emulator
    return xml.to_string(root)


def cpu_binding(spec: GuestSpec, shared_cpus: str | None) -> dict[str, Any]:
    """Return the CPUs and NUMA cells that a guest gets at this host."""
    return {
        'placement': spec.placement,
        'emulator_threads': xml.requirements_of(spec).emulator_threads,
        'shared_cpus': shared_cpus,
    }


def cpu_xml(cpu_info: dict[str, Any]) -> str:
    """Return a processor as libvirt's compareCPU expects it.

    ``cpu_info`` is the result of ``host.cpu_info`` on the source.
    """
    root = ElementTree.Element('cpu')
    _leaf(root, 'arch', cpu_info['arch'])
    _leaf(root, 'model', cpu_info['model'])
    if cpu_info.get('vendor'):
        _leaf(root, 'vendor', cpu_info['vendor'])
    if cpu_info.get('topology'):
        sizes = {
            name: cpu_info['topology'][name]
            for name in ('sockets', 'cores', 'threads')
            if name in cpu_info['topology']
        }
        _add(root, 'topology', **sizes)
    for name in cpu_info.get('features', ()):
        _add(root, 'feature', name=name)
    return xml.to_string(root)
