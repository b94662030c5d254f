"""Read the inventory: an Ansible inventory in YAML.

Understood: the group ``all``, nested by ``children``, each group with ``hosts`` and ``vars``; a host
in several groups; variables of a host over those of its group, of a child group over its parent;
values that ansible-vault encrypted (``!vault |``), or the whole file (see provisioning/vault.py).
Refused by name: the INI format, host ranges (``web[1:3]``), templates (``{{ ... }}``), other tags than
``!vault``, executable inventories, and ``redis_`` variables that this project does not know.
Not read: folders ``group_vars`` and ``host_vars``.

Of a host: ``redis_address``, the IP address that its nodes announce, where ``ansible_host`` is another one or a name;
``redis_outside_address``, the one that this machine reaches them at, where that differs.
Of all: ``redis_cluster_name``, ``redis_node_timeout`` (ms), ``redis_appendonly``, ``redis_network_mode``, and
``redis_settings``, a mapping of further settings of the servers (``{maxmemory: 2gb}``).

A host's nodes are one master on ``redis_master_port`` and, with ``redis_slave_of``, one replica on
``redis_slave_port`` of that host's master; or, for any other number, the list ``redis_nodes``.

How to log in to the nodes: ``redis_user`` (ACL user; without it ``default``), ``redis_password``,
``redis_tls`` (true: TLS, verified with the system's CAs), ``redis_tls_ca_file``, ``redis_tls_cert_file``
and ``redis_tls_key_file`` (any of them means TLS; relative to the inventory). For each that is left out
the environment stands in, TLS as one: see provisioning/login.py. provisioning/tls.py says what is verified.
``redis_previous_password`` is for the playbook: what nodes have until it has given them ``redis_password``.
How to log in to the hosts: Ansible's own variables, see provisioning/hosts/remote.py.

A host with ``redis_state: absent`` leaves the cluster, by the playbook: it is not wanted of a cluster.

A node timeout, AOF or slots that are left out are 5000 ms, yes, and equal ranges where a cluster is
built; of one that exists they are not wanted.

For the rules: ``redis_application_user``, the ACL user that applications log in with, and ``redis_image``,
the image that the nodes' containers should run.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from provisioning import ansible_yaml
from provisioning.ansible_groups import variables_by_host
from provisioning.ansible_hosts import inventory_of, without_absent
from provisioning.ansible_value import SECRET_NAME
from provisioning.errors import InventoryError
from provisioning.inventory import Inventory
from provisioning.vault import HEADER, Vault

DEFAULT_INVENTORY = Path(__file__).with_name("inventory.yaml")
"""The seed's three hosts."""


def read_inventory(path: Path) -> Inventory:
    """Return the inventory in that file.

    Raises InventoryError for a file that is missing, empty, malformed, not understood, that cannot be
    decrypted, or that contradicts itself (duplicate address, port clash, replica of itself or of nothing,
    slots that overlap or are left out); LoginError or TlsError for an environment that does.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise InventoryError(
            f"cannot read the inventory {path}",
            expected="an Ansible inventory in YAML",
            observed=str(problem),
            advice="name an existing file; provisioning/inventory.yaml is an example",
        ) from None
    return parse_inventory(text, str(path))


def parse_inventory(text: str, source: str) -> Inventory:
    """Return the inventory written in ``text``; ``source`` is its path, for messages and TLS files.

    Raises as ``read_inventory``.
    """
    vault = Vault(source)
    if text.startswith(HEADER):
        text = vault.decrypted(text, "it")
    found = variables_by_host(source, ansible_yaml.load(text, source))
    opened = {name: _opened(vault, name, values) for name, values in found.items()}
    return inventory_of(source, without_absent(source, opened))


def _opened(vault: Vault, host: str, variables: Mapping[str, Any]) -> dict[str, Any]:
    """Return the variables with those decrypted that are read here; Ansible's own passwords are not."""
    return {
        name: vault.opened(value, f"{name} of {host}")
        if name.startswith("redis_") or (name.startswith("ansible_") and not SECRET_NAME.search(name))
        else value
        for name, value in variables.items()
    }
