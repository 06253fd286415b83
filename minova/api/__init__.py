# SPDX-License-Identifier: Apache-2.0
"""The Compute API v2.1 over HTTP: what a request asks, and what it is told.

================ ===========================================================
app              the composition: middleware, resources, routes
routes           an endpoint is one row: method, path, handler, policy
ask              what a handler sees of a request
wsgi             the one map from error to HTTP reply
auth             who is asking: Keystone, the embedded identity, or nobody
microversion     which versions are spoken, and what each one changes
schemas          what a request may hold
views            how things are shown
edits            what is changed without an operation: names, metadata, tags
================ ===========================================================

The other modules are the resources, one file each. A handler is a function
of an ``Ask`` that returns what is to be shown. It catches nothing; it changes
an instance through ``operations.begin`` or ``edits`` and in no other way.
"""
