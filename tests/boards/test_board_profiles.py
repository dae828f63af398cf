"""Board profiles: those that are shipped, those of the user, and this machine's own."""

from __future__ import annotations

import dataclasses
import os
import platform
import subprocess
from pathlib import Path

import pytest

from edgetvm.base.errors import ConfigurationError, NotFoundError
from edgetvm.base.paths import config_folder, shipped_folder
from edgetvm.base.yamlfile import json_schema
from edgetvm.boards import BoardProfile, Cache, list_profiles, load_profile
from edgetvm.boards.detect import cpu_flags, profile_of
from edgetvm.boards.machine import machine_of
from edgetvm.compile import target_for

SHIPPED = sorted(path.stem for path in shipped_folder("devices").glob("*.yaml"))

MINE = """\
name: mine
description: My board
triple: aarch64-linux-gnu
cpu: cortex-a53
vector_lanes: 4
vector_registers: 32
cores: 4
cache: {l1d_bytes: 32768, l2_bytes: 524288}
multiply_adds: 4
memory_bytes: 1000000
clock_mhz: 1000
"""


@pytest.fixture
def devices(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder of profiles that comes before all others."""
    monkeypatch.setenv("EDGETVM_DEVICES", str(tmp_path))
    return tmp_path


def test_the_shipped_profiles_are_listed_by_name() -> None:
    assert [profile.name for profile in list_profiles()] == SHIPPED
    assert {"local", "rpi4", "rpi3-32", "qemu-aarch64", "x86-avx2"} <= set(SHIPPED)


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_profile_is_a_board_that_llvm_knows(name: str) -> None:
    profile = load_profile(name)
    assert profile.name == name
    assert profile.description
    assert profile.source
    assert profile.emulated == name.startswith(("emulated-", "qemu-"))
    assert profile.architecture in ("aarch64", "armv7l", "x86_64")
    assert (profile.float_abi == "hard") == (profile.architecture == "armv7l")
    assert profile.cache.l1d_bytes < profile.cache.l2_bytes
    target = target_for(profile)
    assert target.kind.name == "llvm"
    assert str(target.attrs["mcpu"]) == profile.cpu
    assert str(target.attrs["mtriple"]) == profile.triple
    assert int(target.attrs["num-cores"]) == profile.cores


def test_the_raspberry_pi_4_is_what_its_data_sheet_says() -> None:
    """BCM2711: four Cortex-A72 at 1.5 GHz, 32 kB of data cache a core, 1 MB shared; NEON."""
    found = load_profile("rpi4")
    assert found.core is not None
    assert (found.core.l1d_ways, found.core.l2_ways, found.core.out_of_order) == (2, 16, True)
    assert dataclasses.replace(found, core=None) == BoardProfile(
        name="rpi4",
        description="Raspberry Pi 4 with a 64-bit system",
        triple="aarch64-linux-gnu",
        cpu="cortex-a72",
        vector_lanes=128 // 32,
        vector_registers=32,
        cores=4,
        cache=Cache(l1d_bytes=32 << 10, l2_bytes=1 << 20, l2_shared=True),
        multiply_adds=4,
        memory_bytes=4 << 30,
        clock_mhz=1500,
        features=("+neon",),
        required_cpu_flags=("asimd",),
        # 32 bits, 3200 million times a second.
        memory_gbs=4 * 3.2,
        source="Broadcom BCM2711 and the Cortex-A72 Technical Reference Manual; "
        "memory: 32 bits of LPDDR4-3200",
    )


def lscpu(*options: str) -> str:
    return subprocess.run(
        ["lscpu", *options], capture_output=True, text=True, check=True, env={"LC_ALL": "C"}
    ).stdout


def test_this_machine_is_what_lscpu_says() -> None:
    profile = load_profile("local")
    facts = dict(line.split(":", 1) for line in lscpu().splitlines() if ":" in line)
    facts = {key.strip(): value.strip() for key, value in facts.items()}
    assert profile.architecture == facts["Architecture"] == platform.machine()
    assert cpu_flags() == set(facts["Flags"].split())
    assert facts["Model name"] in profile.description
    assert profile.cores == len(os.sched_getaffinity(0)) <= int(facts["CPU(s)"])
    rows = [line.split() for line in lscpu("--bytes", "--caches=NAME,ONE-SIZE").splitlines()[1:]]
    sizes = {name: int(size) for name, size in rows}
    for name, found in (
        ("L1d", profile.cache.l1d_bytes),
        ("L2", profile.cache.l2_bytes),
        ("L3", profile.cache.l3_bytes),
    ):
        if name in sizes:
            assert found == sizes[name]
    memory = Path("/proc/meminfo").read_text().split("MemTotal:")[1].split()[0]
    assert profile.memory_bytes == pytest.approx(int(memory) * 1024, rel=0.05)


def test_the_level_of_this_machine_is_the_highest_whose_flags_it_has() -> None:
    profile = load_profile("local")
    text = Path("/proc/cpuinfo").read_text()
    flags = set(text.split("flags", 1)[1].split(":", 1)[1].splitlines()[0].split())
    assert set(profile.required_cpu_flags) <= flags
    # The x86-64 psABI: v4 has AVX-512 F, BW, CD, DQ, VL; v3 has AVX2 and FMA.
    if {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"} <= flags:
        expected = ("x86-64-v4", 16, 32)
    elif {"avx2", "fma", "bmi2", "movbe", "f16c"} <= flags:
        expected = ("x86-64-v3", 8, 16)
    else:
        expected = ("x86-64", 4, 16)
    assert (profile.cpu, profile.vector_lanes, profile.vector_registers) == expected
    assert ("+avx512vnni" in profile.features) == ("avx512_vnni" in profile.required_cpu_flags)


def test_a_user_comes_before_what_is_shipped(
    devices: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(devices)
    in_config = config_folder() / "devices"
    in_config.mkdir(parents=True)
    text = MINE.replace("mine", "rpi4")
    (in_config / "rpi4.yaml").write_text(text.replace("My board", "of the configuration"))
    assert load_profile("rpi4").description == "of the configuration"
    (devices / "rpi4.yaml").write_text(text)
    assert load_profile("rpi4").description == "My board"
    names = [profile.name for profile in list_profiles()]
    assert names == SHIPPED


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(NotFoundError, match=r"no board profile is called 'rpi44' \(did you mean"):
        load_profile("rpi44")
    with pytest.raises(NotFoundError, match="see: edgetvm profiles list"):
        load_profile("zzzzzzzz")


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("mine", MINE.replace("mine", "yours"), "mine.yaml: name is 'yours' (call it 'mine'"),
        ("mine", MINE.replace("name: mine", "name: Mine Own"), "mine.yaml:1: name is 'Mine Own'"),
        ("mine", MINE + "vector_lane: 4\n", "mine.yaml:12: unknown key vector_lane (did you mean"),
        ("mine", MINE.replace("cores: 4", "cores: 0"), "mine.yaml:7: cores is 0 (it should be gr"),
        ("mine", MINE.replace("l1d_bytes", "l1_bytes"), "mine.yaml:8: "),
        ("mine", MINE + "float_abi: hrd\n", "mine.yaml:12: float_abi is 'hrd'"),
        ("mine", MINE + "features: [neon]\n", "mine.yaml:12: features[0] is 'neon'"),
        ("local", "name: here\ndescription: x\ndetect: true\n", "local.yaml: name is 'here'"),
        ("local", "name: local\ndescription: x\ndetect: false\n", "local.yaml:3: detect is False"),
        ("local", MINE.replace("mine", "local"), "local.yaml:"),
    ],
)
def test_a_bad_profile_is_told(devices: Path, file: str, text: str, said: str) -> None:
    path = devices / f"{file}.yaml"
    path.write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        load_profile(file)
    assert str(caught.value).startswith(f"{devices}/{said}")
    with pytest.raises(ConfigurationError):
        list_profiles()


@pytest.mark.parametrize(
    ("key", "value"), [("cpu", "cortex-zzz"), ("cpu", "haswell"), ("triple", "nonsense")]
)
def test_a_core_that_llvm_does_not_know_is_refused(devices: Path, key: str, value: str) -> None:
    """LLVM itself only warns, and makes code for any core of that architecture."""
    lines = [f"{key}: {value}" if line.startswith(key) else line for line in MINE.splitlines()]
    (devices / "mine.yaml").write_text("\n".join(lines) + "\n")
    with pytest.raises(ConfigurationError, match=rf"board profile mine: .*{value}"):
        target_for(load_profile("mine"))


def test_every_key_of_the_schema_is_described() -> None:
    schema = json_schema(BoardProfile, "board profile")
    assert set(schema["properties"]) >= {"name", "triple", "cpu", "cache", "features"}
    for properties in (schema["properties"], schema["$defs"]["Cache"]["properties"]):
        for name, key in properties.items():
            assert name == "name" or key.get("description"), name


@pytest.mark.parametrize(
    ("lanes", "units", "half"),
    [(16, 16, 0.5), (16, 32, 1.0), (8, 16, 1.0), (4, 4, 0.5), (4, 8, 1.0)],
)
def test_half_a_vector_saves_time_only_where_a_whole_one_takes_two_turns(
    lanes: int, units: int, half: float
) -> None:
    """Zen 4 and Zen 5 with AVX-512, Haswell, Cortex-A72 and A76: at most two vectors a cycle."""
    profile = dataclasses.replace(load_profile("rpi4"), vector_lanes=lanes, multiply_adds=units)
    assert profile.slowness(lanes) == 1.0
    assert profile.slowness(lanes // 2) == half


@pytest.mark.parametrize(("vendor", "family", "expected"), [
    ("AuthenticAMD", 25, 16), ("AuthenticAMD", 26, 32), ("GenuineIntel", 6, 32),
])  # fmt: skip
def test_cores_that_halve_their_vectors_are_known_by_their_family(
    vendor: str, family: int, expected: int
) -> None:
    """No test machine has all of them: what their kernels say stands in."""
    flags = "avx512f avx512bw avx512cd avx512dq avx512vl avx512_vnni"
    cpuinfo = f"processor\t: 0\nvendor_id\t: {vendor}\ncpu family\t: {family}\nflags\t: {flags}\n"
    files = {"/proc/cpuinfo": cpuinfo, "/proc/meminfo": "MemTotal: 8000000 kB\n"}
    machine = machine_of("x86_64", lambda path: files.get(path, ""))
    assert profile_of(machine, "x", "x", "x").multiply_adds == expected
