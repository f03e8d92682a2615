"""An evaluation knows what it was for: its CI run, labels, and the alias that it was held against.

Evaluations that are there know none of the three.

Revision 0014, after 0013.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    op.add_column("evaluations", sa.Column("cause", JSON))
    op.add_column("evaluations", sa.Column("labels", JSON))
    op.add_column("evaluations", sa.Column("line", sa.String(64)))
    op.create_index("ix_evaluations_line", "evaluations", ["line"])


def downgrade() -> None:
    op.drop_index("ix_evaluations_line", "evaluations")
    op.drop_column("evaluations", "line")
    op.drop_column("evaluations", "labels")
    op.drop_column("evaluations", "cause")
