# SPDX-License-Identifier: Apache-2.0
"""The proxy through which browsers reach the screens of guests.

It knows neither database nor hypervisor: of each token it asks a conductor
what it is good for and where that is, and then carries bytes.
"""
