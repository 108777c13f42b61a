"""Users and their roles on the command line."""

import click

from portal.commands import Commands, audited, explained
from portal.extensions import db

group = Commands("users", help="Who signs in.")


@group.command("create-admin")
@click.argument("email")
@click.option("--role", type=click.Choice(["admin", "support"]), default="admin", show_default=True)
@click.password_option(help="If not given, the command asks for it; other users can see a command line.")
@audited
def create_admin(email: str, role: str, password: str) -> None:
    """Create a user with a staff role, or grant it to an existing user, and set their password."""
    from portal.accounts import staff

    staff.make(email, password, role)
    db.session.commit()
    click.echo(f"{email} has the role {role}.")


@group.command("set-role")
@click.argument("email")
@click.argument("role", type=click.Choice(["customer", "support", "admin"]))
@explained
def set_role(email: str, role: str) -> None:
    """Change a user's role; `customer` removes staff roles."""
    from portal.accounts import staff, users

    staff.give_role(users.named(email), role)
    db.session.commit()
    click.echo(f"{email} has the role {role}.")


@group.command("remove-second-factor")
@click.argument("email")
@explained
def remove_second_factor(email: str) -> None:
    """Let a user who lost app and recovery codes sign in with only the password. Verify their identity first."""
    from portal.accounts import users
    from portal.accounts.security import second_factor

    second_factor.remove(users.named(email))
    db.session.commit()
    click.echo(f"{email} signs in by the password alone, until a second factor is set up again.")


@group.command("set-password")
@click.argument("email")
@click.password_option()
@audited
def set_password(email: str, password: str) -> None:
    """Set a user's password and end their sessions."""
    from portal.accounts import users

    users.set_password(email, password)
    db.session.commit()
    click.echo(f"The password of {email} is changed, and every session ended.")
