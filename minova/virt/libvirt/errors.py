# SPDX-License-Identifier: Apache-2.0
"""The errors of libvirt and the exceptions that drivers raise for them."""

from collections.abc import Iterator
import contextlib

import libvirt

from minova import exception


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
        raise guest_failed(uuid, error) from error


def unreachable(uri: str, reason: str) -> exception.GuestFailed:
    """Return GuestFailed for a libvirt that does not answer."""
    return exception.GuestFailed(f'libvirt at {uri}: {reason}')
