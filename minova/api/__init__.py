# SPDX-License-Identifier: Apache-2.0
"""The OpenStack Compute API v2.1 over HTTP.

================ ===========================================================
http/            the framework: routes, requests, errors, authentication,
                 microversions
schemas/         the bodies and queries that requests may have
resources/       the handlers, one module per resource
views/           the documents in replies
backend          the database, the clients and the image service that
                 handlers use
app              the composition: middleware, resources, routes
================ ===========================================================

A handler is a function of an ``ApiRequest`` that returns the document of the
reply. It has no ``except``: ``http/errors.py`` maps every error to a reply. It
changes an instance through ``engine.begin`` or ``server_update`` only.
"""
