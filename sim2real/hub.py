"""Bundles on the Hugging Face Hub: a bundle is checked before it leaves and again when it has arrived.

The Hub is reached through `huggingface_hub`, which reads who you are (``hf auth login``, or ``HF_TOKEN``) and where the
Hub is (``HF_ENDPOINT``). No token is ever taken from the command line, where it would stay in the shell's history.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sim2real import __version__
from sim2real.deploy import BundleError, load_bundle
from sim2real.deploy.bundle import FILES, MANIFEST_FILE, RUNNER_FILE, read_manifest, verified, verify_files
from sim2real.deploy.contract import parse_contract
from sim2real.errors import UserError
from sim2real.folders import check_replaceable, replaced_directory
from sim2real.runner_archive import archive

if TYPE_CHECKING:
    from huggingface_hub import HfApi, ModelInfo

HARMLESS = {".gitattributes", "README.md", "LICENSE"}
"""What a repository may hold that was made for a bundle and has none yet."""


class HubError(UserError):
    """The Hub, or a repository on it, that did not do what was asked."""


@dataclass(frozen=True)
class Revision:
    """One state of a bundle on the Hub."""

    repo_id: str
    """Namespace and name."""
    commit: str
    """Full hash: the same one always gives the same files."""
    url: str
    """Page of the commit, or of the repository at it."""


def push(bundle: Path, repo_id: str, *, private: bool = False, revision: str | None = None) -> Revision:
    """Upload the bundle in one commit; a repository that does not exist is made.

    Args:
        bundle: folder that ``sim2real export`` wrote, and nothing else in it.
        repo_id: ``NAMESPACE/NAME``; a name alone belongs to whoever is logged in.
        private: nobody else may see it. Without it a new repository is what the account's settings say.
        revision: branch to commit to (default: ``main``); made if it does not exist.

    Raises:
        BundleError: the bundle is incomplete or altered, or acts otherwise than the policy it came from; nothing was
            sent.
        HubError: the Hub refused, the repository holds something else, or it is public and was to be private.
    """
    contents, task = _checked(bundle)
    with _explained(repo_id, revision):
        from huggingface_hub import CommitOperationAdd

        api = _api()
        repo_id = api.create_repo(repo_id, private=private or None, exist_ok=True).repo_id
        if revision is not None:
            api.create_branch(repo_id, branch=revision, exist_ok=True)
        _check_target(api, repo_id, private=private, revision=revision)
        operations = [CommitOperationAdd(name, content) for name, content in contents.items()]
        message = f"{task} policy, exported by sim2real"
        made = api.create_commit(repo_id, operations, commit_message=message, revision=revision)
        arrived = _names(api.model_info(repo_id, revision=made.oid))
    missing = sorted(contents.keys() - arrived)
    if missing:
        raise HubError(f"{repo_id} did not take {', '.join(missing)}; look at the .gitignore there, and push again")
    return Revision(repo_id, made.oid, made.commit_url)


def pull(repo_id: str, out: Path, *, revision: str | None = None) -> Revision:
    """Download a bundle to ``out``; a bundle that is already there is replaced once the new one is complete.

    Only the files of a bundle are fetched, whatever else the repository holds, all of one commit.

    Args:
        repo_id: ``NAMESPACE/NAME``.
        out: a new folder, or one that holds a bundle and nothing else.
        revision: branch, tag or commit (default: the newest of ``main``).

    Raises:
        BundleError: what came is incomplete, or other than what its checksums say; ``out`` is as before.
        HubError: there is no such repository or revision, or no bundle in it.
    """
    check_replaceable(out, FILES, "a bundle")
    with _explained(repo_id, revision):
        api = _api()
        info = api.model_info(repo_id, revision=revision)
        commit, missing = str(info.sha), sorted(set(FILES) - _names(info))
        if missing:
            raise HubError(f"{repo_id} holds no bundle: {', '.join(missing)} missing at {commit[:12]}")
        with replaced_directory(out) as folder:
            for name in FILES:
                api.hf_hub_download(repo_id, name, revision=commit, local_dir=folder)
            shutil.rmtree(folder / ".cache", ignore_errors=True)  # huggingface_hub's notes on what it fetched
            try:
                parse_contract(verify_files(folder)["contract"])
            except BundleError as error:
                raise HubError(
                    f"nothing was written: {repo_id} at {commit[:12]} is no bundle to trust: {error}"
                ) from None
    return Revision(repo_id, commit, f"{api.endpoint}/{repo_id}/tree/{commit}")


def has_own_runner(bundle: Path) -> bool:
    """Whether the bundle's ``runner.pyz``, a program, is byte for byte the one that this sim2real puts into bundles."""
    return (bundle / RUNNER_FILE).read_bytes() == archive()


def _checked(bundle: Path) -> tuple[dict[str, bytes], str]:
    """Content of the bundle's files and the name of its task; raises ``BundleError`` for one that nobody should run."""
    checksums = read_manifest(bundle)["sha256"]
    foreign = sorted({file.name for file in bundle.iterdir()} - set(FILES))
    if foreign:
        raise BundleError(
            f"{bundle} holds files that are no part of a bundle: {', '.join(foreign)}; a bundle is published alone, so "
            "move them away"
        )
    contents = {name: verified(bundle, name, checksums) for name in FILES if name != MANIFEST_FILE}
    contract = load_bundle(bundle).contract  # and replays the golden rollout
    return {**contents, MANIFEST_FILE: (bundle / MANIFEST_FILE).read_bytes()}, contract.task


def _check_target(api: HfApi, repo_id: str, *, private: bool, revision: str | None) -> None:
    """Raise before anything is sent to a repository that is not what the user takes it for."""
    info = api.model_info(repo_id, revision=revision)
    if private and not info.private:
        raise HubError(
            f"{repo_id} exists and is public; --private makes new repositories private and changes none: change it in "
            "its settings, or give another name"
        )
    names = _names(info)
    if names - HARMLESS and MANIFEST_FILE not in names:
        others = ", ".join(sorted(names - HARMLESS)[:3])
        raise HubError(f"{repo_id} holds something else than a bundle ({others}); give a new repository")


def _names(info: ModelInfo) -> set[str]:
    """Files of a repository at one commit."""
    return {file.rfilename for file in info.siblings or []}


def _api() -> HfApi:
    from huggingface_hub import HfApi

    return HfApi(library_name="sim2real", library_version=__version__)


@contextlib.contextmanager
def _explained(repo_id: str, revision: str | None) -> Iterator[None]:
    """Turn what goes wrong on the way to the Hub into a message that says what to do."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        message = _explanation(error, repo_id, revision)
        if message is None:
            raise
        raise HubError(message) from error


def _explanation(error: Exception, repo_id: str, revision: str | None) -> str | None:
    """What to tell the user; None for what is a mistake of ours or of the machine's."""
    from huggingface_hub import errors

    log_in = "log in with `hf auth login`, or put a token into HF_TOKEN"
    if isinstance(error, errors.HFValidationError):
        return f"{repo_id!r} can't name a repository ({_brief(error)}); give NAMESPACE/NAME"
    if isinstance(error, errors.GatedRepoError):
        return f"the owner of {repo_id} asks for your consent first; visit its page, then {log_in}"
    if isinstance(error, errors.RevisionNotFoundError):
        return f"{repo_id} has no branch, tag or commit {revision!r}"
    if isinstance(error, errors.RepositoryNotFoundError):
        return f"there is no model repository {repo_id}, or it is not for you to see: check the name, or {log_in}"
    if isinstance(error, errors.HfHubHTTPError):
        hints = {
            401: f"; {log_in}",
            403: f"; you may not write to {repo_id}: check its namespace and your token's rights",
        }
        return f"the Hub refused: {_brief(error)}{hints.get(error.response.status_code, '')}"
    # The HTTP library has errors of its own for a network that fails; huggingface_hub has changed that library before.
    if isinstance(error, ConnectionError) or any(base.__name__ == "TransportError" for base in type(error).__mro__):
        return f"the Hub can't be reached ({_brief(error)}); check the network, HF_ENDPOINT and HF_HUB_OFFLINE"
    # An upload that failed, an answer that makes no sense, a model card that the Hub doesn't accept.
    if isinstance(error, (RuntimeError, ValueError)) or (isinstance(error, OSError) and error.filename is None):
        return f"the exchange with the Hub failed: {_brief(error)}"
    return None


def _brief(error: BaseException) -> str:
    """The message on one line, with that of the error behind it."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if error.__cause__ is None else f"{text}: {_brief(error.__cause__)}"
