# SPDX-License-Identifier: Apache-2.0
"""Operations: an action is a durable record, not a thread in some process.

========= ==================================================================
begin     in one transaction: the state table is asked, the instance taken,
          the first step owed, the notifications written
baton     a step is taken, saved in the middle, ended; the next one is owed
unwind    a failed operation is taken back, the newest step first
overdue   what nobody works on: dead hosts, deadlines
waiting   for what an operation waits, and since when
outlook   what happens next, read from the records
intervene what operators may do: retry, abandon
journal   what was decided beside the plain course, in the log
book      an instance and an operation, open in one transaction
========= ==================================================================

The row is the truth, a message is only a wake-up: whoever is woken twice, or
late, or by mistake finds the step taken or fenced and does nothing.
"""
