"""The forms of the accounts room."""

from typing import Any
from zoneinfo import available_timezones

from flask_wtf import FlaskForm
from wtforms import EmailField, PasswordField, RadioField, SelectField, StringField
from wtforms.fields import SelectChoice
from wtforms.validators import InputRequired, Length, ValidationError

from portal.accounts import passwords
from portal.accounts.people import is_address, normalised
from portal.errors import InvalidInput

MAX_EMAIL = 254  # RFC 5321's longest path
MAX_CODE = 64
CONTINENTS = frozenset(
    ("Africa", "America", "Antarctica", "Asia", "Atlantic", "Australia", "Europe", "Indian", "Pacific")
)


def well_formed(_form: FlaskForm, field: EmailField) -> None:
    """A validator: a mail address that SMTP and Stripe both take. No look-up is made."""
    if not is_address(field.data):
        raise ValidationError("This does not look like an email address, such as name@example.com.")


def _one_line(value: str | None) -> str:
    return " ".join((value or "").split())


def _email(*validators: Any) -> EmailField:
    required = InputRequired("Enter your email address.")
    length = Length(max=MAX_EMAIL, message="This email address is too long.")
    tidy = [lambda value: normalised(value or "")]
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


def _name() -> StringField:
    length = Length(max=200, message="Use at most 200 characters.")
    return StringField("Name", [length], [_one_line], render_kw={"autocomplete": "name"})


def time_zones() -> dict[str, list[tuple[str, str]]]:
    """The zones that people live in, by continent; "UTC" stands first, by itself."""
    found: dict[str, list[tuple[str, str]]] = {"Everywhere": [("UTC", "UTC")]}
    for zone in sorted(available_timezones()):
        region, _, place = zone.partition("/")
        if region in CONTINENTS:
            found.setdefault(region, []).append((zone, place.replace("_", " ").replace("/", ", ")))
    return found


class RoomForm(FlaskForm):
    """A form that can show what a verb refused."""

    def show(self, refused: InvalidInput) -> None:
        """Put the refusal's words beside the fields that they are about."""
        for name, words in refused.errors.items():
            self[name].errors = [*self[name].errors, words]


class SignUpForm(RoomForm):
    """A new account."""

    name = _name()
    email = _email(well_formed)
    password = _password("new-password")


class SignInForm(RoomForm):
    """Somebody who has an account."""

    email = _email()
    password = _password("current-password")


class ForgotForm(RoomForm):
    """Whoever forgot their password."""

    email = _email(well_formed)


class NewPasswordForm(RoomForm):
    """A new password, for a reset or a claim."""

    password = _password("new-password")


class AnswersForm(RoomForm):
    """Whether each waiting purchase is theirs, and what becomes of each key; fields are added for them."""

    def mine(self) -> dict[int, bool]:
        """For each unclaimed user, by id, whether it is theirs."""
        return {_id(name): field.data == MINE for name, field in self._fields.items() if name.startswith(PURCHASE)}

    def kept(self) -> set[int]:
        """The ids of the keys to keep."""
        return {_id(name) for name, field in self._fields.items() if name.startswith(KEY) and field.data == KEEP}


class NewPasswordAnswersForm(AnswersForm):
    """The same with a new password."""

    password = _password("new-password", "New password")


class PasswordAnswersForm(AnswersForm):
    """The same with the password that there is."""

    password = _password("current-password")


PURCHASE, KEY = "purchase_", "key_"
MINE, KEEP = "mine", "keep"


def _id(name: str) -> int:
    return int(name.rpartition("_")[2])


def purchase_field(title: str) -> RadioField:
    """Whether a purchase is theirs; nothing is chosen before they do."""
    required = InputRequired(f"Say whether this is yours: {title}.")
    return RadioField(
        title, [required], choices=[SelectChoice(MINE, "Mine"), SelectChoice("not_mine", "Not mine")]
    )


def key_field(title: str, purchase: str | None = None) -> RadioField:
    """What becomes of a key; asked where its purchase, by the name of that field, is theirs."""

    def answered(form: AnswersForm, field: RadioField) -> None:
        is_asked = purchase is None or form[purchase].data == MINE
        if is_asked and field.data not in (KEEP, "end"):
            raise ValidationError(f"Choose Keep or End: {title}.")

    choices = [SelectChoice(KEEP, "Keep"), SelectChoice("end", "End")]
    return RadioField(title, [answered], choices=choices, validate_choice=False)


class CodeForm(RoomForm):
    """The second step of signing in, and the proof that an app was set up."""

    code = _code("Code")


class ProfileForm(RoomForm):
    """What an account says of its owner."""

    name = _name()
    timezone = SelectField("Time zone", choices=time_zones)


class NewEmailForm(RoomForm):
    """Another mail address."""

    email = _email(well_formed)


class ChangePasswordForm(RoomForm):
    """The password that there is, and the one to be."""

    current = _password("current-password", "Current password")
    password = _password("new-password", "New password")


class PasswordForm(RoomForm):
    """The password once more, before something that matters."""

    password = _password("current-password")


class TurnOffForm(RoomForm):
    """Both factors, to do without the second one."""

    password = _password("current-password")
    code = _code("Code, or a recovery code")
