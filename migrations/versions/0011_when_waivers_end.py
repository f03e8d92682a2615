"""When the first waiver ends that a verdict stands on; from then on it is decided anew.

Verdicts that are there count as due: decided anew, they stay where their waivers still hold.

Revision 0011, after 0010.
"""

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
WAIVED = '"outcome":"waived"'


def upgrade() -> None:
    op.add_column("evaluations", sa.Column("waived_until", sa.DateTime(timezone=True)))
    op.create_index("ix_evaluations_waived_until", "evaluations", ["waived_until"])
    evaluations = sa.table(
        "evaluations",
        sa.column("verdict_document", sa.Text()),
        sa.column("waived_until", sa.DateTime(timezone=True)),
    )
    waived = evaluations.c.verdict_document.contains(WAIVED)
    op.execute(sa.update(evaluations).where(waived).values(waived_until=LONG_AGO))


def downgrade() -> None:
    op.drop_index("ix_evaluations_waived_until", table_name="evaluations")
    op.drop_column("evaluations", "waived_until")
