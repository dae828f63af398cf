"""How well edgetvm measures: beside a model whose every run is of a known duration."""
