# SPDX-License-Identifier: Apache-2.0
"""The scheduler: filters and weighers over a view of the hosts.

The view may be a second old and another conductor may select at the same time.
The claim decides, which the database checks. A host whose claim fails is
skipped; when every claim fails the view is refreshed once.
"""

from collections.abc import Callable
from collections.abc import Iterator
import dataclasses

from oslo_log import log as logging
import sqlalchemy as sa

from minova import clock
from minova import exception
from minova import states
from minova.conductor.host_liveness import HostLiveness
from minova.conf import CONF
from minova.context import get_admin_context
from minova.db.connections.engine import Database
from minova.db.queries import hosts as db_hosts
from minova.db.queries import operations
from minova.db.queries.hosts import Host
from minova.db.queries.hosts import Service
from minova.engine.unit_of_work import UnitOfWork
from minova.objects.flavor import Flavor
from minova.objects.instance import Instance
from minova.objects.live_migrate_data import LiveMigrateData
from minova.objects.live_migrate_data import LiveMigrateSource
from minova.objects.operation_params import LiveMigrateParams
from minova.rpc.compute import ComputeClients

LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class LiveMigrationTarget:
    """A host that can receive a guest, and its agreement with the source."""

    host: Host
    migrate_data: LiveMigrateData


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A host and its compute service."""

    row: Host
    service: Service
    #: Why its compute is down, None when it is up.
    down_reason: str | None


@dataclasses.dataclass(frozen=True)
class RequestSpec:
    """The requirements for a host."""

    flavor: Flavor
    requested_host: str | None = None
    availability_zone: str | None = None
    excluded_hosts: tuple[str, ...] = ()


#: Returns why a host is filtered out, None when it passes.
Filter = Callable[[Candidate, RequestSpec], str | None]


def _compute_is_up(candidate: Candidate, spec: RequestSpec) -> str | None:
    return candidate.down_reason


def _compute_is_enabled(candidate: Candidate, spec: RequestSpec) -> str | None:
    if not candidate.service.disabled:
        return None
    reason = candidate.service.disabled_reason
    return f'it is disabled ({reason})' if reason else 'it is disabled'


def _hypervisor_answers(candidate: Candidate, spec: RequestSpec) -> str | None:
    error = candidate.service.hypervisor_error
    return error and f'its hypervisor cannot be used ({error})'


def _not_excluded(candidate: Candidate, spec: RequestSpec) -> str | None:
    if candidate.row.host not in spec.excluded_hosts:
        return None
    return 'it has the server, or failed before'


def _is_requested_host(candidate: Candidate, spec: RequestSpec) -> str | None:
    names = (candidate.row.host, candidate.row.hypervisor_hostname)
    if spec.requested_host is None or spec.requested_host in names:
        return None
    return f'host {spec.requested_host} is requested'


def _in_availability_zone(
    candidate: Candidate, spec: RequestSpec
) -> str | None:
    if spec.availability_zone in (None, candidate.row.availability_zone):
        return None
    return f'it is in zone {candidate.row.availability_zone}'


def _has_resources(candidate: Candidate, spec: RequestSpec) -> str | None:
    free = free_resources(candidate.row)
    flavor = spec.flavor
    for name, need, unit in (
        ('vcpus', flavor.vcpus, 'vcpus'),
        ('memory_mb', flavor.memory_mb, 'MiB of memory'),
        ('disk_gb', flavor.disk_gb, 'GiB of disk'),
    ):
        if need > free[name]:
            return f'{free[name]:.0f} of {need} {unit} are free'
    return None


FILTERS: tuple[Filter, ...] = (
    _not_excluded,
    _is_requested_host,
    _compute_is_up,
    _compute_is_enabled,
    _hypervisor_answers,
    _in_availability_zone,
    _has_resources,
)


def free_resources(row: Host) -> dict[str, float]:
    """Return the resources of a host that can still be claimed."""
    memory = (
        row.memory_mb - row.reserved_memory_mb
    ) * row.ram_allocation_ratio
    disk = (row.disk_gb - row.reserved_disk_gb) * row.disk_allocation_ratio
    return {
        'vcpus': row.vcpus * row.cpu_allocation_ratio - row.vcpus_used,
        'memory_mb': memory - row.memory_mb_used,
        'disk_gb': disk - row.disk_gb_used,
    }


def _weigh(row: Host, maxima: dict[str, float]) -> float:
    """Return the weight of a host; 1 for each resource it has most of."""
    free, options = free_resources(row), CONF.scheduler
    parts = (
        ('memory_mb', options.ram_weight_multiplier),
        ('vcpus', options.cpu_weight_multiplier),
        ('disk_gb', options.disk_weight_multiplier),
    )
    weight = 0.0
    for name, factor in parts:
        if maxima[name] > 0:
            weight += factor * free[name] / maxima[name]
    return weight


class Scheduler:
    """The view that one conductor has of the hosts, and the selection."""

    def __init__(
        self,
        database: Database,
        computes: ComputeClients,
        liveness: HostLiveness,
    ) -> None:
        self._database = database
        self._computes = computes
        self._liveness = liveness
        self._view: dict[str, Candidate] = {}
        self._refreshed_at = float('-inf')

    # -- selection -----------------------------------------------------------

    def select_host(
        self,
        uow: UnitOfWork,
        flavor: Flavor,
        consumer: str,
        requested_host: str | None = None,
        availability_zone: str | None = None,
        excluded_hosts: tuple[str, ...] = (),
    ) -> Host:
        """Select a host and claim its resources for ``consumer``.

        Raises NoValidHost, which lists every excluded host with the reason.
        """
        spec = RequestSpec(
            flavor, requested_host, availability_zone, excluded_hosts
        )
        connection = uow.connection
        for fresh in (False, True):
            self._refresh_view(connection, fresh)
            for row in self._rank_hosts(spec):
                if uow.claim(row.host, flavor, consumer):
                    self._count_claim(row, flavor)
                    return row
        raise exception.NoValidHost(reason=self._no_host_reason(spec))

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
        self._view = {
            row.host: Candidate(row, found, self._liveness.down_reason(found))
            for row in db_hosts.list_hosts(connection)
            if (found := services.get(row.host)) is not None
        }
        self._refreshed_at = now

    def _rank_hosts(self, spec: RequestSpec) -> list[Host]:
        """Return the hosts that pass the filters, the heaviest first."""
        passing = [
            candidate.row
            for candidate in list(self._view.values())
            if not any(check(candidate, spec) for check in FILTERS)
        ]
        free_by_host = [free_resources(row) for row in passing]
        maxima = {
            name: max((free[name] for free in free_by_host), default=0)
            for name in ('vcpus', 'memory_mb', 'disk_gb')
        }
        return sorted(
            passing, key=lambda row: (-_weigh(row, maxima), row.host)
        )

    def _count_claim(self, row: Host, flavor: Flavor) -> None:
        """Count the claim in the view, for the next selection."""
        known = self._view[row.host]
        claimed = dataclasses.replace(
            known.row,
            vcpus_used=known.row.vcpus_used + flavor.vcpus,
            memory_mb_used=known.row.memory_mb_used + flavor.memory_mb,
            disk_gb_used=known.row.disk_gb_used + flavor.disk_gb,
        )
        self._view[row.host] = dataclasses.replace(known, row=claimed)

    def _no_host_reason(self, spec: RequestSpec) -> str:
        reasons = list(self._reasons(spec))
        if not reasons:
            return 'There are no compute hosts.'
        return 'There are not enough hosts available: ' + '; '.join(reasons)

    def _reasons(self, spec: RequestSpec) -> Iterator[str]:
        for _, candidate in sorted(self._view.items()):
            for check in FILTERS:
                reason = check(candidate, spec)
                if reason is not None:
                    yield f'{candidate.row.host}: {reason}'
                    break
        if all(_is_requested_host(c, spec) for c in self._view.values()):
            yield f'{spec.requested_host}: no host has this name'

    # -- live migration ------------------------------------------------------

    def select_live_migration_host(
        self,
        instance: Instance,
        params: LiveMigrateParams,
        excluded_hosts: tuple[str, ...],
    ) -> LiveMigrationTarget:
        """Ask hosts until one can receive the guest; return its answer.

        Raises NoValidHost when every host refuses, and Unavailable, for a
        retry, when no host answers.
        """
        self._database.read(
            lambda connection: self._refresh_view(connection, True)
        )
        source = self._require_source(instance)
        if params.host is not None:
            dest = self._require_requested(instance, params.host, source)
            return self._check_destination(dest, instance, params, source)
        spec = RequestSpec(instance.flavor, excluded_hosts=excluded_hosts)
        refusals = []
        answered = False
        limit = CONF.scheduler.max_live_migration_candidates
        for row in self._rank_hosts(spec)[:limit]:
            try:
                _require_like_source(row, source)
                return self._check_destination(row, instance, params, source)
            except (
                exception.MigrationPreCheckError,
                exception.Unavailable,
            ) as error:
                LOG.debug(
                    'Host %s cannot receive instance %s: %s',
                    row.host,
                    instance.uuid,
                    error,
                )
                refusals.append(f'{row.host}: {error}')
                answered |= isinstance(error, exception.MigrationPreCheckError)
        why = '; '.join(refusals) or self._no_host_reason(spec)
        if refusals and not answered:
            raise exception.Unavailable(
                what='Every candidate destination', reason=why
            )
        raise exception.NoValidHost(reason=why)

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
        self, instance: Instance, requested_host: str, source: Host
    ) -> Host:
        found = [
            candidate
            for candidate in self._view.values()
            if requested_host
            in (candidate.row.host, candidate.row.hypervisor_hostname)
        ]
        if not found:
            raise exception.UnknownDestination(host=requested_host)
        (dest,) = found
        spec = RequestSpec(instance.flavor)
        if dest.row.host == source.host:
            raise exception.UnableToMigrateToSelf(
                instance_id=instance.uuid, host=requested_host
            )
        if dest.down_reason:
            raise exception.ComputeServiceUnavailable(host=requested_host)
        lacking = _has_resources(dest, spec)
        if lacking:
            raise exception.MigrationPreCheckError(
                reason=f'Unable to migrate {instance.uuid} to '
                f'{requested_host}: {lacking}'
            )
        _require_like_source(dest.row, source)
        return dest.row

    def _check_destination(
        self,
        dest: Host,
        instance: Instance,
        params: LiveMigrateParams,
        source: Host,
    ) -> LiveMigrationTarget:
        migrate_data = self._computes.for_host(
            dest.host
        ).check_can_live_migrate_destination(
            get_admin_context(),
            instance=instance,
            block_migration=params.block_migration,
            disk_over_commit=params.disk_over_commit,
            source=_as_source(source),
        )
        return LiveMigrationTarget(dest, migrate_data)


def _require_like_source(dest: Host, source: Host) -> None:
    if dest.hypervisor_type != source.hypervisor_type:
        raise exception.InvalidHypervisorType(
            source=source.hypervisor_type, destination=dest.hypervisor_type
        )
    if dest.hypervisor_version < source.hypervisor_version:
        raise exception.DestinationHypervisorTooOld(
            source=source.hypervisor_version,
            destination=dest.hypervisor_version,
        )


def _as_source(row: Host) -> LiveMigrateSource:
    return LiveMigrateSource(host=row.host, cpu_info=row.cpu_info)
