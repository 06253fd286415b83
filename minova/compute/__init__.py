# SPDX-License-Identifier: Apache-2.0
"""The compute service: runs the steps of one host.

A compute has no database. The conductor assigns a step with all its data, and
the compute reports the result to the conductor until it is answered.

================= ===========================================================
module            what it holds
================= ===========================================================
service           the service: its parts, start, heartbeats, stop
manager           the server of the compute's RPC interface
step_runner       the threads and locks in which steps run
step_context      one running step, as the flows see it
step_secrets      the secrets of steps, in memory only
change_tracker    whether a step may have changed its guest
host_key          the key of the host, in its state directory
enrollment        the proof of who the compute is, and the keys of others
conductor_client  calls to conductors and to other computes, with retries
hypervisor_health whether the hypervisor answers, for the heartbeats
stale_guests      the removal of guests that other hosts have taken over
power_sync        the comparison of the guests' power states with the database
consoles          console output, and addresses of consoles for clients
console_listener  the listener by which proxies reach serial consoles
image_cache       the images of the host: download, use and expiry
image_store       the files, locks and marks of the image cache
image_uploads     the images that a step stores: snapshots and backups
================= ===========================================================
"""
