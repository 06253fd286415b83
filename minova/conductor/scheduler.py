# SPDX-License-Identifier: Apache-2.0
"""The scheduler: it filters and weighs a view of the hosts.

``host_filters`` has the filters, which every selection passes, ``weighers``
what makes one of the remaining hosts the best.

The view may be a second old and another conductor may select at the same time.
The claim decides, which the database checks. A host whose claim fails is
skipped; when every claim fails the view is refreshed once.
"""

import dataclasses

from oslo_log import log as logging
import sqlalchemy as sa

from minova import clock
from minova import exception
from minova import states
from minova.conductor import host_filters
from minova.conductor import weighers
from minova.conductor.host_candidate import Candidate
from minova.conductor.host_candidate import HostRequirements
from minova.conductor.host_candidate import Reasons
from minova.conductor.host_fencing import HostFencing
from minova.conductor.host_filters import HostFilters
from minova.conductor.host_liveness import HostLiveness
from minova.conf import CONF
from minova.context import get_admin_context
from minova.db.connections.engine import Database
from minova.db.queries import aggregates as db_aggregates
from minova.db.queries import host_usage
from minova.db.queries import hosts as db_hosts
from minova.db.queries import operations
from minova.db.queries import placements as db_placements
from minova.db.queries import server_groups
from minova.db.queries.aggregates import Aggregate
from minova.db.queries.hosts import Host
from minova.db.queries.placements import PlacedGuest
from minova.engine import evacuation
from minova.engine import placements
from minova.engine.unit_of_work import UnitOfWork
from minova.objects.flavor import Flavor
from minova.objects.instance import Instance
from minova.objects.live_migrate_data import LiveMigrateData
from minova.objects.live_migrate_data import LiveMigrateSource
from minova.objects.operation_params import LiveMigrateParams
from minova.objects.request_spec import DIFFERENT_HOST
from minova.objects.request_spec import SAME_HOST
from minova.objects.step_results import HostFenced
from minova.rpc.compute import ComputeClients

LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class LiveMigrationTarget:
    """A host that can receive a guest, and its agreement with the source."""

    host: Host
    migrate_data: LiveMigrateData


class Scheduler:
    """The view that one conductor has of the hosts, and the selection."""

    def __init__(
        self,
        database: Database,
        computes: ComputeClients,
        liveness: HostLiveness,
        fencing: HostFencing,
    ) -> None:
        self._database = database
        self._computes = computes
        self._liveness = liveness
        self._fencing = fencing
        self._view: dict[str, Candidate] = {}
        self._refreshed_at = float('-inf')

    # -- selection -----------------------------------------------------------

    def select_host(
        self,
        uow: UnitOfWork,
        flavor: Flavor,
        consumer: str,
        requested_host: str | None = None,
        excluded_hosts: Reasons | None = None,
        is_forced: bool = False,
    ) -> Host:
        """Select a host and claim its resources for ``consumer``.

        ``excluded_hosts`` names hosts with the reason why each is excluded,
        ``is_forced`` is that of HostRequirements.
        Raises NoValidHost, which lists every host with its reason.
        """
        connection = uow.connection
        required = _add_placement(
            connection,
            HostRequirements(
                uow.instance,
                flavor,
                requested_host,
                excluded_hosts or {},
                is_forced=is_forced,
            ),
            is_locked=True,
        )
        claimed = {}
        # Creates come by the hundred; an operator who migrates, or names a
        # host, sees the effect of a disable before.
        is_exact = uow.instance.host is not None or requested_host is not None
        for fresh in (is_exact, True):
            self._refresh_view(connection, fresh)
            for row in self._rank_hosts(required):
                if uow.claim(row.host, flavor, consumer):
                    self._count_claim(row, required)
                    return row
                claimed[row.host] = 'another instance claimed its resources'
        raise self._no_valid_host(required, claimed)

    def fence(self, host: str) -> HostFenced:
        """Fence a host, outside of a transaction; see HostFencing."""
        return self._fencing.fence(host)

    def shut_out(
        self, uow: UnitOfWork, host: str, by_disk_lock: bool
    ) -> dict[str, str]:
        """Shut the compute of a host out until it registers again.

        Returns the hosts that still have to remove something of the instance,
        with this reason. ``by_disk_lock``: the destination proves that the
        host does not run the guest. Raises HostNotFenced, or
        ComputeServiceInUse, when the host has returned since the evacuation
        began.
        """
        # This locks the row of the service: no compute registers between the
        # check of the proof and the end of the transaction.
        db_hosts.revoke_incarnation(uow.connection, host)
        evacuation.require_proof(uow.connection, host, by_disk_lock)
        return {
            str(step.host): 'it still has to remove an old guest of the server'
            for step in operations.list_open_steps_of_instance(
                uow.connection, uow.instance.uuid
            )
            if step.detached
        }

    def keep_host(self, uow: UnitOfWork) -> None:
        """Check that the host of an instance can run its new image.

        Claims the resources if the instance has no claim. Raises NoValidHost
        with the reason.
        """
        instance = uow.instance
        required = HostRequirements(instance, instance.flavor)
        self._refresh_view(uow.connection, force=True)
        host = str(instance.host)
        candidate = self._view.get(host)
        refusal: str | None = 'no compute service has this name'
        if candidate is not None:
            refusal = host_filters.find_keep_refusal(candidate, required)
        held = db_hosts.list_allocations(uow.connection, instance.uuid)
        has_claim = any(
            row['host'] == host and row['consumer'] == instance.uuid
            for row in held
        )
        if not (
            refusal
            or has_claim
            or uow.claim(host, instance.flavor, instance.uuid)
        ):
            refusal = 'its resources are claimed by other instances'
        if refusal is not None:
            raise exception.NoValidHost.of_hosts({host: refusal})

    def _refresh_view(self, connection: sa.Connection, force: bool) -> None:
        now = clock.monotonic()
        until = self._refreshed_at + CONF.scheduler.host_state_max_age
        if now < until and not force:
            return
        services = {
            service.host: service
            for service in db_hosts.list_services(
                connection, operations.COMPUTE_BINARY
            )
        }
        aggregates = _aggregates_by_host(connection)
        placed: dict[str, list[PlacedGuest]] = {}
        for guest in db_placements.list_placements(connection):
            placed.setdefault(guest.host, []).append(guest)
        running: dict[str, int] = {}
        if CONF.scheduler.io_ops_weight_multiplier:
            running = operations.count_open_steps_by_host(connection)
        self._view = {
            row.host: Candidate(
                row,
                found,
                self._liveness.down_reason(found),
                tuple(aggregates.get(row.host, ())),
                running.get(row.host, 0),
                tuple(placed.get(row.host, ())),
            )
            for row in db_hosts.list_hosts(connection)
            if (found := services.get(row.host)) is not None
        }
        self._refreshed_at = now

    def _rank_hosts(self, required: HostRequirements) -> list[Host]:
        """Return the hosts that pass the filters, the heaviest first."""
        filters = HostFilters(required)
        passing = [
            candidate
            for candidate in list(self._view.values())
            if filters.find_refusal(candidate) is None
        ]
        return [one.row for one in weighers.rank(passing, required)]

    def _count_claim(self, row: Host, required: HostRequirements) -> None:
        """Count the claim in the view, for the next selection."""
        known, claimed = self._view[row.host], required.resources
        used = {
            f'{name}_used': getattr(known.row, f'{name}_used') + number
            for name, number in claimed._asdict().items()
        }
        if required.numa is not None:
            # The view has not the CPUs that the claim has chosen.
            self._refreshed_at = float('-inf')
        self._view[row.host] = dataclasses.replace(
            known,
            row=dataclasses.replace(known.row, **used),
            running_steps=known.running_steps + 1,
        )

    def _no_valid_host(
        self, required: HostRequirements, refusals: Reasons | None = None
    ) -> exception.NoValidHost:
        """Return the error with the reason of each host.

        ``refusals`` are the reasons of the hosts that pass the filters.
        """
        if not self._view:
            return exception.NoValidHost(reason='There are no compute hosts.')
        found = dict(refusals or {})
        filters = HostFilters(required)
        for host, candidate in self._view.items():
            reason = filters.find_refusal(candidate)
            if reason is not None:
                found[host] = reason
        found = dict(sorted(found.items()))
        name = required.requested_host
        if name is not None and self._find_requested(name) is None:
            found[name] = 'no host has this name'
        return exception.NoValidHost.of_hosts(found)

    def _find_requested(self, name: str) -> Candidate | None:
        for candidate in self._view.values():
            if candidate.has_name(name):
                return candidate
        return None

    # -- live migration ------------------------------------------------------

    def select_live_migration_host(
        self,
        instance: Instance,
        params: LiveMigrateParams,
        excluded_hosts: Reasons,
    ) -> LiveMigrationTarget:
        """Ask hosts until one can receive the guest; return its answer.

        Raises NoValidHost with the reason of each host when none can receive
        it, MigrationPreCheckError when the requested host cannot, and
        Unavailable, for a retry, when no host answers.
        """
        required = HostRequirements(
            instance,
            instance.flavor,
            params.host,
            excluded_hosts,
            is_forced=params.force,
        )

        def read(connection: sa.Connection) -> HostRequirements:
            self._refresh_view(connection, True)
            placed = _add_placement(connection, required)
            running = placements.running_request_of(connection, instance)
            return dataclasses.replace(placed, running=running)

        required = self._database.read(read)
        source = self._require_source(instance)
        required = dataclasses.replace(required, live_source=source)
        if params.host is not None:
            dest = self._require_requested(required, params.host, source)
            return self._check_destination(dest, instance, params, source)
        return self._ask_candidates(required, params, source)

    def _ask_candidates(
        self,
        required: HostRequirements,
        params: LiveMigrateParams,
        source: Host,
    ) -> LiveMigrationTarget:
        """Return the answer of the first host that can receive the guest."""
        refusals = {}
        answered = False
        instance = required.instance
        limit = CONF.scheduler.max_live_migration_candidates
        ranked = self._rank_hosts(required)
        for row in ranked[:limit]:
            try:
                return self._check_destination(row, instance, params, source)
            except exception.MinovaException as error:
                LOG.info(
                    'Live migration of instance %s: host %s is not a '
                    'destination: %s',
                    instance.uuid,
                    row.host,
                    error,
                )
                refusals[row.host] = str(error)
                answered |= not isinstance(error, exception.Unavailable)
        if refusals and not answered:
            raise exception.Unavailable(
                what='Every candidate destination',
                reason='; '.join(f'{h}: {why}' for h, why in refusals.items()),
            )
        for row in ranked[limit:]:
            refusals[row.host] = (
                'not asked: see [scheduler] max_live_migration_candidates'
            )
        raise self._no_valid_host(required, refusals)

    def _require_source(self, instance: Instance) -> Host:
        if instance.power_state not in states.POWERED_ON:
            raise exception.MigrationPreCheckError(
                reason=f'the guest of instance {instance.uuid} does not run'
            )
        source = self._view.get(str(instance.host))
        if source is None or source.down_reason:
            raise exception.ComputeServiceUnavailable(host=instance.host)
        if source.service.hypervisor_error is not None:
            raise exception.MigrationPreCheckError(
                reason=f'the hypervisor of host {instance.host} cannot be '
                f'used ({source.service.hypervisor_error})'
            )
        return source.row

    def _require_requested(
        self, required: HostRequirements, name: str, source: Host
    ) -> Host:
        """Return the requested host; raise why it cannot be selected."""
        dest = self._find_requested(name)
        if dest is None:
            raise exception.UnknownDestination(host=name)
        if dest.row.host == source.host:
            raise exception.UnableToMigrateToSelf(
                instance_id=required.instance.uuid, host=name
            )
        if dest.down_reason:
            raise exception.ComputeServiceUnavailable(host=name)
        reason = host_filters.find_refusal(dest, required)
        if reason is not None:
            raise exception.MigrationPreCheckError(
                reason=f'Unable to migrate {required.instance.uuid} to '
                f'{name}: {reason}'
            )
        return dest.row

    def _check_destination(
        self,
        dest: Host,
        instance: Instance,
        params: LiveMigrateParams,
        source: Host,
    ) -> LiveMigrationTarget:
        try:
            migrate_data = self._computes.for_host(
                dest.host
            ).check_can_live_migrate_destination(
                get_admin_context(),
                instance=instance,
                block_migration=params.block_migration,
                disk_over_commit=params.disk_over_commit,
                source=_as_source(source),
            )
        except exception.GuestFailed as error:
            # Of a hypervisor or a disk; the check has changed nothing.
            raise exception.MigrationPreCheckError(
                reason=str(error)
            ) from error
        return LiveMigrationTarget(dest, migrate_data)


def _aggregates_by_host(
    connection: sa.Connection,
) -> dict[str, list[Aggregate]]:
    found: dict[str, list[Aggregate]] = {}
    for aggregate in db_aggregates.list_all(connection):
        for host in aggregate.hosts:
            found.setdefault(host, []).append(aggregate)
    return found


def _add_placement(
    connection: sa.Connection,
    required: HostRequirements,
    is_locked: bool = False,
) -> HostRequirements:
    """Add what the group and the hints of the instance require.

    With ``is_locked`` the members of the group stay on their hosts until the
    transaction ends.
    """
    instance = required.instance
    group_id = instance.request_spec.group
    group = None
    if group_id is not None:
        read = server_groups.read_placement
        if is_locked:
            read = server_groups.lock_placement
        group = read(connection, group_id, instance.uuid)
    hint_hosts: dict[str, frozenset[str]] = {
        name: host_usage.list_hosts_of_instances(
            connection, required.hints[name]
        )
        for name in (SAME_HOST, DIFFERENT_HOST)
        if name in required.hints
    }
    return dataclasses.replace(required, group=group, hint_hosts=hint_hosts)


def _as_source(row: Host) -> LiveMigrateSource:
    return LiveMigrateSource(host=row.host, cpu_info=row.cpu_info)
