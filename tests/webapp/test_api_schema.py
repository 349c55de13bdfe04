"""Random calls that fit the API's own description: none breaks the server, and each answer fits the description."""

from __future__ import annotations

from collections.abc import Callable
from itertools import cycle
from typing import Any

import pytest
import schemathesis
from django.core.wsgi import get_wsgi_application
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import response_schema_conformance

from tests.webapp import challenge_toys
from webapp.accounts.models import User
from webapp.api.models import ApiToken
from webapp.datasets.models import Dataset
from webapp.runs.models import Run

EXAMPLES = 10  # a call
CHECKS = [not_a_server_error, response_schema_conformance]
pytestmark = pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume")


@pytest.fixture
def described(db: None) -> Any:
    return schemathesis.openapi.from_wsgi("/api/openapi.json", get_wsgi_application())


@pytest.fixture
def token(owner: User) -> str:
    return ApiToken.make(owner, "test")[1]


@pytest.fixture
def ids(owner: User, make_dataset: Callable[..., Dataset], make_run: Callable[..., Run]) -> Any:
    """Every other call is about what exists."""
    dataset = make_dataset(owner)
    real = {"dataset_id": dataset.pk, "run_id": make_run(dataset).pk}
    real["challenge_id"] = challenge_toys.make(make_dataset(User.objects.create_user("organiser@example.org"))).pk
    return cycle((real, {}))


def test_no_call_breaks_the_server(described: Any, token: str, ids: Any) -> None:
    def check(case: Any) -> None:
        real = next(ids)
        case.path_parameters = {name: real.get(name, value) for name, value in (case.path_parameters or {}).items()}
        case.call_and_validate(headers={"Authorization": f"Bearer {token}"}, checks=CHECKS)

    checks = (HealthCheck.too_slow, HealthCheck.filter_too_much)
    settings_ = settings(max_examples=EXAMPLES, deadline=None, derandomize=True, suppress_health_check=checks)
    operations = [found.ok() for found in described.get_all_operations()]
    assert len(operations) > 10
    for operation in operations:
        settings_(given(case=operation.as_strategy())(check))()
