"""Rounds: what each was decided from, sealed."""

from alembic import op

from runtime.accounts.scripts import statements

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the table; what was served before has no rounds."""
    bind = op.get_bind()
    for statement in statements(f"0002.{bind.dialect.name}"):
        bind.exec_driver_sql(statement)


def downgrade() -> None:
    """Rounds would be lost."""
    raise NotImplementedError("there is no way back to books without rounds; take the copy made before")
