"""The forms of the accounts room."""

from typing import Any
from zoneinfo import available_timezones

from babel import Locale
from flask_wtf import FlaskForm
from wtforms import EmailField, HiddenField, PasswordField, RadioField, SelectField, StringField
from wtforms.fields import SelectChoice
from wtforms.validators import InputRequired, Length, ValidationError

from portal.accounts.security import passwords
from portal.accounts.users import is_address, normalized
from portal.customers.billing_details import TAX_ID_TYPES
from portal.errors import InvalidInput

MAX_EMAIL = 254  # the longest path in RFC 5321
MAX_CODE = 64
NO_COUNTRIES = frozenset(("EU", "EZ", "QO", "UN", "XA", "XB", "ZZ"))  # of Unicode's two-letter territories
ADDRESS = ("line1", "line2", "postal_code", "city", "state")
CONTINENTS = frozenset(
    ("Africa", "America", "Antarctica", "Asia", "Atlantic", "Australia", "Europe", "Indian", "Pacific")
)


def well_formed(_form: FlaskForm, field: EmailField) -> None:
    """Check that SMTP and Stripe both accept the email address. No lookup is made."""
    if not is_address(field.data):
        raise ValidationError("This does not look like an email address, such as name@example.com.")


def _one_line(value: str | None) -> str:
    return " ".join((value or "").split())


def _email(*validators: Any) -> EmailField:
    required = InputRequired("Enter your email address.")
    length = Length(max=MAX_EMAIL, message="This email address is too long.")
    tidy = [lambda value: normalized(value or "")]
    return EmailField("Email", [required, length, *validators], tidy, render_kw={"autocomplete": "username"})


def _password(autocomplete: str, label: str = "Password") -> PasswordField:
    required = InputRequired("Enter a password.")
    length = Length(max=passwords.MAX_LENGTH, message=f"Use at most {passwords.MAX_LENGTH} characters.")
    return PasswordField(label, [required, length], render_kw={"autocomplete": autocomplete})


def _code(label: str) -> StringField:
    required = InputRequired("Enter the code.")
    length = Length(max=MAX_CODE, message="This is longer than any code.")
    attributes = {"autocomplete": "one-time-code", "autocapitalize": "none", "spellcheck": "false"}
    return StringField(label, [required, length], render_kw=attributes)


def _line(label: str, longest: int, autocomplete: str) -> StringField:
    length = Length(max=longest, message=f"Use at most {longest} characters.")
    return StringField(label, [length], [_one_line], render_kw={"autocomplete": autocomplete})


def _name() -> StringField:
    length = Length(max=200, message="Use at most 200 characters.")
    return StringField("Name", [length], [_one_line], render_kw={"autocomplete": "name"})


def time_zones() -> dict[str, list[tuple[str, str]]]:
    """Return the inhabited time zones, by continent, with "UTC" first."""
    found: dict[str, list[tuple[str, str]]] = {"Everywhere": [("UTC", "UTC")]}
    for zone in sorted(available_timezones()):
        region, _, place = zone.partition("/")
        if region in CONTINENTS:
            found.setdefault(region, []).append((zone, place.replace("_", " ").replace("/", ", ")))
    return found


class RoomForm(FlaskForm):
    """A form that can show errors raised by the room's functions."""

    def show(self, refused: InvalidInput) -> None:
        """Show the error's messages beside their fields."""
        for name, words in refused.errors.items():
            self[name].errors = [*self[name].errors, words]


class SignUpForm(RoomForm):
    """Sign-up."""

    name = _name()
    email = _email(well_formed)
    password = _password("new-password")


class SignInForm(RoomForm):
    """Sign-in."""

    email = _email()
    password = _password("current-password")


class ForgotForm(RoomForm):
    """A request for a new password."""

    email = _email(well_formed)


class NewPasswordForm(RoomForm):
    """A new password, for a reset or a claim."""

    password = _password("new-password")


class AnswersForm(RoomForm):
    """For each waiting order whether it is theirs, and for each key whether to keep it. The fields are added
    dynamically.
    """

    def mine(self) -> dict[int, bool]:
        """Return for each unclaimed user, by id, whether it is theirs."""
        return {_id(name): field.data == MINE for name, field in self._fields.items() if name.startswith(PURCHASE)}

    def kept(self) -> set[int]:
        """The ids of the keys to keep."""
        return {_id(name) for name, field in self._fields.items() if name.startswith(KEY) and field.data == KEEP}


class NewPasswordAnswersForm(AnswersForm):
    """The same with a new password."""

    password = _password("new-password", "New password")


class PasswordAnswersForm(AnswersForm):
    """The same with the existing password."""

    password = _password("current-password")


PURCHASE, KEY = "purchase_", "key_"
MINE, KEEP = "mine", "keep"


def _id(name: str) -> int:
    return int(name.rpartition("_")[2])


def purchase_field(title: str) -> RadioField:
    """Return the field that asks whether an order is theirs. Nothing is preselected."""
    required = InputRequired(f"Choose Mine or Not mine: {title}.")
    return RadioField(
        title, [required], choices=[SelectChoice(MINE, "Mine"), SelectChoice("not_mine", "Not mine")]
    )


def key_field(title: str, order: str | None = None) -> RadioField:
    """Return the field that asks whether to keep a key, shown if its order (the name of that field) is theirs."""

    def answered(form: AnswersForm, field: RadioField) -> None:
        is_asked = order is None or form[order].data == MINE
        if is_asked and field.data not in (KEEP, "end"):
            raise ValidationError(f"Choose Keep or End: {title}.")

    choices = [SelectChoice(KEEP, "Keep"), SelectChoice("end", "End")]
    return RadioField(title, [answered], choices=choices, validate_choice=False)


class CodeForm(RoomForm):
    """The second step of sign-in, and the proof that an app was set up."""

    code = _code("Code")


def countries() -> list[tuple[str, str]]:
    """Return the countries of a postal address: code and name, by name."""
    named = Locale("en").territories
    known = {code: name for code, name in named.items() if len(code) == 2 and code not in NO_COUNTRIES}
    return sorted(known.items(), key=lambda one: one[1])


def tax_id_types() -> list[tuple[str, str]]:
    """Return Stripe's kinds of tax ids: code, and country with its own name, by country."""
    named = Locale("en").territories
    found = []
    for code in TAX_ID_TYPES:
        country, _, kind = code.partition("_")
        found.append((code, f"{named[country.upper()]}: {kind.replace('_', ' ').upper()}"))
    return sorted(found, key=lambda one: one[1])


class BillingDetailsForm(RoomForm):
    """What invoices say about the buyer. The nonce makes a repeated submission add one tax id."""

    name = _line("Company or name", 200, "organization")
    line1 = _line("Address", 200, "address-line1")
    line2 = _line("Address, second line", 200, "address-line2")
    postal_code = _line("Postal code", 20, "postal-code")
    city = _line("City", 100, "address-level2")
    state = _line("State or province", 100, "address-level1")
    country = SelectField("Country", render_kw={"autocomplete": "country"})
    tax_id_type = SelectField("Kind of tax ID")
    tax_id = _line("Tax ID", 50, "off")
    nonce = HiddenField(validators=[Length(max=64)])

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.country.choices = [("", "Choose a country"), *countries()]
        self.tax_id_type.choices = [("", "None"), *tax_id_types()]

    def validate_country(self, field: SelectField) -> None:
        """Check that an address names its country, by which Stripe calculates taxes."""
        if any(self[one].data for one in ADDRESS) and not field.data:
            raise ValidationError("Choose the country of the address.")

    def validate_tax_id(self, field: StringField) -> None:
        """Check that a tax id and its kind are given together."""
        if bool(field.data) != bool(self.tax_id_type.data):
            missing = "its kind" if field.data else "the number"
            raise ValidationError(f"Give a tax ID and its kind together: {missing} is missing.")


class ProfileForm(RoomForm):
    """The user's profile."""

    name = _name()
    timezone = SelectField("Time zone", choices=time_zones)


class NewEmailForm(RoomForm):
    """A new email address."""

    email = _email(well_formed)


class ChangePasswordForm(RoomForm):
    """The current password and a new one."""

    current = _password("current-password", "Current password")
    password = _password("new-password", "New password")


class PasswordForm(RoomForm):
    """The password again, before a sensitive action."""

    password = _password("current-password")


class ConfirmForm(RoomForm):
    """A button, for someone who is signed in to the account."""


class TurnOffForm(RoomForm):
    """Both factors, to turn the second one off."""

    password = _password("current-password")
    code = _code("Code, or a recovery code")
