"""Places of a checkpoint: the other folders in which the same content was registered.

Until then a second registration moved the row, and with it every run, to its own folder.

Revision 0006, after 0005.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "checkpoint_places",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("checkpoint_id", sa.String(length=40), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("adapter", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["checkpoint_id"],
            ["checkpoints.id"],
            name=op.f("fk_checkpoint_places_checkpoint_id_checkpoints"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_checkpoint_places")),
    )
    with op.batch_alter_table("checkpoint_places", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_checkpoint_places_checkpoint_id"), ["checkpoint_id"], unique=False
        )


def downgrade() -> None:
    op.drop_table("checkpoint_places")
