"""As whom nginx's workers run: never as root unless the settings say so."""

from __future__ import annotations

import os
import pwd
import stat
import tempfile
from typing import TYPE_CHECKING

import pytest

from pillion.errors import PillionError
from pillion.proxies.offload import user as offload_user
from pillion.proxies.offload.user import Worker, check_ours, choose_worker

if TYPE_CHECKING:
    from collections.abc import Iterator

NOBODY = pwd.getpwnam("nobody")


@pytest.fixture
def root(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A directory below one, both open to everybody; of the usual users there is `nobody`, whom every host has."""
    monkeypatch.setattr(offload_user, "USUAL", ("no-such-user", "nobody"))
    with tempfile.TemporaryDirectory(prefix="pillion-user-") as above:
        os.chmod(above, 0o755)
        made = os.path.join(above, "public")
        os.mkdir(made, 0o755)
        yield made


def test_the_first_of_the_usual_ones_that_is_there(root: str) -> None:
    chosen = choose_worker(None, None, [root])
    assert (chosen.user, chosen.uid, chosen.gid) == ("nobody", NOBODY.pw_uid, NOBODY.pw_gid)
    # Under that name, since nginx would look for a group by the user's.
    assert chosen.group


@pytest.mark.parametrize("mode", [0o700, 0o750, 0o754, 0o751])
def test_a_root_that_is_closed_is_refused_with_what_opens_it(root: str, mode: int) -> None:
    os.chmod(root, mode)
    if os.stat(root).st_uid != 0:
        assert choose_worker(None, None, [root]).uid == os.getuid()
        return
    with pytest.raises(PillionError) as refused:
        choose_worker(None, None, [root])
    assert f"{refused.value}" == (
        f"cannot serve {root} as nobody: {root} is closed to it (mode {mode:04o}); chmod o+rX {root}, "
        'or set offload.user = "root"'
    )


def test_what_it_is_in_is_in_the_way_as_well_and_the_outermost_is_named(root: str) -> None:
    above = os.path.dirname(root)
    os.chmod(root, 0o700)
    os.chmod(above, 0o700)
    if os.stat(above).st_uid == 0:
        with pytest.raises(PillionError, match=rf"{above} is closed .* chmod o\+x {above}, or"):
            choose_worker(None, None, [root])
    # To pass through, nobody has to be able to list it.
    os.chmod(root, 0o755)
    os.chmod(above, 0o711)
    assert choose_worker(None, None, [root]).user == "nobody"


@pytest.mark.skipif(os.geteuid() != 0, reason="gives a directory away")
def test_the_owner_of_the_root_is_the_last_resort(root: str) -> None:
    account = next(one for one in pwd.getpwall() if one.pw_uid not in (0, NOBODY.pw_uid))
    os.chown(root, account.pw_uid, account.pw_gid)
    os.chmod(root, stat.S_IRWXU)
    assert choose_worker(None, None, [root]).user == account.pw_name
    # What else it has to read counts for the owner too.
    with tempfile.TemporaryDirectory() as closed, pytest.raises(PillionError, match="as nobody"):
        choose_worker(None, None, [root, closed])


def test_the_app_s_user_comes_first_and_root_is_nobody_s_choice(root: str) -> None:
    other = next(one for one in pwd.getpwall() if one.pw_uid not in (0, NOBODY.pw_uid))
    assert choose_worker(None, other.pw_name, [root]).user == other.pw_name
    assert choose_worker(None, str(other.pw_uid), [root]).user == other.pw_name
    assert choose_worker(None, "root", [root]).user == "nobody"
    with pytest.raises(PillionError, match=r"there is no such user; set app\.user"):
        choose_worker(None, "no-such-user", [root])


@pytest.mark.parametrize("wanted", ["root", "0"])
def test_the_settings_are_taken_at_their_word(root: str, wanted: str) -> None:
    os.chmod(root, 0o700)
    assert choose_worker(wanted, None, [root]) == Worker("root", "root", 0, 0)
    with pytest.raises(PillionError, match=r"there is no such user; set offload\.user"):
        choose_worker("no-such-user", None, [root])


def test_what_has_to_be_passed_through_need_not_be_listed(root: str) -> None:
    state = os.path.dirname(root)
    os.chmod(state, 0o711)
    assert choose_worker(None, None, ["/"], [state]).user == "nobody"
    os.chmod(state, 0o700)
    if os.stat(state).st_uid == 0:
        with pytest.raises(PillionError, match=rf"cannot serve / as nobody: {state} is closed"):
            choose_worker(None, None, ["/"], [state])


def test_a_root_that_is_still_to_come_keeps_nobody_out(root: str) -> None:
    assert choose_worker(None, None, [f"{root}/current"]).user == "nobody"


def test_without_root_nobody_else_can_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    check_ours(None)
    with pytest.raises(PillionError, match="only root may"):
        check_ours("nobody")
