"""Credits and units that a plan includes, in the file and in words."""

import pytest

from portal.catalogue import catalogue_file, plans
from tests.catalogue.test_schema import SMALL


def test_a_plan_may_include_credits_and_units(tmp_path):
    path = tmp_path / "catalogue.toml"
    given = "trial_days = 7\ncredits = 20_000\ncredits_in_trial = true\nrollover = 2\n"
    given += "included = { api_calls = 50_000 }"
    path.write_text(SMALL.replace('tier = "pro"', f'tier = "pro"\n{given}'))
    free, pro = catalogue_file.read(path).plans
    assert (pro.credits, pro.credits_in_trial, pro.rollover, pro.included) == (
        20_000,
        True,
        2,
        {"api_calls": 50_000},
    )
    assert (free.credits, free.credits_in_trial, free.rollover, free.included) == (0, False, 0, {})
    assert (plans.feature_count(free), plans.feature_count(pro)) == (1, 3)


@pytest.mark.parametrize(
    ("number", "name", "words"),
    [(50_000, "API calls", "50,000 API calls"), (1, "CPU hour", "1 CPU hour"), (20, "CPU hour", "20 CPU hours")],
)
def test_a_number_of_units_is_written_with_its_meter_s_name(number, name, words):
    assert plans.counted(number, name) == words
