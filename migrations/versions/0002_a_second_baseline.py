"""A second baseline: the anchor that an evaluation was held against beside its parent.

Revision 0002, after 0001.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

FOREIGN_KEY = "fk_evaluations_anchor_id_checkpoints"


def upgrade() -> None:
    with op.batch_alter_table("evaluations", schema=None) as batch_op:
        batch_op.add_column(sa.Column("anchor_id", sa.String(length=40), nullable=True))
        batch_op.create_foreign_key(op.f(FOREIGN_KEY), "checkpoints", ["anchor_id"], ["id"])


def downgrade() -> None:
    with op.batch_alter_table("evaluations", schema=None) as batch_op:
        batch_op.drop_constraint(op.f(FOREIGN_KEY), type_="foreignkey")
        batch_op.drop_column("anchor_id")
