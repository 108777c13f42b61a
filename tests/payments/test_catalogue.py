"""The catalogue's settings for disputes."""

from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import select

from portal.catalogue import catalogue_file, load
from portal.extensions import db
from portal.models import Plan
from portal.settings import current_settings


def written(tmp_path: Path, policy: str) -> Path:
    """The sample catalogue, with this policy for Pro."""
    text = current_settings().catalogue.read_text()
    file = tmp_path / "catalogue.toml"
    file.write_text(text.replace("[plans.pro]\n", f'[plans.pro]\non_dispute = "{policy}"\n'))
    return file


def test_a_plan_says_what_a_dispute_does(app: Flask, tmp_path: Path) -> None:
    load.into_database(catalogue_file.read(written(tmp_path, "suspend")), {})
    db.session.commit()
    plans = {plan.tier: plan.on_dispute for plan in db.session.execute(select(Plan)).scalars()}
    assert (plans["pro"], plans["starter"]) == ("suspend", "keep")


def test_another_word_is_refused(app: Flask, tmp_path: Path) -> None:
    with pytest.raises(catalogue_file.BadCatalogue, match=r"on_dispute"):
        catalogue_file.read(written(tmp_path, "forgive"))
