# SPDX-License-Identifier: Apache-2.0
"""The commands: one module per process, which reads options and runs it.

==================== =========================================================
api                  minova-api
wsgi                 the API for a WSGI server such as uWSGI
conductor            minova-conductor
compute              minova-compute
novncproxy           minova-novncproxy
allinone             minova-allinone: a cloud in one process
manage               minova-manage, put together from its groups of commands
manage_db            minova-manage db
manage_host          minova-manage host
manage_broker        minova-manage broker
manage_network       minova-manage network
manage_quota         minova-manage quota
manage_operation     minova-manage operation
manage_timeline      minova-manage timeline
manage_audit         minova-manage audit
manage_notifications minova-manage notifications
manage_archive       minova-manage archive
manage_states        minova-manage states
diagrams             the tables and diagrams that manage_states prints
database             the database connection of minova-manage
simulate             minova-simulate: the simulation of a cloud with faults
rig                  minova-rig: libvirt hosts for tests and trials
fake_hypervisor      minova-fake-hypervisor: the fake hosts of several computes
commands             commands with sub-commands
time_limit           the time limit of a command
argument_types       types of arguments: times, numbers, directories
==================== =========================================================
"""
