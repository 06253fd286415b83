# SPDX-License-Identifier: Apache-2.0
"""The embedded identity service: a small Identity v3 in place of Keystone.

================== =========================================================
records            users, projects, roles, assignments: all accounts
passwords          hashes of passwords
account_file       the files of the accounts, and the first start
changes            changes of the accounts
tokens             signed tokens, and the list of revoked ones
embedded           accounts and tokens of a directory, without HTTP
login              POST /v3/auth/tokens: from a body to a token
routes             HTTP: versions and tokens
resource_types     HTTP: collections and members of any type
schemas            the bodies of requests that change accounts
account_routes     HTTP: domains, projects, users, roles
assignment_routes  HTTP: the roles of users on projects
credential_routes  HTTP: application credentials
catalog_routes     HTTP: services, endpoints and regions
http_io            reading and validation of requests, also for images
client_files       clouds.yaml and openrc for the ``openstack`` client
================== =========================================================

It is for one process, one domain and thousands of accounts: a change rewrites
its file. There are no groups, no federation, no quotas and no tokens for a
domain or the system. Larger deployments use Keystone.
"""
