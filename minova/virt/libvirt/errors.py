# SPDX-License-Identifier: Apache-2.0
"""The errors of libvirt and the exceptions that drivers raise for them."""

from collections.abc import Iterator
import contextlib
from typing import Final

import libvirt

from minova import exception

#: The errors of libvirt's client itself, as a broken connection has them.
_CONNECTION_CODES: Final = (
    libvirt.VIR_ERR_INTERNAL_ERROR,
    libvirt.VIR_ERR_SYSTEM_ERROR,
    libvirt.VIR_ERR_RPC,
    libvirt.VIR_ERR_NO_CONNECT,
)
_CONNECTION_DOMAINS: Final = (libvirt.VIR_FROM_REMOTE, libvirt.VIR_FROM_RPC)


def has_error_code(error: libvirt.libvirtError, *codes: int) -> bool:
    """Return whether an error has one of libvirt's ``VIR_ERR_`` codes."""
    return error.get_error_code() in codes


def error_message(error: libvirt.libvirtError) -> str:
    """Return the message of a libvirt error."""
    return str(error.get_error_message() or error)


def guest_failed(
    uuid: str, error: libvirt.libvirtError
) -> exception.GuestFailed:
    """Return GuestFailed with the message of a libvirt error."""
    return exception.GuestFailed(instance_id=uuid, reason=error_message(error))


@contextlib.contextmanager
def translate_errors(
    uuid: str, ignore_missing: bool = False
) -> Iterator[None]:
    """Raise libvirt's errors as GuestFailed.

    With ``ignore_missing`` an unknown domain is no error.
    """
    try:
        yield
    except libvirt.libvirtError as error:
        if ignore_missing and has_error_code(error, libvirt.VIR_ERR_NO_DOMAIN):
            return
        raise guest_failed(uuid, error) from error


def lookup_domain(
    conn: libvirt.virConnect, uuid: str
) -> libvirt.virDomain | None:
    """Return libvirt's domain of a guest, None when it is unknown.

    Raises GuestFailed.
    """
    try:
        return conn.lookupByUUIDString(uuid)
    except libvirt.libvirtError as error:
        if has_error_code(error, libvirt.VIR_ERR_NO_DOMAIN):
            return None
        raise unanswered(uuid, error) from error


def unanswered(
    uuid: str, error: libvirt.libvirtError
) -> exception.GuestFailed:
    """Return the error of a query, which changes nothing.

    HypervisorUnavailable when the connection broke.
    """
    if is_connection_error(error):
        return exception.HypervisorUnavailable(
            instance_id=uuid, reason=error_message(error)
        )
    return guest_failed(uuid, error)


def unreachable(uri: str, reason: str) -> exception.HypervisorUnavailable:
    """Return the error for a libvirt that does not answer."""
    return exception.HypervisorUnavailable(f'libvirt at {uri}: {reason}')


def is_connection_error(error: libvirt.libvirtError) -> bool:
    """Return whether an error means that the connection to libvirt broke."""
    return has_error_code(error, *_CONNECTION_CODES) and (
        error.get_error_domain() in _CONNECTION_DOMAINS
    )


@contextlib.contextmanager
def after_a_change(uuid: str) -> Iterator[None]:
    """Raise HypervisorUnavailable as GuestFailed.

    For the later part of a method whose earlier part had an effect.
    """
    try:
        yield
    except exception.HypervisorUnavailable as error:
        raise exception.GuestFailed(
            instance_id=uuid, reason=str(error)
        ) from error
