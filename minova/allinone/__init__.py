# SPDX-License-Identifier: Apache-2.0
"""Everything in one process, for a laptop: no broker, no server of databases.

The services are the real ones. What stands in for the rest of a cloud is the
in-memory bus, SQLite, embedded hypervisors, and small identity and image
services on the API's own port. All of it lives below one data directory and
is found there by the next start.
"""
