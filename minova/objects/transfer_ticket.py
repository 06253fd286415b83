# SPDX-License-Identifier: Apache-2.0
"""The permission to send the disks of one guest to another host."""

from minova.objects import base
from minova.objects.live_migrate_data import StorageProbe


@base.register
class TransferEndpoint(base.Object):
    """The server of a host that receives disks over TLS.

    ``fingerprint`` is that of the only certificate to which the token may be
    shown. With the ``probe`` the source finds out whether both hosts see the
    same directory of instances.
    """

    VERSION = '1.0'

    address: str
    port: int
    fingerprint: str
    probe: StorageProbe


@base.register
class TransferTicket(base.Object):
    """What a destination issues and a source presents.

    ``token`` is a secret: the ticket travels over the message bus alone.
    ``operation`` is the id of the operation it was issued for. ``endpoint`` is
    None when disks do not go through a network.
    """

    VERSION = '1.0'

    host: str
    operation: str
    token: str
    endpoint: TransferEndpoint | None = None
