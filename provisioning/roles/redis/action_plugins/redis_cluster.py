"""The playbook's way to this project: runs on the machine that runs Ansible, in its process."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase

sys.path.insert(0, str(Path(__file__).parents[4]))

# Here and not in ``run``: Ansible loads this file once, before it forks a worker for each task and host.
LACKING = ""
try:
    from provisioning.errors import GauntletError
    from provisioning.for_ansible import act
    from provisioning.masking import masked, secrets_of_environment, secrets_of_variables
    from provisioning.resp import Refused
except ImportError as missing:
    LACKING = str(missing)

GROUP = "redis_cluster"
"""The hosts of the cluster in Ansible's inventory."""


OURS = ("ansible_host", "ansible_connection")
WANTED = re.compile(r"redis_(?!_)")
"""What is read of a host's variables; redis__... are the role's own."""


class ActionModule(ActionBase):  # type: ignore[misc]
    """``redis_cluster: {do: ..., ...}``; provisioning/for_ansible.py says what there is to do."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the task's result. What the project refuses is a failed task with its message."""
        super().run(tmp, task_vars)
        if LACKING:
            return {
                "failed": True,
                "msg": f"this Ansible's Python lacks what the project needs: {LACKING}\n"
                "  what to do: make ansible, and then .venv/bin/ansible-playbook",
            }
        known = task_vars or {}
        arguments = _plain(self._task.args)
        hosts = known.get("groups", {}).get(GROUP, [])
        variables = {str(name): _of_host(known["hostvars"][name]) for name in hosts}
        try:
            result: dict[str, Any] = act(
                str(arguments.pop("do", "")), arguments, variables, bool(self._task.check_mode)
            )
            return result
        except GauntletError as problem:
            said = str(problem)
        except Refused as refusal:
            said = f"a node refused what it was asked: {refusal}"
        return {"failed": True, "msg": masked(said, secrets_of_variables(variables) | secrets_of_environment())}


def _of_host(variables: Any) -> dict[str, Any]:
    return {str(name): _plain(variables[name]) for name in variables if name in OURS or WANTED.match(name)}


def _plain(value: Any) -> Any:
    """Return the value as Python's own types: Ansible's carry tags with them."""
    match value:
        case bool() | None:
            return value
        case str():
            return str.__str__(value)[:]
        case int():
            return int(value)
        case float():
            return float(value)
        case dict():
            return {_plain(key): _plain(each) for key, each in value.items()}
        case list() | tuple():
            return [_plain(each) for each in value]
    return value
