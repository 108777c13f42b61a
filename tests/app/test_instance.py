"""The first start creates what later ones read, and starts what is needed."""

import pytest
from dotenv import dotenv_values

from portal.settings import BadSettings, instance
from tests.support.reading import PRODUCTION, read, refusal

pytestmark = pytest.mark.usefixtures("elsewhere")


def test_the_first_start_generates_what_later_ones_read(tmp_path):
    path = instance.prepare(read())
    assert path == tmp_path / "instance" / "sandbox.env"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    generated = dotenv_values(path)
    settings = read()
    assert settings.uses_sandbox
    assert settings.secret_key == generated["SECRET_KEY"]
    assert settings.secret_key_for("live") == generated["STRIPE_SECRET_KEY"]
    assert settings.secret_key_for("test") == generated["STRIPE_TEST_SECRET_KEY"]
    assert settings.webhook_secrets("test") == (generated["STRIPE_TEST_WEBHOOK_SECRET"],)


def test_a_second_start_changes_nothing_and_leaves_nothing_behind():
    path = instance.prepare(read())
    before = path.read_text()
    instance.prepare(read())
    assert path.read_text() == before
    assert [entry.name for entry in path.parent.iterdir()] == ["sandbox.env"]


def test_with_a_stripe_key_only_the_house_secrets_are_taken_from_the_first_start():
    generated = dotenv_values(instance.prepare(read()))
    settings = read(STRIPE_SECRET_KEY="sk_test_mine")
    assert settings.secret_key == generated["SECRET_KEY"]
    assert settings.secret_key_for("test") is None
    assert settings.webhook_secrets("live") == ()


def test_production_reads_and_generates_no_secret():
    instance.prepare(read())
    assert "SECRET_KEY is not set" in refusal(**PRODUCTION | {"SECRET_KEY": ""})
    with pytest.raises(BadSettings):
        instance.prepare(read(**PRODUCTION))


def test_the_sandbox_is_started_only_without_a_stripe_key(monkeypatch, capsys):
    monkeypatch.setenv("PORT", "8123")
    monkeypatch.delenv("STRIPE_SECRET_KEY", raising=False)
    instance.main()
    monkeypatch.setenv("STRIPE_SECRET_KEY", "sk_test_1")
    instance.main()
    assert capsys.readouterr().out.splitlines() == ["-p 8123 web sandbox", "-p 8123 web"]


def test_bad_settings_end_the_start_with_their_own_words(monkeypatch):
    monkeypatch.setenv("PORT", "x")
    with pytest.raises(SystemExit, match="PORT does not have the right form"):
        instance.main()
