"""What of a source is not believed at once, and when it is after all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pillion.proxies.applying.guard import ACCEPT, Accept, Refuse, decide
from pillion.settings.proxies import Guard

if TYPE_CHECKING:
    from pillion.proxies.templating.rendered import Holdings

GUARD = Guard()
NEVER = Guard(hold_s=0)


def holds(**members: str) -> Holdings:
    return {f"service {name}": frozenset(ids) for name, ids in members.items()}


def refused(found: Accept | Refuse) -> Refuse:
    assert isinstance(found, Refuse)
    return found


def test_the_first_version_is_believed() -> None:
    assert decide(GUARD, {}, holds(a=""), 0) is ACCEPT


def test_a_service_that_turns_empty_is_not() -> None:
    found = refused(decide(GUARD, holds(a="xy"), holds(a=""), 100))
    assert found.reason == "service a has turned empty; it held 2"
    assert found.held == {"service a": 100}
    assert found.until_s == 130


def test_it_is_believed_when_it_stays_so() -> None:
    held = refused(decide(GUARD, holds(a="xy"), holds(a=""), 100)).held
    assert isinstance(decide(GUARD, holds(a="xy"), holds(a=""), 129.9, held), Refuse)
    assert decide(GUARD, holds(a="xy"), holds(a=""), 130, held) is ACCEPT


def test_never_is_never() -> None:
    held = refused(decide(NEVER, holds(a="xy"), holds(a=""), 100)).held
    assert refused(decide(NEVER, holds(a="xy"), holds(a=""), 10**9, held)).until_s is None


def test_one_that_comes_back_is_doubted_anew() -> None:
    held = refused(decide(GUARD, holds(a="xy"), holds(a=""), 100)).held
    assert decide(GUARD, holds(a="xy"), holds(a="xy"), 120, held) is ACCEPT
    again = refused(decide(GUARD, holds(a="xy"), holds(a=""), 125))
    assert again.until_s == 155


def test_one_that_was_doubted_for_long_vouches_for_no_other() -> None:
    before = holds(a="xy", b="xy")
    held = refused(decide(GUARD, before, holds(a="", b="xy"), 100)).held
    both = refused(decide(GUARD, before, holds(a="", b=""), 129, held))
    assert both.held == {"service a": 100, "service b": 129}
    assert both.until_s == 159
    assert decide(GUARD, before, holds(a="", b=""), 159, both.held) is ACCEPT


def test_most_of_them_at_once_are_not_believed_to_be_gone() -> None:
    found = refused(decide(GUARD, holds(a="abcdefghij"), holds(a="abcd"), 0))
    assert found.reason == "service a lost 6 of 10 at once"
    assert decide(GUARD, holds(a="abcdefghij"), holds(a="abcde"), 0) is ACCEPT
    assert decide(Guard(share=0.0), holds(a="abcdefghij"), holds(a="a"), 0) is ACCEPT


def test_a_rolling_change_of_all_is_believed() -> None:
    assert decide(GUARD, holds(a="abc"), holds(a="xyz"), 0) is ACCEPT


def test_emptiness_can_be_believed() -> None:
    guard = Guard(empty=False, share=0.0)
    assert decide(guard, holds(a="ab"), holds(a=""), 0) is ACCEPT


def test_a_source_that_is_no_longer_asked_for_is_no_loss() -> None:
    assert decide(GUARD, holds(a="ab", b="cd"), holds(a="ab"), 0) is ACCEPT


def test_many_are_told_in_short() -> None:
    names = {f"s{at}": "xy" for at in range(9)}
    found = refused(decide(GUARD, holds(**names), holds(**dict.fromkeys(names, "")), 0))
    assert found.reason.endswith("; and 6 more")
