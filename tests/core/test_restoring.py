import threading

import pytest

from fulmen.core.restoring import is_restoring, restored_state, restoring


def test_restoring_holds_inside_its_block() -> None:
    assert not is_restoring()
    with restoring():
        assert is_restoring()
        with restoring():
            assert is_restoring()
        assert is_restoring()
    assert not is_restoring()


def test_restoring_ends_when_the_block_fails() -> None:
    with pytest.raises(RuntimeError, match="no such weights"), restoring():
        raise RuntimeError("no such weights")
    assert not is_restoring()


def test_other_threads_are_not_restoring() -> None:
    seen: list[bool] = []
    with restoring():
        thread = threading.Thread(target=lambda: seen.append(is_restoring()))
        thread.start()
        thread.join()
    assert seen == [False]


def test_a_checkpoint_says_what_it_holds_of_a_class() -> None:
    class Data:
        pass

    class Other(Data):
        pass

    state = {"learned": {"words": ["a"]}}
    assert restored_state(Data) is None
    with restoring({Data.__qualname__: state, "epoch": 3}):
        assert is_restoring()
        assert restored_state(Data) == state
        assert restored_state(Other) is None
        with restoring():  # a model alone
            assert restored_state(Data) is None
        assert restored_state(Data) == state
    assert restored_state(Data) is None
