"""Publishing and fetching bundles, over HTTP, against a Hub on this machine."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sim2real import hub
from sim2real.cli import main
from sim2real.deploy import BundleError, load_bundle
from sim2real.deploy.bundle import FILES
from sim2real.export import write_bundle

from .bundles import META, make_policy
from .fake_hub import LARGE, TOKEN, FakeHub, Repository, serving

pytest.importorskip("huggingface_hub", reason="needs the extra 'hub'")
ROOT = Path(__file__).resolve().parent.parent
REPO = "lab/reach"


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeHub]:
    """An empty Hub, with its owner logged in."""
    with serving() as server:
        use(monkeypatch, server)
        # The other protocol for large files talks to servers that only the real Hub has.
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "no_token"))
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        monkeypatch.chdir(tmp_path)
        yield server


def use(monkeypatch: pytest.MonkeyPatch, server: FakeHub) -> None:
    """As HF_ENDPOINT does it, which is read only once, when huggingface_hub is imported."""
    url = server.url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", server.url)
    monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", url)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported")
    write_bundle(folder, make_policy("none"), META)
    return folder


@pytest.fixture
def bundle(exported: Path, tmp_path: Path) -> Path:
    """A bundle for tests to damage."""
    copy = tmp_path / "bundle"
    copy.mkdir()
    for name, content in contents(exported).items():
        (copy / name).write_bytes(content)
    return copy


def contents(folder: Path) -> dict[str, bytes]:
    """All files below ``folder``, hidden ones too."""
    return {str(f.relative_to(folder)): f.read_bytes() for f in folder.rglob("*") if f.is_file()}


def replace(bundle: Path, name: str, content: bytes) -> None:
    """Put another file into the bundle, with its checksum."""
    manifest = json.loads((bundle / "policy.yaml").read_text())
    manifest["sha256"][name] = hashlib.sha256(content).hexdigest()
    (bundle / "policy.yaml").write_text(json.dumps(manifest))
    (bundle / name).write_bytes(content)


# ---- what should happen ----------------------------------------------------------------------------------------------


def test_a_bundle_goes_there_and_back(fake: FakeHub, bundle: Path, tmp_path: Path) -> None:
    pushed = hub.push(bundle, REPO)
    there = fake.repositories[REPO]
    assert {name: there.files()[name] for name in FILES} == contents(bundle)
    assert there.messages[-1] == "Toy policy, exported by sim2real"
    assert len(there.commits) == 2, "one for the new repository, one for the bundle"
    assert not there.private
    assert set(fake.stored.values()) == {c for name, c in contents(bundle).items() if name.endswith(LARGE)}
    assert pushed == hub.Revision(REPO, there.branches["main"], f"{fake.url}/lab/reach/commit/{pushed.commit}")

    pulled = hub.pull(REPO, tmp_path / "back")
    assert contents(tmp_path / "back") == contents(bundle)
    assert pulled.commit == pushed.commit
    assert load_bundle(tmp_path / "back").contract == load_bundle(bundle).contract


def test_a_name_alone_is_that_of_the_owner(fake: FakeHub, bundle: Path) -> None:
    assert hub.push(bundle, "reach").repo_id == REPO


def test_pushing_again_adds_a_commit_and_the_older_one_can_be_had(fake: FakeHub, bundle: Path, tmp_path: Path) -> None:
    first = hub.push(bundle, REPO)
    before = contents(bundle)
    newer = tmp_path / "newer"
    newer.mkdir()
    write_bundle(newer, make_policy("gru"), META)
    second = hub.push(newer, REPO)
    assert first.commit != second.commit
    hub.pull(REPO, tmp_path / "out")
    assert contents(tmp_path / "out") == contents(newer)
    hub.pull(REPO, tmp_path / "out", revision=first.commit)
    assert contents(tmp_path / "out") == before


def test_a_branch(fake: FakeHub, bundle: Path, tmp_path: Path) -> None:
    for _ in range(2):  # made, then found
        hub.push(bundle, REPO, revision="lstm/v2")
    there = fake.repositories[REPO]
    assert set(FILES) <= there.files("lstm/v2").keys()
    assert there.files("main").keys() == {".gitattributes"}
    hub.pull(REPO, tmp_path / "out", revision="lstm/v2")
    with pytest.raises(hub.HubError, match=r"lab/reach holds no bundle: README.md, config.json, .* missing"):
        hub.pull(REPO, tmp_path / "other")


def test_a_private_one_is_seen_by_its_owner_alone(
    fake: FakeHub, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(2):
        hub.push(bundle, REPO, private=True)
    assert fake.repositories[REPO].private
    hub.pull(REPO, tmp_path / "out")
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(
        hub.HubError, match=r"no model repository lab/reach, or it is not for you to see.*hf auth login"
    ):
        hub.pull(REPO, tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_only_what_belongs_to_a_bundle_is_fetched(fake: FakeHub, bundle: Path, tmp_path: Path) -> None:
    hub.push(bundle, REPO)
    fake.repositories[REPO].add({"setup.py": b"raise SystemExit", "data/x.pkl": b"", "../outside": b""})
    hub.pull(REPO, tmp_path / "out")
    assert contents(tmp_path / "out").keys() == set(FILES)
    assert {file.name for file in tmp_path.iterdir()} == {"bundle", "out"}


def test_a_runner_that_is_not_ours_is_told(
    fake: FakeHub, bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.push(bundle, REPO)
    assert main(["pull", REPO, "--out", "out"]) == 0
    assert "runner.pyz" not in capsys.readouterr().out
    replace(bundle, "runner.pyz", b"print('something else')")
    hub.push(bundle, REPO)
    assert main(["pull", REPO, "--out", "out"]) == 0
    assert "out/runner.pyz is a program from lab/reach, other than the runner of this" in capsys.readouterr().out


def test_the_card_is_what_the_hub_renders() -> None:
    """Front matter and evaluation of an exported policy, as huggingface_hub reads them."""
    from huggingface_hub import ModelCard

    folder = ROOT / "results" / "bundles" / "fetch_reach"
    measured = json.loads((folder / "policy.yaml").read_text())["contract"]["evaluation"]
    assert measured.keys() == {"nominal", "train", "unseen"}
    card = ModelCard.load(folder / "README.md")
    assert card.data.library_name == "sim2real"
    assert card.data.pipeline_tag == "robotics"
    assert {"FetchReach", "sim-to-real", "onnx"} <= set(card.data.tags or [])
    results = card.data.eval_results or []
    assert {r.dataset_name: (r.metric_type, r.metric_value) for r in results} == {
        f"FetchReach, {name} dynamics": ("success_rate", row["success"]["value"]) for name, row in measured.items()
    }
    assert card.text.startswith("\n# FetchReach policy")


# ---- what must not -------------------------------------------------------------------------------------------------


def test_a_damaged_bundle_is_not_sent(fake: FakeHub, bundle: Path) -> None:
    (bundle / "config.json").write_text("{}")
    with pytest.raises(BundleError, match=r"config.json is not the file that was exported"):
        hub.push(bundle, REPO)
    assert fake.requests == []


def test_a_policy_that_acts_otherwise_is_not_sent(fake: FakeHub, bundle: Path) -> None:
    """All checksums agree; only replaying the golden rollout tells."""
    other = bundle.parent / "other"
    other.mkdir()
    write_bundle(other, make_policy("gru"), META)
    replace(bundle, "parity.npz", (other / "parity.npz").read_bytes())
    with pytest.raises(BundleError, match=r"do not run this policy"):
        hub.push(bundle, REPO)
    assert fake.requests == []


def test_other_files_are_not_sent(fake: FakeHub, bundle: Path) -> None:
    (bundle / ".env").write_text("PASSWORD=1234")
    with pytest.raises(BundleError, match=r"no part of a bundle: \.env; .* move them away"):
        hub.push(bundle, REPO)
    assert fake.requests == []


def test_private_is_not_promised_for_what_is_public(fake: FakeHub, bundle: Path) -> None:
    fake.repositories[REPO] = Repository()
    fake.repositories[REPO].add({})
    with pytest.raises(hub.HubError, match=r"lab/reach exists and is public; --private"):
        hub.push(bundle, REPO, private=True)
    assert fake.repositories[REPO].files() == {}
    assert fake.stored == {}


def test_a_repository_of_something_else_is_left_alone(fake: FakeHub, bundle: Path) -> None:
    fake.repositories[REPO] = Repository()
    fake.repositories[REPO].add({"README.md": b"my thesis", "thesis.tex": b""})
    with pytest.raises(hub.HubError, match=r"holds something else than a bundle \(thesis.tex\)"):
        hub.push(bundle, REPO)
    assert len(fake.repositories[REPO].commits) == 1


@pytest.mark.parametrize("name", FILES)
def test_what_changed_on_the_hub_does_not_replace_what_is_here(
    fake: FakeHub, bundle: Path, tmp_path: Path, name: str
) -> None:
    hub.push(bundle, REPO)
    hub.pull(REPO, tmp_path / "out")
    fake.repositories[REPO].add({name: b"{}"})
    with pytest.raises(hub.HubError, match=r"nothing was written: lab/reach at .* is no bundle to trust: ") as caught:
        hub.pull(REPO, tmp_path / "out")
    assert name in str(caught.value)
    assert contents(tmp_path / "out") == contents(bundle)
    assert {file.name for file in tmp_path.iterdir()} == {"bundle", "out"}


def test_a_folder_with_other_things_is_not_replaced(fake: FakeHub, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(ValueError, match=r"holds other things than a bundle \(thesis.tex\)"):
        hub.pull(REPO, tmp_path)
    assert fake.requests == []


def test_a_file_that_the_repository_ignores_is_told(fake: FakeHub, bundle: Path) -> None:
    fake.ignored = {"parity.npz"}
    with pytest.raises(hub.HubError, match=r"did not take parity.npz; look at the .gitignore"):
        hub.push(bundle, REPO)


# ---- the Hub says no -------------------------------------------------------------------------------------------------


def test_not_logged_in(fake: FakeHub, bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(hub.HubError, match=r"the Hub refused: .*; log in with `hf auth login`, or put a token"):
        hub.push(bundle, REPO)


def test_somebody_elses_namespace(fake: FakeHub, bundle: Path) -> None:
    with pytest.raises(hub.HubError, match=r"you may not write to other/reach: check its namespace"):
        hub.push(bundle, "other/reach")
    fake.repositories["other/reach"] = Repository()
    fake.repositories["other/reach"].add({})
    with pytest.raises(hub.HubError, match=r"you may not write to other/reach: check its namespace"):
        hub.push(bundle, "other/reach")


def test_names_that_do_not_exist(fake: FakeHub, bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(hub.HubError, match=r"there is no model repository lab/nothing"):
        hub.pull("lab/nothing", tmp_path / "out")
    hub.push(bundle, REPO)
    with pytest.raises(hub.HubError, match=r"lab/reach has no branch, tag or commit 'v9'"):
        hub.pull(REPO, tmp_path / "out", revision="v9")
    with pytest.raises(hub.HubError, match=r"'lab/reach/v1' can't name a repository .*; give NAMESPACE/NAME"):
        hub.pull("lab/reach/v1", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_hub_that_is_not_there(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving() as gone:
        pass
    use(monkeypatch, gone)
    message = r"the Hub can't be reached .*; check the network, HF_ENDPOINT"
    with pytest.raises(hub.HubError, match=message):
        hub.push(bundle, REPO)
    with pytest.raises(hub.HubError, match=message):
        hub.pull(REPO, tmp_path / "out")


def test_a_card_that_the_hub_does_not_accept(fake: FakeHub, bundle: Path) -> None:
    replace(bundle, "README.md", b"no front matter")
    with pytest.raises(hub.HubError, match=r"the exchange with the Hub failed: Invalid metadata in README.md"):
        hub.push(bundle, REPO)
    assert fake.stored == {}


def test_a_bug_is_not_taken_for_the_hubs_fault(fake: FakeHub, bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise AttributeError("a bug")

    monkeypatch.setattr(hub, "_api", broken)
    with pytest.raises(AttributeError, match=r"a bug"):
        hub.push(bundle, REPO)


# ---- the commands ----------------------------------------------------------------------------------------------------


def test_push_and_pull_from_the_shell(fake: FakeHub, bundle: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "HF_ENDPOINT": fake.url, "HF_HUB_DISABLE_XET": "1", "HF_HOME": str(tmp_path / "home")}

    def sim2real(*args: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "sim2real", *args]
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment)

    done = sim2real("push", str(bundle), REPO, "--private", "--revision", "v1")
    assert done.returncode == 0, done.stderr
    commit = fake.repositories[REPO].branches["v1"]
    assert f"pushed {bundle} to lab/reach: {fake.url}/lab/reach/commit/{commit}" in done.stdout
    assert f"sim2real pull lab/reach --revision {commit} --out DIR" in done.stdout

    done = sim2real("pull", REPO, "--revision", commit, "--out", "out")
    assert done.returncode == 0, done.stderr
    assert f"pulled lab/reach at {commit} to out; every file is the one that was exported" in done.stdout
    assert contents(tmp_path / "out") == contents(bundle)
    assert "Traceback" not in done.stderr

    done = sim2real("pull", "lab/nothing", "--out", "other")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("sim2real: error: there is no model repository lab/nothing")


def test_the_missing_extra_is_named(
    bundle: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    for command in (["push", str(bundle), REPO], ["pull", REPO, "--out", str(bundle.parent / "out")]):
        assert main(command) == 2
        assert "needs huggingface_hub, which is not installed: pip install 'sim2real[hub]'" in capsys.readouterr().err
