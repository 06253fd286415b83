# SPDX-License-Identifier: Apache-2.0
"""The errors: text, HTTP status, and what an error leaves behind.

::

    MinovaException
    ├── Refused                       nothing was changed
    │   ├── InvalidInput           400  the request is malformed
    │   ├── Unauthorized           401
    │   ├── Forbidden              403  policy, quota
    │   ├── NotFound               404
    │   ├── Gone                   410  the API has removed it
    │   ├── NotAcceptable          406  a microversion outside the range
    │   ├── Conflict               409  the state does not allow it now
    │   ├── TooLarge               413
    │   ├── NoValidHost            400  no host passes the scheduler's filters
    │   ├── MigrationPreCheckError 400  a check before a migration failed
    │   ├── Stale                  409  a newer owner holds the instance
    │   ├── NotSupported           501  the hypervisor does not support it
    │   └── Unavailable            503  broker or database unreachable
    │       ├── CommitUncertain         the request may have been committed
    │       └── UnsupportedVersion 501  the peer runs an older release
    └── Failed                     500  the text says what is left behind
        ├── GuestFailed                 the hypervisor failed or lost a guest
        │   └── HypervisorUnavailable   the call did not reach the hypervisor
        └── ConfigInvalid               the process cannot start

============= ================================================================
module        what it holds
============= ================================================================
base          MinovaException, Refused, Failed
bad_request   status 400: the request is wrong or cannot be met
forbidden     status 401 and 403: credentials, policy, quota
not_found     status 404 and 410
conflict      status 406, 409 and 413
unavailable   status 501 and 503: it cannot be done here or now
failed        the errors of operations that had begun
serialization errors as JSON: in RPC answers, operations and steps
============= ================================================================

Callers write ``exception.NAME``, so no two errors may have the same name. An
error crosses RPC as class name and arguments; ``serialization`` rebuilds it.
``api/http/errors.py`` maps each error to its HTTP reply.
"""

# Wildcards, because a list of names would name each error a second time.
from minova.exception.bad_request import *  # noqa: F403,H303
from minova.exception.base import *  # noqa: F403,H303
from minova.exception.conflict import *  # noqa: F403,H303
from minova.exception.failed import *  # noqa: F403,H303
from minova.exception.forbidden import *  # noqa: F403,H303
from minova.exception.not_found import *  # noqa: F403,H303
from minova.exception.unavailable import *  # noqa: F403,H303
