"""Native calls that are stopped, and leftovers that are removed, by whoever wants an end at once."""

from __future__ import annotations

import pytest

from dit4sr.runtime.interruption import Delay, Leftovers, NativeCalls


def test_calls_under_way_are_stopped_and_others_are_not():
    calls, stopped = NativeCalls(), []
    with calls.stopped_by(lambda: stopped.append("over before")):
        pass
    with calls.stopped_by(lambda: stopped.append("outer")), calls.stopped_by(lambda: stopped.append("inner")):
        calls.stop_all()
    assert stopped == ["outer", "inner"]


def test_a_call_that_begins_after_the_stop_is_stopped_too():
    """Between a signal and what Python raises for it, one more call may begin."""
    calls, stopped = NativeCalls(), []
    calls.stop_all()
    with calls.stopped_by(lambda: stopped.append("late")):
        assert stopped == ["late"]
    calls.allow()
    with calls.stopped_by(lambda: stopped.append("allowed")):
        pass
    assert stopped == ["late"]


@pytest.mark.parametrize("error", [None, ValueError, KeyboardInterrupt])
def test_a_leftover_is_removed_at_the_end_of_its_block_come_what_may(error):
    leftovers, removed = Leftovers(), []

    def use():
        with leftovers.removed_by(lambda: removed.append("it")):
            assert removed == []
            if error:
                raise error

    if error:
        with pytest.raises(error):
            use()
    else:
        use()
    leftovers.remove_all()
    assert removed == ["it"]


def test_what_a_signal_kept_from_being_removed_stays_on_the_list():
    leftovers, attempts = Leftovers(), []

    def remove():
        attempts.append("once more")
        if len(attempts) == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), leftovers.removed_by(remove):
        pass
    leftovers.remove_all()
    assert len(attempts) == 2


def test_one_that_cannot_be_removed_keeps_no_other():
    leftovers, removed = Leftovers(), []

    def fail():
        if not removed:
            raise OSError

    with leftovers.removed_by(fail), leftovers.removed_by(lambda: removed.append("the other")):
        leftovers.remove_all()
        assert removed == ["the other"]


@pytest.mark.parametrize("error", [None, ValueError])
def test_an_interruption_waits_until_a_beginning_is_done_however_that_goes(error):
    delay, done = Delay(), []
    with pytest.raises(KeyboardInterrupt), delay.while_beginning():
        delay.interrupt(KeyboardInterrupt())
        done.append("begun")
        if error:
            raise error
    assert done == ["begun"]
    with delay.while_beginning():
        done.append("begun again")
    with pytest.raises(KeyboardInterrupt):
        delay.interrupt(KeyboardInterrupt())
