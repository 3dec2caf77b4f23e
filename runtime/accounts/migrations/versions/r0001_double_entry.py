"""Double entry: journals of holds, endings and movements; books of one table are taken over, row by row."""

from alembic import op
from sqlalchemy import inspect

from runtime.accounts.scripts import statements

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the tables, and fill them from the old one where there is one."""
    bind = op.get_bind()
    tables = inspect(bind).get_table_names()
    for statement in statements(f"0001.{bind.dialect.name}"):
        bind.exec_driver_sql(statement)
    if "entries" in tables:
        if "receipt" not in {column["name"] for column in inspect(bind).get_columns("entries")}:
            # From before agents' receipts were entered: agents received their measured cost.
            bind.exec_driver_sql("ALTER TABLE entries ADD COLUMN receipt INTEGER")
            bind.exec_driver_sql("UPDATE entries SET receipt = cost")
        for statement in statements("0001.entries"):
            bind.exec_driver_sql(statement)


def downgrade() -> None:
    """One table cannot hold what these do."""
    raise NotImplementedError("there is no way back to books of one table; take the copy made before")
