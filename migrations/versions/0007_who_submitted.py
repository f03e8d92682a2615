"""Who submitted a job, and for whom a key was made; keys keep what they could do.

Until then whoever could submit could also cancel the jobs of others.

Revision 0007, after 0006.
"""

from collections.abc import Callable, Collection

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
KEYS = sa.table("api_keys", sa.column("id", sa.String), sa.column("scopes", JSON))


def upgrade() -> None:
    with op.batch_alter_table("api_keys", schema=None) as batch_op:
        batch_op.add_column(sa.Column("principal", sa.String(length=200), nullable=True))
        batch_op.add_column(sa.Column("minted_by", sa.String(length=40), nullable=True))
    with op.batch_alter_table("jobs", schema=None) as batch_op:
        batch_op.add_column(sa.Column("key_id", sa.String(length=40), nullable=True))
        batch_op.add_column(sa.Column("principal", sa.String(length=200), nullable=True))
    _change_scopes(lambda scopes: {*scopes, "jobs:cancel"} if "jobs:write" in scopes else scopes)


def downgrade() -> None:
    _change_scopes(lambda scopes: {*scopes} - {"jobs:cancel"})
    with op.batch_alter_table("jobs", schema=None) as batch_op:
        batch_op.drop_column("principal")
        batch_op.drop_column("key_id")
    with op.batch_alter_table("api_keys", schema=None) as batch_op:
        batch_op.drop_column("minted_by")
        batch_op.drop_column("principal")


def _change_scopes(change: Callable[[list[str]], Collection[str]]) -> None:
    connection = op.get_bind()
    for key_id, scopes in connection.execute(sa.select(KEYS.c.id, KEYS.c.scopes)).all():
        connection.execute(
            KEYS.update().where(KEYS.c.id == key_id).values(scopes=sorted(change(scopes)))
        )
