# SPDX-License-Identifier: Apache-2.0
"""Minova, a compute control plane that never loses an action.

The packages in the order in which a request passes them:

1. ``api/`` turns an HTTP request into an *operation*: the durable record of
   one action on one instance. ``engine/`` writes it, drives it through its
   steps, and rolls it back or recovers it.
2. ``rpc/`` declares the messages between services and sends wake-ups: each
   names a *step* that its receiver must run.
3. ``conductor/`` schedules instances, sweeps for due work and publishes
   notifications. Only the api and the conductors use the database (``db/``).
4. ``flows/`` has one module per flow, from the first step to the last across
   all hosts: what a step does, what its end changes, how it is undone.
5. ``compute/`` runs the steps of one host, through
6. ``virt/``, the hypervisor drivers.

Each kind of fact has one home: ``states.py`` the life of an instance,
``power_reconciliation.py`` what the power state of its guest changes,
``migration_states.py`` the life of a migration, ``quotas/`` the limits of
projects, ``notifications/`` the notifications and the outbox, ``objects/`` the
records that travel or are stored as documents, ``extra_specs/`` what flavors
and images may require of a guest, ``numa/`` where a guest is on its host,
``policy/`` who may call the API, ``exception/`` the errors and ``conf/`` the
options.

Beside that path, ``identity/``, ``images/`` and ``network/`` are the services
that a cloud needs, each as a client or embedded. ``console/`` shows VNC
consoles in browsers. ``audit/`` compares the database with the hosts,
``simulation/`` runs the services under virtual time with injected faults,
``rig/`` builds libvirt hosts on one machine, ``allinone/`` is a cloud in one
process and ``cmd/`` has the commands.

Every package may use the base modules: ``clock.py`` (time, threads, ids),
``cancellation.py`` (waits that end when work becomes unwanted),
``context.py`` (the caller of a request), ``loops.py`` (threads that must not
end, and the health check), ``periodic.py`` (periodic tasks),
``subprocesses.py`` (programs), ``private_files.py`` (permissions of files),
``atomic_files.py`` (files that a crash leaves complete), ``log_format.py``
(lines of logs), ``json_bodies.py`` (bodies of requests), ``lockfile.py``,
``machine_id.py``, ``cpu_set.py`` (sets of CPUs as text) and ``version.py``. A
process is a ``service.py``, which ``watchdog.py`` watches and
``sd_notify.py`` reports to systemd; ``serving/`` has its listening sockets
and the HTTP server.
"""

from collections.abc import Sequence
import importlib.abc
import importlib.machinery
import sys
import types

from oslo_service import backend


class _RefuseEventlet(importlib.abc.MetaPathFinder):
    """Keep eventlet out of every process.

    Several oslo libraries and futurist import it if it is installed, at a cost
    of 17 MB and 0.25 s per process. Minova uses threads.
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
# Must precede the import of oslo.messaging, which would choose eventlet. The
# first user of oslo.service loads the backend itself.
backend.register_backend_default_hook(lambda: backend.BackendType.THREADING)
