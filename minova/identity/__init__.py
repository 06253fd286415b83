# SPDX-License-Identifier: Apache-2.0
"""The embedded identity service: a small Identity v3 in place of Keystone.

================ ===========================================================
records          the users, projects, roles and passwords
tokens           signed tokens, and the list of revoked ones
embedded         users, projects and tokens of a directory, without HTTP
login            POST /v3/auth/tokens: from a body to a token
routes           HTTP: versions and tokens
catalog_routes   HTTP: lists of users, projects, roles and the catalog
http_io          reading and validation of requests, also for images
client_files     clouds.yaml and openrc for the ``openstack`` client
atomic_files     files that a crash leaves complete, also for images
================ ===========================================================

It is not an identity service for a deployment: the first start creates its
users, and there is no way to add one. Deployments use Keystone.
"""
