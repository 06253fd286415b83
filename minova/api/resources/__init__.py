# SPDX-License-Identifier: Apache-2.0
"""The handlers of the API, one module per resource.

====================== =====================================================
servers                list, show and update servers; addresses
server_create          POST /servers
requested_host         the zone or host in the body of a create or migration
requested_networks     the networks in the body of a create
boot_images            the image of a server: checks, and the copied fields
server_filters         filters and sort keys of server lists
server_update          changes of a server without an operation
server_metadata        the metadata of a server
server_tags            the tags of a server
server_actions         POST /servers/{id}/action: the table of actions
deferred_delete        delete, soft delete, restore, force-delete
shelve                 shelve, shelveOffload, unshelve
migrate_server         resize, cold and live migration, confirm, revert
create_image           createImage and createBackup
rescue                 rescue and unrescue
rebuild                rebuild
lock                   lock and unlock
reset_state            os-resetState
evacuate               evacuate
vtpm                   the refusal of operations that would lose a TPM
interfaces             the network interfaces of a server
consoles               console output, remote consoles, console tokens
server_diagnostics     the diagnostics and the NUMA topology of a server
admin_password         the password of the administrator in a server
crash_dump             the trigger of a crash dump
host_calls             requests that the host of a server answers
instance_actions       the operations of a server and their events
migrations             migrations; abort and force-complete of a live one
flavors                flavors
flavor_access          the projects that may use a flavor that is not public
flavor_extra_specs     the extra specs of a flavor
flavor_lookup          the flavors that a caller may see and use
key_pairs              key pairs
key_material           public keys: formats, fingerprints, generation
limits                 the limits of a project and its usage
quota_sets             quota sets and quota class sets
tenant_usage           the hours of the servers of projects
usage_audit_log        the audits of usage, by host
services               compute services and conductors
hypervisors            hypervisors and their totals
availability_zones     availability zones
aggregates             host aggregates, and the zones that they give to hosts
external_events        what other services report about servers
server_groups          server groups, and the servers that join them
scheduler_hints        the scheduler hints of a new server
networks               os-networks, read only
hosts                  os-hosts, for clients of the first versions
images                 the image service, for clients of the first versions
floating_ips           floating IPs, of which there are none
security_groups        security groups, of which there are none
extensions             the aliases of what the API offers
gone                   endpoints that the Compute API has removed
versions               the version documents
====================== =====================================================
"""
