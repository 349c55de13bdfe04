"""The start page."""

import pytest
from django.test import Client

pytestmark = pytest.mark.django_db


def test_a_stranger_sees_the_start_page(client: Client) -> None:
    page = client.get("/")
    assert page.status_code == 200
    assert "Register" in page.content.decode()
