# SPDX-License-Identifier: Apache-2.0
"""Wishes: what flavors and images ask of a guest's hardware, by name.

Pure facts: no hypervisor and no option is in it. ``table`` has the names and
what each takes, ``kinds`` how a text is read, ``reading`` makes one typed
``Wishes`` of a flavor's extra specs and an image's properties. The api refuses
with it what no host could do, a driver reads from it what to do.

In the namespaces of ``table.OWNED`` nothing is accepted that is not in the
table: a server would not be what its flavor says. Extra specs of other
namespaces (``trait:``, ``aggregate_instance_extra_specs:``) are somebody
else's and have no effect here. Neither have properties of images that are not
in the table, as everybody may write these.
"""
