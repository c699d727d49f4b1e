from server.session.states import ACTIVE, CLIENT_EVENTS, CONNECTED, TRANSITIONS, Event, State


def test_every_state_can_be_reached_and_left() -> None:
    reached = {State.OPENING}
    while more := {after for (before, _), after in TRANSITIONS.items() if before in reached} - reached:
        reached |= more
    assert reached == set(State)
    for state in set(State) - {State.DONE}:
        assert any(before is state and after is State.DONE for (before, _), after in TRANSITIONS.items())


def test_nothing_happens_after_the_end() -> None:
    assert not [event for state, event in TRANSITIONS if state is State.DONE]


def test_clients_act_only_while_connected_but_for_audio_that_was_under_way() -> None:
    acting = {(state, event) for state, event in TRANSITIONS if event in CLIENT_EVENTS and state not in CONNECTED}
    assert acting == {(State.DETACHED, Event.AUDIO)}


def test_only_stopping_ends_the_workers_part_in_order() -> None:
    for (before, event), after in TRANSITIONS.items():
        if before in ACTIVE and after not in ACTIVE and after is not State.DONE:
            assert event is Event.FINISH
