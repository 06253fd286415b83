# SPDX-License-Identifier: Apache-2.0
"""The choice of the driver of a host, by the configuration."""

import importlib
from types import ModuleType
from typing import cast

from minova import exception
from minova.conf import CONF
from minova.virt.driver import Driver
from minova.virt.fake.driver import FakeDriver
from minova.virt.fake.remote import RemoteDriver
from minova.virt.fake.world import open_record_store
from minova.virt.fake.world import World

_EMBEDDED_URI = 'test:///'


def load_driver(host: str) -> Driver:
    """Return the driver of ``host`` that ``[compute] compute_driver`` names.

    Raises ConfigInvalid for an invalid configuration or a host that another
    process runs, and Unavailable when the fake hypervisor does not answer.
    """
    if CONF.compute.compute_driver == 'fake':
        if CONF.fake.socket:
            return cast(Driver, RemoteDriver(host, CONF.fake.socket))
        return FakeDriver(host, World(open_record_store()))
    return _load_libvirt(host, CONF.libvirt.connection_uri)


def _load_libvirt(host: str, uri: str) -> Driver:
    if uri.startswith('test:') and uri != _EMBEDDED_URI:
        raise exception.ConfigInvalid(
            reason=f'[libvirt] connection_uri = {uri} is not supported; the '
            f'only URI of the test driver is {_EMBEDDED_URI}. It runs '
            'embedded hosts, stored in [libvirt] embedded_directory.'
        )
    if uri != _EMBEDDED_URI and not uri.startswith('qemu'):
        raise exception.ConfigInvalid(
            reason=f'[libvirt] connection_uri = {uri} is not supported; use a '
            f'URI of QEMU, such as qemu:///system, or {_EMBEDDED_URI}.'
        )
    module = import_libvirt_module(
        'embedded.driver' if uri == _EMBEDDED_URI else 'qemu.driver'
    )
    return cast(Driver, module.open_driver(host))


def import_libvirt_module(name: str) -> ModuleType:
    """Return a module of ``virt.libvirt``.

    libvirt-python is an optional dependency. Raises ConfigInvalid when it is
    not installed.
    """
    try:
        importlib.import_module('libvirt')
    except ImportError as error:
        raise exception.ConfigInvalid(
            reason='[compute] driver = libvirt needs the package '
            f'libvirt-python; install minova[libvirt]: {error}'
        ) from error
    return importlib.import_module(f'minova.virt.libvirt.{name}')
