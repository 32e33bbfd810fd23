from __future__ import annotations

from profile_training import COLLECTING, WATCHED, role, shares
from stopwatch import Stopwatch, Track


def test_everything_that_is_watched_exists() -> None:
    with Stopwatch().watching(*WATCHED):
        pass


def test_shares_by_role_and_category() -> None:
    learner = Track(main=True, wall={"forward": 3.0, "backward": 5.0}, cpu={"forward": 2.5, "backward": 5.0})
    learner.calls |= {"forward": 6, "backward": 2}
    collector = Track(main=False, wall={COLLECTING: 1.0}, cpu={COLLECTING: 1.0}, calls={COLLECTING: 1})
    helpers = [Track(main=False, wall={"physics": 2.0}, cpu={"physics": 1.0}, calls={"physics": 9}) for _ in range(2)]
    assert [role(track) for track in (learner, collector, helpers[0])] == ["learner", "collector", "helpers"]
    found = shares([learner, collector, *helpers], seconds=10.0)
    assert list(found["learner"]) == ["backward", "forward"]
    assert found["learner"]["forward"] == {"share": 0.3, "seconds": 3.0, "cpu_seconds": 2.5, "calls": 6}
    assert found["helpers"]["physics"] == {"share": 0.4, "seconds": 4.0, "cpu_seconds": 2.0, "calls": 18}
