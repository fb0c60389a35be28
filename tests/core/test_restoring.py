import threading

import pytest

from fulmen.core.restoring import is_restoring, restoring


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
