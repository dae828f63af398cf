"""Board profiles: what the compiler must know about a board."""

from edgetvm.boards.profile import BoardProfile, Cache, list_profiles, load_profile

__all__ = ["BoardProfile", "Cache", "list_profiles", "load_profile"]
