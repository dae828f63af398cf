"""SSH to a board: one connection that many commands, files and tunnels share."""

from edgetvm.farm.ssh.connection import Answer, Connection, NobodyListensError
from edgetvm.farm.ssh.deadlines import Deadlines
from edgetvm.farm.ssh.tunnels import Tunnels
from edgetvm.farm.ssh.upload import upload

__all__ = ["Answer", "Connection", "Deadlines", "NobodyListensError", "Tunnels", "upload"]
