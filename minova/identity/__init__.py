# SPDX-License-Identifier: Apache-2.0
"""The small Identity v3 that comes with the all-in-one, in Keystone's place.

``embedded`` keeps users, projects and tokens; ``routes`` answers HTTP;
``client_files`` writes what the ``openstack`` client needs. It is not an
identity service for a deployment: its users are made once, at the first
start, and nobody can add one. Deployments use Keystone and import nothing
from here but ``durable``.
"""
