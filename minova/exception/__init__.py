# SPDX-License-Identifier: Apache-2.0
"""Every error once: its text, its HTTP status, what is left when it is raised.

::

    MinovaException
    ├── Refused               nothing was changed
    │   ├── InvalidInput        400  the request cannot be meant
    │   ├── Unauthorized        401
    │   ├── Forbidden           403  policy, quota
    │   ├── NotFound            404
    │   ├── NotAcceptable       406  a microversion outside the range
    │   ├── Conflict            409  the state forbids it now
    │   ├── TooLarge            413
    │   ├── NoValidHost         400  no place for it
    │   ├── MigrationPreCheckError    400  a check before a migration failed
    │   ├── Stale               409  a newer owner holds the instance
    │   ├── NotSupported          501  the hypervisor knows no such thing
    │   └── Unavailable         503  broker or database away
    │       ├── CommitUncertain       it may have been accepted
    │       └── UnsupportedVersion          501  the other side is of an older release
    └── Failed                  500  something was begun; the text says what
        ├── GuestFailed              the hypervisor refused or lost it
        └── ConfigInvalid            the process cannot start

The kinds are in ``base``, what is refused in ``refused``, in the order of the
status, what failed in ``failed``. Everybody writes ``exception.NAME``; so no
two may have the same name.

An error crosses RPC as class name and arguments and is built anew from these
only (``written``). The one map from error to HTTP reply is in
``api/wsgi.py``.
"""

# All of them by a wildcard: a list of names would have each error twice.
from minova.exception.base import *  # noqa: F403,H303
from minova.exception.failed import *  # noqa: F403,H303
from minova.exception.refused import *  # noqa: F403,H303
