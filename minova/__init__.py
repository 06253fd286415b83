# SPDX-License-Identifier: Apache-2.0
"""Minova, a compute control plane that never loses an action.

The folders stand in the order a request travels:

1. ``api/`` turns HTTP into an *operation*: a durable record of one thing asked
   of one instance. It writes the record (``operations/``) and is done.
2. ``rpc/`` carries the wake-up to whoever has the next *step* to run: what may
   be said on the wire is declared there, once.
3. ``conductor/`` decides: where instances go, what is owed to whom, what is
   published. It alone, with the api, touches the database (``db/``).
4. ``flows/`` tells each story that crosses hosts, top to bottom, one file
   each: what a step does, how it ends, how it is taken back.
5. ``compute/`` acts on one host, through
6. ``virt/``, which knows a hypervisor and nothing else.

Three rooms hold the facts that everything else is derived from: ``states.py``
(the life of an instance, one table), ``notifications/events.py`` (what is told
to the world) and ``rpc/conductor.py`` with ``rpc/compute.py`` (the contracts).
What flavors and images may ask of a guest stands in ``wishes/table.py``.

Beside that path: ``images/`` and ``network/`` are what instances are made from
and attached to, ``console/`` shows the screens of guests in browsers,
``audit/`` compares what the database and the hosts say, ``simulation/`` runs
all of it under virtual time and breaks it on purpose, and ``rig/`` makes
libvirt hosts out of one machine. ``cmd/`` has the commands.
"""

from collections.abc import Sequence
import importlib.abc
import importlib.machinery
import sys
import types

from oslo_service import backend


class _RefuseEventlet(importlib.abc.MetaPathFinder):
    """Keeps eventlet out of every process of ours.

    Several oslo libraries and futurist import it when they can. It costs
    17 MB and a quarter of a second a process, and patches nothing we use.
    """

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: types.ModuleType | None = None,
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname.partition('.')[0] == 'eventlet':
            raise ModuleNotFoundError(
                f'{fullname} is not used by Minova', name=fullname
            )
        return None


sys.meta_path.insert(0, _RefuseEventlet())
# Before anything imports oslo.messaging, which would choose eventlet. The
# backend itself is loaded by whoever first needs it.
backend.register_backend_default_hook(lambda: backend.BackendType.THREADING)
