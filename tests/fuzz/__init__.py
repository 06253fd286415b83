# SPDX-License-Identifier: Apache-2.0
"""A fuzz of every endpoint: ``python -m tests.fuzz --requests 100000``.

It starts an all-in-one, sends requests as five callers (anonymous, a reader
and a member of a project, a member of another project, an administrator) and
checks each reply. In reading order:

``endpoints.py`` has the endpoints and their schemas, from the application
itself; ``values.py`` makes valid and hostile values; ``clients.py`` has the
callers, ``cloud.py`` the objects that they own, ``inventory.py`` their ids;
``generator.py`` makes the request of a number, ``framing.py`` its headers and
its bytes, ``raw_http.py`` sends them; ``checks.py`` judges replies;
``campaign.py`` runs it all; ``report.py`` prints the counts; ``process.py`` is
the all-in-one.
"""
