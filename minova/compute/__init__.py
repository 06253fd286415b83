# SPDX-License-Identifier: Apache-2.0
"""The compute: acts, on one host, on what that host owes.

It has no database. What it needs of a step it is told when it takes the step,
what it has done it tells the conductor, until it has an answer.
"""
