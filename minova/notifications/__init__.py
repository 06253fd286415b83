# SPDX-License-Identifier: Apache-2.0
"""Notifications: their types, payloads and delivery.

The transaction that changes an instance writes the notification of the change
to the outbox. No service emits a notification directly.

============ =================================================================
module       what it holds
============ =================================================================
events       the table of event types
payload      the payload of each event
audit_period audit periods: hours, days, months or years
envelope     the message on the broker
relay        the publication of the outbox by one conductor
ledger       the notifications of an instance, to read and to replay
verify       the comparison of a consumer's log with the ledger
exists_check the check of one exists for each instance and audit period
retention    the archive of old notifications and operations
============ =================================================================
"""
