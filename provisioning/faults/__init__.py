"""What can go wrong, as frozen values, and the one way to let it happen."""

from provisioning.faults.injection import Fault, Injection, inject
from provisioning.faults.process import KillHost, KillNode, KillServers, PauseNode, TerminateNode

__all__ = ["Fault", "Injection", "KillHost", "KillNode", "KillServers", "PauseNode", "TerminateNode", "inject"]
