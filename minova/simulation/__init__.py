# SPDX-License-Identifier: Apache-2.0
"""The simulation: a whole cloud in one process, with injected faults.

============== ===============================================================
scheduler      tasks and virtual time: one task runs at a time
clock          the clock, events, locks and pools of the services
network        the message broker
database       the database: SQLite in memory
hypervisor     the hypervisors and their disks
image_service  the image service
faults         the numbered points at which faults are injected
machines       the service processes: how they are built, killed and restarted
cloud          one simulated cloud: an api, conductors, computes
user           the user, whose requests are a scenario
actions        requests, waits, and changes on the hosts
evacuation     the death and the return of a host
fencing        the fence agent of the hosts, and its sicknesses
resets         waits for short phases, a compute that crashes
server_groups  two servers that must be on two hosts
pinned_guests  guests with CPUs and huge pages of their own, and their check
scenarios      what a user does: at least one scenario per operation
invariants     the checks of the invariants
usage_check    the check of the usage audit
image_check    the check of the images that snapshots have made
guest_effects  the checks of the effects that actions have on guests
shelve_check   the check of shelved servers and their images
forks          many runs that share their beginning
runs           one run: a scenario, a seed, faults, and what the checks found
explore        campaigns: many runs of one kind
planted_faults the functions of the mutants
mutants        the code without one of its guards, which campaigns must detect
trace          the timeline of a run as text
============== ===============================================================

The services run unchanged on simulated seams: the clock with its threads, the
message bus, the database and the hypervisors. The seed decides the order of
events; each point at which a fault may strike has a number. No service loads
this package.
"""
