# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Sourced by DevStack in each of its phases. With it a multi-node DevStack runs
# Minova instead of Nova: minova-api and minova-cond on the controller,
# minova-cpu on every node.

function install_minova {
    setup_develop "$MINOVA_DIR" mysql,postgresql,libvirt,keystone
}

function configure_minova {
    sudo install -d -o "$STACK_USER" "$MINOVA_CONF_DIR" "$MINOVA_DATA_DIR"
    iniset "$MINOVA_CONF" DEFAULT debug "$ENABLE_DEBUG_LOG_LEVEL"
    iniset "$MINOVA_CONF" DEFAULT host "$(hostname -s)"
    iniset "$MINOVA_CONF" DEFAULT my_ip "$HOST_IP"
    iniset "$MINOVA_CONF" DEFAULT state_path "$MINOVA_DATA_DIR"
    iniset_rpc_backend minova "$MINOVA_CONF"
    iniset "$MINOVA_CONF" libvirt connection_uri "$MINOVA_LIBVIRT_URI"
    if [[ -n "$MINOVA_PIN_CONDUCTOR" ]]; then
        iniset "$MINOVA_CONF" upgrade_levels conductor "$MINOVA_PIN_CONDUCTOR"
    fi
    # Images, for api and computes alike, from the Glance of this DevStack.
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
        iniset "$MINOVA_CONF" api auth keystone
        iniset "$MINOVA_CONF" api listen "$SERVICE_LISTEN_ADDRESS"
        iniset "$MINOVA_CONF" api port "$MINOVA_API_PORT"
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
    local service
    for service in cond:conductor cpu:compute api:api; do
        run_process "minova-${service%%:*}" \
            "$MINOVA_BIN_DIR/minova-${service##*:} --config-file $MINOVA_CONF"
    done
}

function stop_minova {
    local service
    for service in api cpu cond; do
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
