# SPDX-License-Identifier: Apache-2.0
"""minova-novncproxy: the consoles of guests in browsers and clients.

================ ============================================================
proxy            the server: pages and websockets, checks of origin and token
guest_connection the connection to a guest's console
console_relay    the relay between a websocket and a guest's console
origins          the origins whose pages may connect
client_files     the files of the clients noVNC and spice-html5
================ ============================================================

The proxy uses neither the database nor the hypervisor: a conductor validates
each token and returns the address of the guest's console.
"""
