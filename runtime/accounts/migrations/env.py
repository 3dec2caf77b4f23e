"""Alembic's entry: upgrades on the connection that `migrating.upgrade` gives."""

from alembic import context

connection = context.config.attributes["connection"]
context.configure(connection=connection)
with context.begin_transaction():
    context.run_migrations()
