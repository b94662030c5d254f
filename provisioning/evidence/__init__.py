"""What was seen: every node's view, INFO, CONFIG GET, host facts, client probes; live or recorded."""

from provisioning.evidence.capture import CaptureError, Evidence
from provisioning.evidence.host import HostEvidence
from provisioning.evidence.node import NodeEvidence

__all__ = ["CaptureError", "Evidence", "HostEvidence", "NodeEvidence"]
