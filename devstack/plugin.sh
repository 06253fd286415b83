# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# DevStack sources this plugin in each of its phases. A multi-node DevStack then
# runs Minova instead of Nova: minova-api, minova-cond and minova-novnc on the
# controller, minova-cpu on every node.

# uses_qemu: whether the guests of this node are virtual machines.
function uses_qemu {
    is_service_enabled minova-cpu && [[ "$MINOVA_LIBVIRT_URI" == qemu* ]]
}

function install_minova {
    local extras=keystone
    if is_service_enabled minova-api minova-cond; then
        extras+=,mysql,postgresql
    fi
    if is_service_enabled minova-cpu; then
        # The Python binding is built against libvirt's headers.
        install_package gcc libvirt-dev pkg-config python3-dev
        extras+=,libvirt
    fi
    if uses_qemu; then
        install_package e2fsprogs libvirt-clients libvirt-daemon-system \
            qemu-system-x86 qemu-utils util-linux
    fi
    if is_service_enabled minova-novnc; then
        install_package novnc
    fi
    setup_develop "$MINOVA_DIR" "$extras"
}

# configure_qemu: run QEMU as the account of minova-compute, because both use
# the same files.
function configure_qemu {
    local conf=/etc/libvirt/qemu.conf group
    group=$(id -g -n "$STACK_USER")
    sudo sed -i -E '/^(user|group) *=/d' "$conf"
    printf 'user = "%s"\ngroup = "%s"\n' "$STACK_USER" "$group" |
        sudo tee -a "$conf" >/dev/null
    # Members of this group may use the system's libvirt.
    add_user_to_group "$STACK_USER" libvirt
    restart_service libvirtd
}

function configure_compute {
    iniset "$MINOVA_CONF" libvirt connection_uri "$MINOVA_LIBVIRT_URI"
    if uses_qemu; then
        configure_qemu
        iniset "$MINOVA_CONF" libvirt virt_type "$MINOVA_VIRT_TYPE"
        iniset "$MINOVA_CONF" libvirt live_migration_uri \
            "${MINOVA_MIGRATION_URI:-qemu+ssh://$STACK_USER@%s/system}"
        # minova-novncproxy on the controller reaches the consoles here.
        iniset "$MINOVA_CONF" vnc server_listen "$HOST_IP"
    fi
}

function configure_minova {
    sudo install -d -o "$STACK_USER" "$MINOVA_CONF_DIR" "$MINOVA_DATA_DIR"
    iniset "$MINOVA_CONF" DEFAULT debug "$ENABLE_DEBUG_LOG_LEVEL"
    iniset "$MINOVA_CONF" DEFAULT host "$(hostname -s)"
    iniset "$MINOVA_CONF" DEFAULT my_ip "$HOST_IP"
    iniset "$MINOVA_CONF" DEFAULT state_path "$MINOVA_DATA_DIR"
    iniset_rpc_backend minova "$MINOVA_CONF"
    if is_service_enabled minova-cpu; then
        configure_compute
    fi
    # The page of consoles: minova-api returns its URL, minova-novncproxy serves
    # it.
    iniset "$MINOVA_CONF" vnc novncproxy_base_url "${MINOVA_NOVNC_URL:-$(printf \
        'http://%s:%s/vnc_auto.html' "$SERVICE_HOST" "$MINOVA_NOVNC_PORT")}"
    if is_service_enabled minova-novnc; then
        iniset "$MINOVA_CONF" vnc novncproxy_host "$SERVICE_LISTEN_ADDRESS"
        iniset "$MINOVA_CONF" vnc novncproxy_port "$MINOVA_NOVNC_PORT"
    fi
    if [[ -n "$MINOVA_NETWORK" ]]; then
        iniset "$MINOVA_CONF" network network "$MINOVA_NETWORK"
    fi
    if [[ -n "$MINOVA_PIN_CONDUCTOR" ]]; then
        iniset "$MINOVA_CONF" upgrade_levels conductor "$MINOVA_PIN_CONDUCTOR"
    fi
    # The api and the computes use the Glance of this DevStack.
    iniset "$MINOVA_CONF" image service glance
    iniset "$MINOVA_CONF" image auth_type password
    iniset "$MINOVA_CONF" image auth_url "$KEYSTONE_SERVICE_URI"
    iniset "$MINOVA_CONF" image username minova
    iniset "$MINOVA_CONF" image password "$SERVICE_PASSWORD"
    iniset "$MINOVA_CONF" image project_name "$SERVICE_PROJECT_NAME"
    iniset "$MINOVA_CONF" image user_domain_name "$SERVICE_DOMAIN_NAME"
    iniset "$MINOVA_CONF" image project_domain_name "$SERVICE_DOMAIN_NAME"
    # A compute has no database.
    if is_service_enabled minova-api minova-cond; then
        iniset "$MINOVA_CONF" database connection \
            "$(database_connection_url minova)"
        iniset "$MINOVA_CONF" api auth_strategy keystone
        iniset "$MINOVA_CONF" api osapi_compute_listen "$SERVICE_LISTEN_ADDRESS"
        iniset "$MINOVA_CONF" api osapi_compute_listen_port "$MINOVA_API_PORT"
        configure_keystone_authtoken_middleware "$MINOVA_CONF" minova
    fi
}

function create_minova_accounts {
    local url="$SERVICE_PROTOCOL://$SERVICE_HOST:$MINOVA_API_PORT/v2.1"
    create_service_user minova admin
    get_or_create_service nova compute "Minova Compute Service"
    get_or_create_endpoint compute "$REGION_NAME" "$url"
}

function init_minova {
    if is_service_enabled minova-api minova-cond; then
        recreate_database minova
        "$MINOVA_BIN_DIR/minova-manage" --config-file "$MINOVA_CONF" db sync
    fi
}

function start_minova {
    local service command
    for service in cond:conductor cpu:compute api:api novnc:novncproxy; do
        command="$MINOVA_BIN_DIR/minova-${service##*:}"
        command+=" --config-file $MINOVA_CONF"
        if [[ "$service" == cpu:* ]] && uses_qemu; then
            # STACK_USER joined this group after its login.
            run_process minova-cpu "$command" libvirt
        else
            run_process "minova-${service%%:*}" "$command"
        fi
    done
}

function stop_minova {
    local service
    for service in novnc api cpu cond; do
        stop_process "minova-$service"
    done
}

MINOVA_BIN_DIR=$(get_python_exec_prefix)

if [[ "$1" == stack ]]; then
    case $2 in
    install) install_minova ;;
    post-config)
        configure_minova
        if is_service_enabled keystone; then
            create_minova_accounts
        fi
        ;;
    extra)
        init_minova
        start_minova
        ;;
    esac
elif [[ "$1" == unstack ]]; then
    stop_minova
elif [[ "$1" == clean ]]; then
    sudo rm -rf "$MINOVA_CONF_DIR" "$MINOVA_DATA_DIR"
fi
