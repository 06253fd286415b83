# SPDX-License-Identifier: Apache-2.0
"""The workflow engine: an action is a durable record, not a thread.

================= ============================================================
begin             the begin of an operation, in one transaction
step_lifecycle    a compute step: start, checkpoints, finish or failure
conductor_steps   a conductor step, in one transaction
unit_of_work      what one transaction changes of an instance and an operation
notice_buffer     the notifications of one transaction
placements        claims of hosts, with the NUMA cells and CPUs of guests
resource_claims   what an instance holds: claims, a place in a server group
outbox_rows       the rows of the outbox
migration_records the records of migrations and the one writer of their status
step_records      steps: how they are locked, and the wake-ups for them
unwind            the rollback of a failed operation, the newest step first
recovery          steps of hosts that are down, operations past their deadline
recovery_rules    what happens to a step without its host, or past the deadline
service_liveness  when a service is down
sender_keys       the keys of api, conductors and computes, and the own one
evacuation        when a server may leave a host that is down
state_reset       what a reset of the state of a server has to settle
host_enrollment   which key a host has: enrolled, replaced, revoked
waits             the waits of an operation: recorded, logged, ended
wait_reason       the texts of what an operation waits for
operation_log     what an operator reads about an operation in the log
next_steps        what happens next to an open operation, as text
operator_actions  what operators may do to it: retry, abandon
timeline          what happened to an instance, read from the records
console_tokens    tokens that open a console
rpc_pins          operations whose steps a pinned compute does not have
================= ============================================================

The row of a step is the truth, a message only a wake-up: a service that is
woken twice, late or by mistake finds the step started or fenced and does
nothing.
"""
