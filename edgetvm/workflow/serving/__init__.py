"""`edgetvm serve`: packages over HTTP, by the Open Inference Protocol."""

from edgetvm.workflow.serving.asking import Limits
from edgetvm.workflow.serving.offers import offer
from edgetvm.workflow.serving.pages import page_path
from edgetvm.workflow.serving.served import Offer, Share
from edgetvm.workflow.serving.server import Server, open_server

__all__ = ["Limits", "Offer", "Server", "Share", "offer", "open_server", "page_path"]
