# SPDX-License-Identifier: Apache-2.0
"""``ApiRequest``, the only argument of every handler."""

from collections.abc import Callable
from typing import Any
from typing import Protocol

from minova import clock
from minova import exception
from minova import states
from minova.api.backend import Backend
from minova.api.schemas import queries
from minova.api.schemas.bodies import BodySchema
from minova.api.views import servers as server_views
from minova.api.views.links import Links
from minova.conf import CONF
from minova.context import Context
from minova.db.connections.engine import Connection
from minova.db.queries import instances
from minova.db.queries import operations
from minova.db.queries import server_queries
from minova.engine import begin as engine_begin
from minova.objects.instance import Instance
from minova.objects.operation import Operation
from minova.objects.operation_params import NoParams
from minova.objects.operation_params import OperationParams
from minova.policy import Policy

_SERVERS = 'os_compute_api:servers'
_KINDS_WITHOUT_HOST = frozenset(
    {
        'delete',
        'force_delete',
        'restore',
        'unshelve',
        'lock',
        'unlock',
        'reset_state',
    }
)
#: Seconds between two looks at an operation that a request waits for.
_POLL_INTERVAL = 0.1
_KINDS_DESPITE_LOCK = frozenset({'lock', 'unlock', 'reset_state'})


class _Owned(Protocol):
    project_id: str
    user_id: str


class ApiRequest:
    """One request to one endpoint, authenticated and validated."""

    def __init__(
        self,
        backend: Backend,
        policy: Policy,
        context: Context,
        version: int,
        links: Links,
        rule: str | None,
    ) -> None:
        """Take everything that does not depend on the body and the query."""
        self.backend = backend
        self.database = backend.database
        self.policy = policy
        self.context = context
        self.version = version
        self.links = links
        #: The policy rule of the endpoint.
        self.rule = rule
        #: The body, as the schema of the endpoint allows it.
        self.body: Any = None
        #: The parsed query parameters by name, and the raw ones.
        self.query: dict[str, Any] = {}
        self.raw_query: queries.RawQuery = {}
        #: Tells whether a project exists, as far as that is known.
        self.has_project: Callable[[str], bool] = lambda project_id: True
        #: The request is below /v2.
        self.is_legacy = False
        #: The URL of the resource that was created; quoted in the reply.
        self.location: str | None = None
        #: The status of the reply, if it is not the endpoint's default.
        self.status: int | None = None

    def validate_body(self, schema: BodySchema) -> None:
        """Raise InvalidInput unless the body matches.

        Below /v2 unknown fields are removed instead.
        """
        schema.validate(self.body, self.version, self.is_legacy)

    # -- who may -------------------------------------------------------------

    @property
    def scope(self) -> str | None:
        """The project whose resources are visible; None for all projects."""
        return None if self.context.is_admin else self.project

    @property
    def project(self) -> str:
        """The project of the token; other tokens do not get here."""
        return str(self.context.project_id)

    def allows(
        self,
        rule: str,
        project_id: str | None = None,
        user_id: str | None = None,
    ) -> bool:
        """Return whether policy allows ``rule`` on that owner's resource."""
        return self.policy.is_allowed(self.context, rule, project_id, user_id)

    def require(
        self,
        rule: str,
        project_id: str | None = None,
        user_id: str | None = None,
    ) -> None:
        """Raise Forbidden unless policy allows ``rule``."""
        self.policy.authorize(self.context, rule, project_id, user_id)

    def require_owner(self, thing: _Owned) -> None:
        """Raise Forbidden unless the endpoint's rule allows this resource."""
        assert self.rule is not None
        self.require(self.rule, thing.project_id, thing.user_id)

    def require_unlocked(self, instance: Instance) -> None:
        """Raise InstanceIsLocked unless the caller may change the server."""
        if instance.locked and not self.context.is_admin:
            raise exception.InstanceIsLocked(instance_id=instance.uuid)

    # -- servers -------------------------------------------------------------

    def get_server(
        self, uuid: str, deleted: bool = False
    ) -> server_views.ServerRow:
        """Return the row of a server that is visible to the caller.

        InstanceNotFound, or Forbidden by the endpoint's rule.
        """
        scope = self.scope
        row: server_views.ServerRow | None = self.database.read(
            lambda connection: server_queries.find(
                connection, uuid, scope, deleted=deleted
            )
        )
        if row is None:
            raise exception.InstanceNotFound(instance_id=uuid)
        self.require_owner(row)
        return row

    def make_server_view(
        self, project_id: str | None = None
    ) -> server_views.ServerView:
        """Return the view of servers (of that project) for the caller."""
        down_time = None
        if self.shows_host_status():
            down_time = CONF.conductor.service_down_time
        return server_views.ServerView(
            version=self.version,
            links=self.links,
            is_admin=bool(self.context.is_admin),
            shows_host=self.shows_host(),
            down_time=down_time,
            shows_extra_specs=self.version < 47
            or self.allows(f'{_SERVERS}:show:flavor-extra-specs', project_id),
        )

    def shows_host(self) -> bool:
        """Return whether servers include their host."""
        return self.allows('os_compute_api:os-extended-server-attributes')

    def shows_host_status(self) -> bool:
        """Return whether servers include the state of their host."""
        return self.version >= 16 and self.allows(
            f'{_SERVERS}:show:host_status'
        )

    def get_faults(
        self, *rows: server_views.ServerRow
    ) -> dict[str, server_views.Fault]:
        """Return the latest faults of servers in error, by uuid."""
        uuids = [
            row.uuid
            for row in rows
            if row.vm_state in server_views.FAULT_STATES
        ]
        if not uuids:
            return {}
        found = self.database.read(
            lambda connection: instances.get_latest_faults(connection, uuids)
        )
        return {
            uuid: server_views.Fault(
                code=fault['code'],
                created_at=fault['created_at'],
                message=fault['message'],
            )
            for uuid, fault in found.items()
        }

    # -- operations ----------------------------------------------------------

    def begin(
        self, kind: str, uuid: str, prepare: engine_begin.Prepare | None = None
    ) -> engine_begin.Begun:
        """Begin an operation on a server that the caller may change.

        ``prepare`` as for ``engine.begin``: it runs after the endpoint's rule
        and the state table have allowed the operation.
        """

        def authorize(instance: Instance) -> None:
            self.require_owner(instance)
            if kind not in _KINDS_DESPITE_LOCK:
                self.require_unlocked(instance)

        def require_host(
            connection: Connection, instance: Instance
        ) -> OperationParams:
            if instance.host is None and kind not in _KINDS_WITHOUT_HOST:
                # The build failed before a host was selected.
                verb = states.TABLE[kind].api_verb
                raise exception.Conflict(
                    f"Cannot '{verb}' instance {uuid}: it has no host"
                )
            return prepare(connection, instance) if prepare else NoParams()

        return engine_begin.begin(
            self.database,
            self.context,
            kind,
            uuid,
            self.backend.publisher_id,
            require_host,
            self.scope,
            authorize,
        )

    def run(self, begun: engine_begin.Begun) -> Operation | None:
        """Wake the services; return the operation at its end.

        Waits at most ``[api] conductor_timeout`` seconds and returns None
        then; the operation continues without the request.
        """
        self.wake(begun)
        until = clock.monotonic() + CONF.api.conductor_timeout
        while True:
            found: Operation | None = self.database.read(
                lambda connection: operations.get(
                    connection, begun.operation.id
                )
            )
            if found is not None and found.finished_at is not None:
                return found
            if clock.monotonic() >= until:
                return None
            clock.sleep(_POLL_INTERVAL)

    def wake(self, begun: engine_begin.Begun) -> None:
        """Wake the services that have the first steps of an operation."""
        self.backend.waker.wake(self.context, begun.wakeups)
