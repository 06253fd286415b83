# SPDX-License-Identifier: Apache-2.0
"""The WSGI application: middleware in its order, then the routes.

A request first gets its ids, then a check of its URL, its caller and its
microversion. The
routes are those of ``resources`` and, where the embedded identity and image
services run, those of these services. The catalog of the embedded identity
names a network service, so that runs with it.
"""

from collections.abc import Iterable
from collections.abc import Mapping
from typing import Final

import falcon

from minova import images as image_service
from minova.api.backend import Backend
from minova.api.http import auth
from minova.api.http import errors
from minova.api.http import middleware
from minova.api.http import replies
from minova.api.http import routes
from minova.api.http.routes import Route
from minova.api.resources import admin_password
from minova.api.resources import aggregates
from minova.api.resources import availability_zones
from minova.api.resources import consoles
from minova.api.resources import extensions
from minova.api.resources import external_events
from minova.api.resources import flavor_access
from minova.api.resources import flavor_extra_specs
from minova.api.resources import flavors
from minova.api.resources import floating_ips
from minova.api.resources import gone
from minova.api.resources import hosts
from minova.api.resources import hypervisors
from minova.api.resources import images
from minova.api.resources import instance_actions
from minova.api.resources import interfaces
from minova.api.resources import key_pairs
from minova.api.resources import limits
from minova.api.resources import migrations
from minova.api.resources import networks
from minova.api.resources import quota_sets
from minova.api.resources import security_groups
from minova.api.resources import server_actions
from minova.api.resources import server_create
from minova.api.resources import server_diagnostics
from minova.api.resources import server_groups
from minova.api.resources import server_metadata
from minova.api.resources import server_tags
from minova.api.resources import servers
from minova.api.resources import services
from minova.api.resources import tenant_usage
from minova.api.resources import usage_audit_log
from minova.api.resources import versions
from minova.conf import CONF
from minova.identity import routes as identity_routes
from minova.identity.embedded import Identity
from minova.images import embedded as embedded_images
from minova.images import routes as image_routes
from minova.network import routes as network_routes
from minova.policy import Policy

#: Every endpoint of the Compute API, below /v2.1.
ROUTES: Final[tuple[Route, ...]] = (
    *servers.ROUTES,
    *server_create.ROUTES,
    *server_actions.ROUTES,
    *consoles.ROUTES,
    *server_metadata.ROUTES,
    *server_tags.ROUTES,
    *admin_password.ROUTES,
    *server_diagnostics.ROUTES,
    *instance_actions.ROUTES,
    *migrations.ROUTES,
    *flavors.ROUTES,
    *flavor_access.ROUTES,
    *flavor_extra_specs.ROUTES,
    *interfaces.ROUTES,
    *hosts.ROUTES,
    *gone.ROUTES,
    *images.ROUTES,
    *floating_ips.ROUTES,
    *extensions.ROUTES,
    *external_events.ROUTES,
    *key_pairs.ROUTES,
    *services.ROUTES,
    *hypervisors.ROUTES,
    *availability_zones.ROUTES,
    *networks.ROUTES,
    *security_groups.ROUTES,
    *aggregates.ROUTES,
    *server_groups.ROUTES,
    *limits.ROUTES,
    *quota_sets.ROUTES,
    *tenant_usage.ROUTES,
    *usage_audit_log.ROUTES,
)


def open_images() -> image_service.ImageService:
    """Return the image service that the configuration names."""
    images = image_service.load()
    if isinstance(images, embedded_images.EmbeddedImages):
        images.recover()
    return images


def make_app_from_configuration(backend: Backend) -> errors.App:
    """Return the WSGI application for the ``[api] auth_strategy`` in use.

    With ``embedded`` the application includes the identity and the network
    service, and the image service if the backend's images are embedded.
    """
    identity = None
    if CONF.api.auth_strategy == 'embedded':
        identity = Identity(CONF.identity.directory)
    images = backend.images
    own = (
        images if isinstance(images, embedded_images.EmbeddedImages) else None
    )
    return make_app(backend, identity, own)


def make_app(
    backend: Backend,
    identity: Identity | None = None,
    images: embedded_images.EmbeddedImages | None = None,
) -> errors.App:
    """Return the application.

    With ``identity`` the application also serves identity and networks, under
    /identity and /network, with ``images`` images under /image. ConfigInvalid
    when ``[api] auth_strategy`` is ``embedded`` and ``identity`` is missing,
    or ``keystone`` with incomplete options.
    """
    policy = Policy(CONF)
    public = auth.PUBLIC
    mounted: dict[str, errors.ErrorBody] = {}
    companions: list[tuple[str, object]] = []
    if identity is not None:
        public |= identity_routes.PUBLIC
        companions += identity_routes.routes(identity)
        mounted['/identity'] = identity_routes.error_body
        public |= network_routes.PUBLIC
        companions += network_routes.routes(backend.database)
        mounted['/network'] = network_routes.error_body
    if images is not None:
        public |= image_routes.PUBLIC
        companions += image_routes.routes(images)
        mounted['/image'] = image_routes.error_body
    app: errors.App = falcon.App(
        response_type=replies.SafeResponse,
        middleware=[
            middleware.RequestIds(),
            middleware.BoundedUrl(),
            auth.AuthMiddleware(auth.load_strategy(identity), policy, public),
            middleware.Microversion(_first_path_segments(ROUTES)),
        ],
    )
    app.req_options.strip_url_path_trailing_slash = True
    _add_resources(
        app, routes.build_resources(versions.ROUTES, backend, policy), ''
    )
    _add_resources(
        app, routes.build_resources(ROUTES, backend, policy), '/v2.1'
    )
    # The router strips slashes at the end, so a path with one is a duplicate.
    _add_resources(
        app, {p: r for p, r in companions if not p.endswith('/')}, ''
    )
    errors.install_error_handlers(app, mounted)
    return app


def _first_path_segments(routes: Iterable[Route]) -> frozenset[str]:
    return frozenset(route.path.split('/')[1] for route in routes)


def _add_resources(
    app: errors.App, resources: Mapping[str, object], prefix: str
) -> None:
    for path, resource in resources.items():
        app.add_route(prefix + path, resource)
