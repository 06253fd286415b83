# SPDX-License-Identifier: Apache-2.0
"""Scheduling: filters and weighers over what is known of the hosts.

The view of the hosts may be a second old and another conductor may choose at
the same moment: what counts is the claim, which the database checks. A host
whose claim fails is passed over; when all fail the view is renewed once.
"""

from collections.abc import Callable
from collections.abc import Iterator
import dataclasses
from typing import Any

from oslo_log import log as logging
import sqlalchemy as sa

from minova import clock
from minova import exception
from minova import states
from minova.conductor.hearing import Hearing
from minova.conf import CONF
from minova.context import internal
from minova.db import hosts as db_hosts
from minova.db import operations
from minova.db.engine import Database
from minova.db.hosts import Host
from minova.db.hosts import Service
from minova.flows.chain import Book
from minova.flows.chain import Facts
from minova.objects.flavor import Flavor
from minova.objects.instance import Instance
from minova.rpc.compute import Computes

LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A host and its compute service."""

    row: Host
    service: Service
    #: Why its compute is taken to be down, None when it is not.
    down: str | None


@dataclasses.dataclass(frozen=True)
class Wish:
    """What is looked for."""

    flavor: Flavor
    wanted: str | None = None
    zone: str | None = None
    excluded: tuple[str, ...] = ()


#: Returns why a host does not do, None when it does.
Filter = Callable[[Candidate, Wish], str | None]


def _alive(candidate: Candidate, wish: Wish) -> str | None:
    return candidate.down


def _enabled(candidate: Candidate, wish: Wish) -> str | None:
    if not candidate.service.disabled:
        return None
    reason = candidate.service.disabled_reason
    return f'it is disabled ({reason})' if reason else 'it is disabled'


def _not_excluded(candidate: Candidate, wish: Wish) -> str | None:
    if candidate.row.host not in wish.excluded:
        return None
    return 'it has the server now, or was tried before'


def _is_wanted(candidate: Candidate, wish: Wish) -> str | None:
    names = (candidate.row.host, candidate.row.hypervisor_hostname)
    if wish.wanted is None or wish.wanted in names:
        return None
    return f'{wish.wanted} is wanted'


def _in_zone(candidate: Candidate, wish: Wish) -> str | None:
    if wish.zone in (None, candidate.row.availability_zone):
        return None
    return f'it is in zone {candidate.row.availability_zone}'


def _has_room(candidate: Candidate, wish: Wish) -> str | None:
    room = free(candidate.row)
    flavor = wish.flavor
    for name, need, unit in (
        ('vcpus', flavor.vcpus, 'vcpus'),
        ('memory_mb', flavor.memory_mb, 'MiB of memory'),
        ('disk_gb', flavor.disk_gb, 'GiB of disk'),
    ):
        if need > room[name]:
            return f'{room[name]:.0f} of {need} {unit} are free'
    return None


FILTERS: tuple[Filter, ...] = (
    _not_excluded,
    _is_wanted,
    _alive,
    _enabled,
    _in_zone,
    _has_room,
)


def free(row: Host) -> dict[str, float]:
    """Return what of a host can still be promised."""
    memory = (row.memory_mb - row.reserved_memory_mb) * row.memory_ratio
    disk = (row.disk_gb - row.reserved_disk_gb) * row.disk_ratio
    return {
        'vcpus': row.vcpus * row.cpu_ratio - row.vcpus_used,
        'memory_mb': memory - row.memory_mb_used,
        'disk_gb': disk - row.disk_gb_used,
    }


def _weight(row: Host, most: dict[str, float]) -> float:
    """Return how good a host is: its free room against the best one's."""
    room, options = free(row), CONF.scheduler
    parts = (
        ('memory_mb', options.ram_weight_multiplier),
        ('vcpus', options.cpu_weight_multiplier),
        ('disk_gb', options.disk_weight_multiplier),
    )
    weight = 0.0
    for name, factor in parts:
        if most[name] > 0:
            weight += factor * room[name] / most[name]
    return weight


class Desk:
    """What one conductor knows of the hosts, and decides with."""

    def __init__(
        self, database: Database, computes: Computes, hearing: Hearing
    ) -> None:
        self._database = database
        self._computes = computes
        self._hearing = hearing
        self._view: dict[str, Candidate] = {}
        self._seen_at = float('-inf')

    # -- placing -------------------------------------------------------------

    def place(
        self,
        book: Book,
        flavor: Flavor,
        holder: str,
        wanted: str | None = None,
        zone: str | None = None,
        excluded: tuple[str, ...] = (),
    ) -> Host:
        """Choose a host and claim room on it, to be held by ``holder``."""
        wish = Wish(flavor, wanted, zone, excluded)
        connection: sa.Connection = book.connection  # type: ignore[attr-defined]
        for fresh in (False, True):
            self._look(connection, fresh)
            for row in self._ranked(wish):
                if book.claim(row.host, flavor, holder):
                    self._note_claim(row, flavor)
                    return row
        raise exception.NoValidHost(reason=self._why_not(wish))

    def _look(self, connection: sa.Connection, fresh: bool) -> None:
        now = clock.monotonic()
        until = self._seen_at + CONF.scheduler.host_view_seconds
        if now < until and not fresh:
            return
        services = {
            service.host: service
            for service in db_hosts.services(connection, operations.COMPUTE)
        }
        self._view = {
            row.host: Candidate(row, found, self._hearing.down(found))
            for row in db_hosts.hosts(connection)
            if (found := services.get(row.host)) is not None
        }
        self._seen_at = now

    def _ranked(self, wish: Wish) -> list[Host]:
        """Return the hosts that pass, the best first."""
        fit = [
            candidate.row
            for candidate in list(self._view.values())
            if not any(check(candidate, wish) for check in FILTERS)
        ]
        rooms = [free(row) for row in fit]
        most = {
            name: max((room[name] for room in rooms), default=0)
            for name in ('vcpus', 'memory_mb', 'disk_gb')
        }
        return sorted(fit, key=lambda row: (-_weight(row, most), row.host))

    def _note_claim(self, row: Host, flavor: Flavor) -> None:
        """Count the claim in the view, so that the next one goes elsewhere."""
        known = self._view[row.host]
        claimed = dataclasses.replace(
            known.row,
            vcpus_used=known.row.vcpus_used + flavor.vcpus,
            memory_mb_used=known.row.memory_mb_used + flavor.memory_mb,
            disk_gb_used=known.row.disk_gb_used + flavor.disk_gb,
        )
        self._view[row.host] = dataclasses.replace(known, row=claimed)

    def _why_not(self, wish: Wish) -> str:
        reasons = list(self._reasons(wish))
        if not reasons:
            return 'There are no compute hosts.'
        return 'There are not enough hosts available: ' + '; '.join(reasons)

    def _reasons(self, wish: Wish) -> Iterator[str]:
        for _, candidate in sorted(self._view.items()):
            for check in FILTERS:
                reason = check(candidate, wish)
                if reason is not None:
                    yield f'{candidate.row.host}: {reason}'
                    break
        if all(_is_wanted(c, wish) for c in self._view.values()):
            yield f'{wish.wanted}: there is no such host'

    # -- live migration ------------------------------------------------------

    def check_live_migration(
        self, instance: Instance, params: Facts, excluded: tuple[str, ...]
    ) -> Facts:
        """Ask hosts until one can receive the guest; return its answer.

        NoValidHost when they refuse; Unavailable, to be asked again, when
        not one of them has answered.
        """
        self._database.read(lambda connection: self._look(connection, True))
        source = self._require_source(instance)
        wanted = params.get('host')
        if wanted is not None:
            dest = self._require_wanted(instance, wanted, source)
            return self._ask(dest, instance, params, source)
        wish = Wish(instance.flavor, excluded=excluded)
        refusals = []
        answered = False
        most = CONF.scheduler.max_live_migration_candidates
        for row in self._ranked(wish)[:most]:
            try:
                _require_like_source(row, source)
                return self._ask(row, instance, params, source)
            except (
                exception.MigrationRefused,
                exception.Unavailable,
            ) as error:
                uuid = instance.uuid
                LOG.info('%s cannot receive %s: %s', row.host, uuid, error)
                refusals.append(f'{row.host}: {error}')
                answered |= isinstance(error, exception.MigrationRefused)
        why = '; '.join(refusals) or self._why_not(wish)
        if refusals and not answered:
            raise exception.Unavailable(what='Any destination', reason=why)
        raise exception.NoValidHost(reason=why)

    def _require_source(self, instance: Instance) -> Host:
        if instance.power_state not in states.ON:
            raise exception.MigrationRefused(
                reason=f'the guest of {instance.uuid} does not run'
            )
        source = self._view.get(str(instance.host))
        if source is None or source.down:
            raise exception.ComputeServiceUnavailable(host=instance.host)
        return source.row

    def _require_wanted(
        self, instance: Instance, wanted: str, source: Host
    ) -> Host:
        found = [
            candidate
            for candidate in self._view.values()
            if wanted
            in (candidate.row.host, candidate.row.hypervisor_hostname)
        ]
        if not found:
            raise exception.UnknownDestination(host=wanted)
        (dest,) = found
        wish = Wish(instance.flavor)
        if dest.row.host == source.host:
            raise exception.UnableToMigrateToSelf(
                instance_id=instance.uuid, host=wanted
            )
        if dest.down:
            raise exception.ComputeServiceUnavailable(host=wanted)
        lacking = _has_room(dest, wish)
        if lacking:
            raise exception.MigrationRefused(
                reason=f'Unable to migrate {instance.uuid} to {wanted}: '
                f'{lacking}'
            )
        _require_like_source(dest.row, source)
        return dest.row

    def _ask(
        self, dest: Host, instance: Instance, params: Facts, source: Host
    ) -> Facts:
        plan = self._computes.at(dest.host).check_can_live_migrate_destination(
            internal(),
            instance=instance,
            block_migration=params.get('block_migration'),
            disk_over_commit=params.get('disk_over_commit'),
            source=_as_source(source),
        )
        return {
            'host': dest.host,
            'node': dest.hypervisor_hostname,
            'address': dest.address,
            'plan': plan,
        }


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


def _as_source(row: Host) -> dict[str, Any]:
    return {
        'host': row.host,
        'address': row.address,
        'hypervisor_hostname': row.hypervisor_hostname,
        'hypervisor_type': row.hypervisor_type,
        'hypervisor_version': row.hypervisor_version,
        'cpu_info': row.cpu_info,
    }
