"""The public surface is one list, and it is true."""

import edgetvm
import edgetvm.farm
import edgetvm.package


def test_every_public_name_resolves() -> None:
    assert {*edgetvm._ROOM_OF, "__version__"} == set(edgetvm.__all__)
    for name in edgetvm.__all__:
        assert getattr(edgetvm, name) is not None


def test_every_name_of_the_farm_resolves() -> None:
    assert {*edgetvm.farm._MODULE_OF} == set(edgetvm.farm.__all__)
    for name in edgetvm.farm.__all__:
        assert getattr(edgetvm.farm, name) is not None


def test_every_name_of_the_package_resolves() -> None:
    assert {*edgetvm.package._MODULE_OF} == set(edgetvm.package.__all__)
    for name in edgetvm.package.__all__:
        assert getattr(edgetvm.package, name) is not None


def test_an_unknown_name_is_an_attribute_error() -> None:
    assert not hasattr(edgetvm, "no_such_verb")
