"""The public surface is one list, and it is true."""

import edgetvm


def test_every_public_name_resolves() -> None:
    assert {*edgetvm._ROOM_OF, "__version__"} == set(edgetvm.__all__)
    for name in edgetvm.__all__:
        assert getattr(edgetvm, name) is not None


def test_an_unknown_name_is_an_attribute_error() -> None:
    assert not hasattr(edgetvm, "no_such_verb")
