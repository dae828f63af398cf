"""`edgetvm farm serve`: the farm in a browser, and as JSON."""

from edgetvm.workflow.farm_serving.app import make_app, serve_farm

__all__ = ["make_app", "serve_farm"]
