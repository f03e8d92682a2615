"""A job's time runs from its first claim, and only leases that were lost for nothing count.

Jobs that are there keep the deadline that they were given.

Revision 0013, after 0012.
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("run_seconds", sa.Double()))
    op.add_column("jobs", sa.Column("losses", sa.Integer(), nullable=False, server_default="0"))


def downgrade() -> None:
    op.drop_column("jobs", "losses")
    op.drop_column("jobs", "run_seconds")
