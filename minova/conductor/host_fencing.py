# SPDX-License-Identifier: Apache-2.0
"""Fencing of a host that is down: once, and recorded until its return.

The record is the proof that the host runs no guest (``engine.evacuation``).
A lease lets one conductor at a time run the program of a host, for whichever
of its servers; the others find the record.
"""

from collections.abc import Callable
from typing import Final

from oslo_log import log as logging

from minova import clock
from minova import exception
from minova.conductor.host_liveness import HostLiveness
from minova.conf import CONF
from minova.conf import fencing
from minova.conf.fencing import Rule
from minova.db.connections.engine import Database
from minova.db.queries import hosts
from minova.db.queries import leases
from minova.db.queries import operations
from minova.db.queries.hosts import Service
from minova.engine import evacuation
from minova.objects.step_results import HostFenced

LOG = logging.getLogger(__name__)

#: Runs the program of a rule; raises FenceFailed.
Fence = Callable[[Rule, str], HostFenced]
#: Seconds that a lease lasts longer than two runs of a program.
_MARGIN: Final = 30.0


class HostFencing:
    """The fencing of hosts by one conductor."""

    def __init__(
        self, database: Database, liveness: HostLiveness, fence: Fence
    ) -> None:
        self._database = database
        self._liveness = liveness
        self._fence = fence

    def fence(self, host: str) -> HostFenced:
        """Fence a host, unless it is proven not to run its guests.

        Raises ComputeServiceInUse while it sends heartbeats, HostNotFenced
        without a program, FenceFailed, and Unavailable for a later retry.
        """
        known = self._find_proof(host)
        if known is not None:
            return known
        rule = fencing.find_rule(CONF.fencing, host)
        if rule is None:
            raise exception.HostNotFenced(host=host)
        lease, holder = f'fence {self._get(host).uuid}', clock.uuid4()
        span = 2 * CONF.fencing.timeout + _MARGIN
        if not leases.acquire(self._database, lease, holder, span):
            raise exception.Unavailable(
                what=f'Fencing of host {host}',
                reason='another operation is fencing it',
            )
        try:
            known = self._find_proof(host)
            return known or self._run(self._get(host), rule)
        finally:
            self._release(lease, holder)

    def _run(self, service: Service, rule: Rule) -> HostFenced:
        """Run the program and record its success."""
        host = service.host
        result = self._fence(rule, host)
        if not self._database.write(
            lambda connection: hosts.record_fence(
                connection, service, result.agent, result.output
            )
        ):
            raise exception.FenceFailed(
                host=host,
                agent=result.agent,
                reason='has fenced it, but its compute has registered again',
            )
        LOG.warning('Host %s: %s', host, result.describe())
        return result

    def _get(self, host: str) -> Service:
        found = self._database.read(
            lambda connection: hosts.list_services(
                connection, operations.COMPUTE_BINARY, host
            )
        )
        if not found:
            raise exception.HostNotFound(host=host)
        return found[0]

    def _find_proof(self, host: str) -> HostFenced | None:
        """Return why the host needs no fencing, None if it needs it."""
        service = self._get(host)
        if service.forced_down:
            return HostFenced(
                host=host,
                agent='an operator, who has forced it down',
                exit_code=0,
                output='',
                seconds=0.0,
            )
        if service.fenced_at is not None:
            return HostFenced(
                host=host,
                agent=str(service.fence_agent),
                exit_code=0,
                output=service.fence_output or '',
                seconds=0.0,
            )
        evacuation.require_silent(service)
        self._liveness.require_down(service)
        return None

    def _release(self, lease: str, holder: str) -> None:
        try:
            leases.release(self._database, lease, holder)
        except exception.Unavailable as error:
            LOG.warning(
                'The lease "%s" is kept until its end: %s', lease, error
            )
