"""Importing asks nobody for anything."""

import os
import subprocess
import sys

import pytest

NO_NETWORK = """
import socket
def refused(*_, **__):
    raise AssertionError("a socket was opened")
class Refused(socket.socket):
    __init__ = refused
socket.socket, socket.create_connection, socket.getaddrinfo = Refused, refused, refused
import os, warnings
warnings.simplefilter("error")  # albumentations only warns when it cannot reach the index
"""
SEE = "print(os.environ['NO_ALBUMENTATIONS_UPDATE'], 'albumentations.check_version' in __import__('sys').modules)"


def run(code: str, **environ: str) -> subprocess.CompletedProcess[str]:
    env = {k: v for k, v in os.environ.items() if k != "NO_ALBUMENTATIONS_UPDATE"} | environ
    return subprocess.run([sys.executable, "-c", NO_NETWORK + code], capture_output=True, text=True, env=env)


@pytest.mark.slow
def test_no_socket_is_opened() -> None:
    by_name = "from fulmen.core.spec import build\nbuild('image_augmentations', 'flip')\n"
    result = run(by_name + SEE)
    assert result.stdout.split() == ["1", "True"], result.stderr


@pytest.mark.slow
def test_what_the_user_set_stays() -> None:
    result = run("import fulmen_albumentations\n" + SEE, NO_ALBUMENTATIONS_UPDATE="true")
    assert result.stdout.split() == ["true", "True"], result.stderr


@pytest.mark.slow
def test_the_check_sees_albumentations_ask() -> None:
    """Without the variable albumentations does try, so the tests above can fail."""
    assert "a socket was opened" in run("import albumentations").stderr
