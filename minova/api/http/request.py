# SPDX-License-Identifier: Apache-2.0
"""What a handler sees of a request: who asks, for what, in which version."""

from typing import Any

from minova import exception
from minova import states
from minova.api.backend import Backend
from minova.api.schemas import queries
from minova.api.views import servers as server_views
from minova.api.views.links import Links
from minova.conf import CONF
from minova.context import Context
from minova.db.queries import instances
from minova.db.queries import server_queries
from minova.engine import begin as engine_begin
from minova.objects.instance import Instance
from minova.objects.operation_params import NoParams
from minova.objects.operation_params import OperationParams
from minova.policy import Policy

_SERVERS = 'os_compute_api:servers'
_KINDS_WITHOUT_HOST = frozenset({'delete', 'force_delete'})


class ApiRequest:
    """One request to one endpoint, checked and ready to be answered."""

    def __init__(
        self,
        backend: Backend,
        policy: Policy,
        context: Context,
        version: int,
        links: Links,
        rule: str | None,
    ) -> None:
        """Take what does not depend on the body and the query."""
        self.backend = backend
        self.database = backend.database
        self.policy = policy
        self.context = context
        self.version = version
        self.links = links
        #: The policy rule of the endpoint.
        self.rule = rule
        #: The body, which its schema has let through.
        self.body: Any = None
        #: The parameters, by name, as values, and as they were given.
        self.query: dict[str, Any] = {}
        self.raw_query: queries.RawQuery = {}
        #: To be set in the reply.
        self.headers: dict[str, str] = {}
        #: The reply's status, if it is not the endpoint's usual one.
        self.status: int | None = None

    # -- who may -------------------------------------------------------------

    @property
    def scope(self) -> str | None:
        """The project whose things are seen; None for all."""
        return None if self.context.is_admin else self.project

    @property
    def project(self) -> str:
        """The project that is asked for; Forbidden without one."""
        if not self.context.project_id:
            raise exception.Forbidden(
                'This needs a token for a project; the one given is for none.'
            )
        return str(self.context.project_id)

    def allows(
        self,
        rule: str,
        project_id: str | None = None,
        user_id: str | None = None,
    ) -> bool:
        """Tell whether the caller may, with what is of that project."""
        return self.policy.is_allowed(self.context, rule, project_id, user_id)

    def require(
        self,
        rule: str,
        project_id: str | None = None,
        user_id: str | None = None,
    ) -> None:
        """Raise Forbidden unless the caller may."""
        self.policy.authorize(self.context, rule, project_id, user_id)

    def require_owner(self, thing: Any) -> None:
        """Raise Forbidden unless the endpoint is for the thing's owner."""
        assert self.rule is not None
        self.require(self.rule, thing.project_id, thing.user_id)

    # -- servers -------------------------------------------------------------

    def get_server(self, uuid: str, deleted: bool = False) -> Any:
        """Return the row of a server that the caller sees and may ask about.

        InstanceNotFound, or Forbidden by the endpoint's rule.
        """
        scope = self.scope
        row = self.database.read(
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
        """Return how servers (of that project) are shown to the caller."""
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
        """Tell whether servers are shown with where they are."""
        return self.allows('os_compute_api:os-extended-server-attributes')

    def shows_host_status(self) -> bool:
        """Tell whether servers are shown with the state of their host."""
        return self.version >= 16 and self.allows(
            f'{_SERVERS}:show:host_status'
        )

    def get_faults(self, *rows: Any) -> dict[str, dict[str, Any]]:
        """Return what went wrong with servers in error, by uuid."""
        uuids = [
            row.uuid
            for row in rows
            if row.vm_state in server_views.FAULT_STATES
        ]
        if not uuids:
            return {}
        return self.database.read(
            lambda connection: instances.get_latest_faults(connection, uuids)
        )

    # -- operations ----------------------------------------------------------

    def begin(
        self, kind: str, uuid: str, prepare: engine_begin.Prepare | None = None
    ) -> engine_begin.Begun:
        """Begin an operation on a server that the caller may change.

        ``prepare`` is called when the endpoint's rule and the state table
        allow the operation; see ``engine.begin``.
        """

        def require_host(
            connection: Any, instance: Instance
        ) -> OperationParams:
            if instance.host is None and kind not in _KINDS_WITHOUT_HOST:
                # It never had one: the operation that created it failed.
                verb = states.TABLE[kind].api_verb
                raise exception.Conflict(
                    f"Cannot '{verb}' instance {uuid}: it is on no host"
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
            self.require_owner,
        )

    def wake(self, begun: engine_begin.Begun) -> None:
        """Wake whoever owes the first step of what has begun."""
        self.backend.waker.wake(self.context, begun.wakeups)
