"""The exact text of every mail.

After a change of words, or for a new mail with its own sample: SNAPSHOTS=write pytest tests/mail, then read what
changed.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from jinja2 import StrictUndefined

from portal import create_app, mail
from portal.models import User
from portal.settings import load
from tests.mail.samples import SAMPLES

TEMPLATES = Path(__file__).parents[2] / "templates" / "mail"
SNAPSHOTS = Path(__file__).parent / "snapshots"


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    """A portal whose mails fail if a fact is missing."""
    given = {"INSTANCE_PATH": str(tmp_path_factory.mktemp("mail")), "BASE_URL": "https://portal.test"}
    app = create_app(load(given, env_file=None))
    app.jinja_env.undefined = StrictUndefined
    with app.app_context():
        yield app


def rendered(sample: str) -> dict[str, str]:
    """Both forms of a mail, each with its subject on top."""
    user = User(id=1, email="alice@example.com", name="Alice", timezone="Europe/Vienna")
    facts = {"url": None, "page": None, **SAMPLES[sample]}
    composed = mail._compose(mail.Letter(1, sample, sample.partition("-")[0], user, user.email, facts))
    assert composed.subject
    return {
        "txt": f"Subject: {composed.subject}\n\n{composed.body}\n",
        "html": str(composed.alternatives[0][0]),
    }


@pytest.mark.parametrize("sample", SAMPLES)
def test_a_mail_reads_as_it_did(strict: Flask, sample: str) -> None:
    for form, text in rendered(sample).items():
        file = SNAPSHOTS / f"{sample}.{form}"
        if os.environ.get("SNAPSHOTS") == "write":
            file.write_text(text)
        assert file.exists(), "write it with SNAPSHOTS=write, and read it"
        assert text == file.read_text()


def test_every_mail_has_both_forms_and_a_sample() -> None:
    stems = {form: {file.stem for file in TEMPLATES.glob(f"*.{form}")} - {"layout"} for form in ("txt", "html")}
    assert stems["txt"] == stems["html"]
    assert stems["txt"] == {name.partition("-")[0] for name in SAMPLES}, "tests/mail/samples.py"


def test_no_snapshot_is_left_of_a_mail_that_is_gone() -> None:
    assert {file.stem for file in SNAPSHOTS.iterdir()} == SAMPLES.keys()


def test_a_mail_s_dates_are_its_reader_s(strict: Flask) -> None:
    assert "13:00 CET" in rendered("verify")["txt"]


@pytest.mark.parametrize("sample", SAMPLES)
def test_the_text_fits_a_narrow_window_and_both_forms_share_their_subject(strict: Flask, sample: str) -> None:
    forms = rendered(sample)
    subject = forms["txt"].partition("\n")[0].removeprefix("Subject: ")
    title = forms["html"].partition("<title>")[2].partition("</title>")[0]
    assert " ".join(title.split()) == subject
    assert max(len(line) for line in forms["txt"].splitlines() if "http" not in line) <= 80
