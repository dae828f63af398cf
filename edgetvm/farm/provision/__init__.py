"""Boards made ready over SSH: `edgetvm provision`.

What is there (`found`) is compared with what is wished (`wishes`, `removal`), which gives steps
with the commands that are still missing. The plan, the dry run and a second run come from that.
"""

from edgetvm.farm.provision.one_board import Order, Provisioned
from edgetvm.farm.provision.provisioning import provision
from edgetvm.farm.provision.steps import Command, Step

__all__ = ["Command", "Order", "Provisioned", "Step", "provision"]
