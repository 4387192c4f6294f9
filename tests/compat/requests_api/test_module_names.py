"""`drivetrain.compat.requests_api` as a module: every name of requests, the same classes."""

from __future__ import annotations

import importlib
import pickle
from typing import Any
from unittest import mock

import pytest
import requests
import requests.help
import urllib3.exceptions

from drivetrain.compat import requests_api

SAME = ["auth", "certs", "compat", "cookies", "exceptions", "help", "hooks", "models", "packages", "status_codes"]
SAME += ["structures", "utils"]
ENGINES_OWN = ["adapters", "api", "sessions"]


def pair(name: str) -> tuple[Any, Any]:
    dotted = f".{name}" if name else ""
    return importlib.import_module(f"requests{dotted}"), importlib.import_module(f"{requests_api.__name__}{dotted}")


@pytest.mark.parametrize("name", ["", *SAME, *ENGINES_OWN])
def test_every_public_name_is_there(name: str) -> None:
    original, ours = pair(name)
    assert [public for public in vars(original) if not public.startswith("_") and not hasattr(ours, public)] == []
    assert set(dir(original)) <= set(dir(ours))


@pytest.mark.parametrize("name", SAME)
def test_a_module_that_stays_as_it_is_is_the_same(name: str) -> None:
    original, ours = pair(name)
    assert ours is original


@pytest.mark.parametrize("name", ["", *ENGINES_OWN])
def test_classes_are_the_originals_or_derived_from_them(name: str) -> None:
    original, ours = pair(name)
    classes = {public: value for public, value in vars(original).items() if isinstance(value, type)}
    assert classes or name == "api"
    changed = {public for public, value in classes.items() if getattr(ours, public) is not value}
    assert changed <= {"Session", "HTTPAdapter"}
    assert all(issubclass(getattr(ours, public), classes[public]) for public in changed)


def test_what_is_replaced_in_a_module_is_replaced_in_requests() -> None:
    original, ours = pair("sessions")
    found = original.get_netrc_auth
    with mock.patch(f"{requests_api.__name__}.sessions.get_netrc_auth", "replaced"):
        assert original.get_netrc_auth == ours.get_netrc_auth == "replaced"
    assert original.get_netrc_auth is ours.get_netrc_auth is found
    own = ours.Session
    with mock.patch(f"{requests_api.__name__}.sessions.Session", "replaced"):
        assert ours.Session == "replaced"
        assert original.Session is requests.Session
    assert ours.Session is own
    ours.a_name_of_nobody = 1
    assert not hasattr(original, "a_name_of_nobody")
    del ours.a_name_of_nobody


def test_the_facts_of_the_package() -> None:
    assert requests_api.__version__ == requests.__version__
    assert requests_api.codes.not_found == 404
    with pytest.raises(AttributeError):
        requests_api.no_such_name  # noqa: B018


def test_old_packages() -> None:
    found = importlib.import_module(f"{requests_api.__name__}.packages.urllib3.exceptions")
    assert found is urllib3.exceptions


def test_errors_are_caught_across_both() -> None:
    assert requests_api.exceptions.ReadTimeout is requests.ReadTimeout
    assert requests_api.ConnectionError is requests.ConnectionError


def test_a_session_is_one_of_requests() -> None:
    with requests_api.Session() as session:
        assert isinstance(session, requests.Session)
        assert [type(adapter) for adapter in session.adapters.values()] == [requests_api.adapters.HTTPAdapter] * 2
        twin = pickle.loads(pickle.dumps(session))
        assert type(twin) is requests_api.Session
        assert list(twin.adapters) == ["https://", "http://"]
    assert type(requests_api.session()) is requests_api.Session


def test_an_adapter_takes_what_requests_takes() -> None:
    adapter: Any = requests_api.adapters.HTTPAdapter(3, 4, 5, True, version=1.1)
    assert (adapter._pool_connections, adapter._pool_maxsize, adapter._pool_block) == (3, 4, True)
    assert adapter.max_retries.total == 5
    with pytest.raises(TypeError, match="no option"):
        requests_api.adapters.HTTPAdapter(wrong=1)


def test_an_adapter_that_was_pickled_as_requests_own() -> None:
    state = requests.adapters.HTTPAdapter(max_retries=2).__getstate__()
    adapter: Any = requests_api.adapters.HTTPAdapter.__new__(requests_api.adapters.HTTPAdapter)
    adapter.__setstate__(state)
    assert adapter.max_retries.total == 2
    assert adapter.hsts is None
