"""The portal behind a real PgBouncer that pools transactions."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import create_engine, text
from sqlalchemy.engine import URL, make_url

from portal import create_app
from portal import settings as settings_module
from portal.doctor import local
from portal.doctor.check import run_local
from portal.extensions import db
from tests.conftest import leave_out, worker
from tests.support import servers
from tests.support.world import environ, fresh_database, world

pytestmark = pytest.mark.long

CONNECTIONS = 4  # of PgBouncer to PostgreSQL, for all threads of the portal
CONFIGURATION = """[databases]
portal = host={host} port={port} dbname={database} user={user} pool_size={size}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listen}
unix_socket_dir =
auth_type = any
pool_mode = transaction
logfile = {folder}/pgbouncer.log
pidfile = {folder}/pgbouncer.pid
"""


@pytest.fixture
def database(postgres_server: str) -> URL:
    """A database whose time limits are set on the server, as docs/scaling.md says."""
    url = make_url(fresh_database(postgres_server, f"bouncer_{worker()}"))
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for name in local.TIMEOUTS:
            connection.execute(text(f"ALTER DATABASE \"{url.database}\" SET {name} = '30s'"))
    engine.dispose()
    return url


@pytest.fixture
def bouncer(database: URL) -> Iterator[str]:
    program = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
    if program is None:
        leave_out("pgbouncer is not installed (Debian: apt-get install pgbouncer)")
    folder, port = Path(tempfile.mkdtemp(prefix="portal-pgbouncer-")), servers.free_port()
    folder.chmod(0o777)
    path = folder / "pgbouncer.ini"
    host, user = database.query.get("host") or database.host, database.username
    path.write_text(
        CONFIGURATION.format(
            host=host,
            port=database.port or 5432,
            database=database.database,
            user=user,
            size=CONNECTIONS,
            listen=port,
            folder=folder,
        )
    )
    # It refuses to run as root, and PostgreSQL's folder may be open to its own account alone.
    owner = Path(str(host)).stat() if str(host).startswith("/") and os.getuid() == 0 else None
    account = {"user": owner.st_uid, "group": owner.st_gid} if owner and owner.st_uid else {}
    process = subprocess.Popen([str(program), str(path)], **account)  # type: ignore[call-overload]
    try:
        yield f"postgresql://{user}@127.0.0.1:{port}/portal?pgbouncer=true"
    finally:
        process.terminate()
        process.wait(10)
        shutil.rmtree(folder)


def test_a_purchase_the_checks_and_many_threads_work_behind_it(
    bouncer: str, database: URL, tmp_path: Path
) -> None:
    direct = database.render_as_string(hide_password=False)
    with world(tmp_path, direct, "postgresql") as here:  # which migrates, and has Stripe
        settings = here.app.extensions["settings"]
        given = environ(tmp_path, bouncer, settings.port, here.sandbox)
        app = create_app(settings_module.load(given, env_file=None))
        ask_often(app)
        with app.app_context():
            assert app.extensions["settings"].is_behind_pgbouncer
            results = run_local([one for one in local.CHECKS if one.name in ("database", "connections")])
            assert {result.verdict for result in results} == {"ok"}, results
            # Without the limits of the server, the check says so.
            db.session.execute(text("SET LOCAL statement_timeout = 0"))
            (problem,) = local.connections()
            assert "statement_timeout" in problem.words
            db.session.rollback()
            db.engine.dispose()


def ask_often(app: Flask) -> None:
    """Have more threads than PgBouncer has connections run transactions with parameters, again and again."""

    def ask(number: int) -> int:
        with app.app_context():
            for turn in range(20):
                found = db.session.execute(text("SELECT CAST(:a AS int) + :b"), {"a": number, "b": turn})
                assert found.scalar_one() == number + turn
                db.session.execute(text("SELECT count(*) FROM plans WHERE position > :a"), {"a": number})
                db.session.commit()
            limits = [db.session.execute(text(f"SHOW {name}")).scalar_one() for name in local.TIMEOUTS]
            db.session.remove()
        assert limits == ["30s"] * len(limits)
        return number

    with ThreadPoolExecutor(4 * CONNECTIONS) as pool:
        assert list(pool.map(ask, range(4 * CONNECTIONS))) == list(range(4 * CONNECTIONS))


def test_without_its_parameter_pgbouncer_refuses_the_time_limits(
    bouncer: str, database: URL, tmp_path: Path
) -> None:
    """What the parameter is for: PgBouncer refuses startup options."""
    given = environ(tmp_path, bouncer.removesuffix("?pgbouncer=true"), 8000, "http://127.0.0.1:1")
    app = create_app(settings_module.load(given, env_file=None))
    with app.app_context():
        with pytest.raises(Exception, match="unsupported startup parameter"):
            db.session.execute(text("SELECT 1"))
        db.session.remove()
        db.engine.dispose()
