"""Indexes in the order in which jobs are claimed and listed, so that neither sorts a long queue.

Revision 0009, after 0008.
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_index("ix_jobs_claim", table_name="jobs")
    op.drop_index("ix_jobs_project", table_name="jobs")
    op.create_index("ix_jobs_claim", "jobs", ["queue", "status", sa.text("priority DESC"), "id"])
    op.create_index("ix_jobs_list", "jobs", ["project", "id"])
    op.create_index("ix_evaluations_verdict", "evaluations", ["verdict"])


def downgrade() -> None:
    op.drop_index("ix_evaluations_verdict", table_name="evaluations")
    op.drop_index("ix_jobs_list", table_name="jobs")
    op.drop_index("ix_jobs_claim", table_name="jobs")
    op.create_index("ix_jobs_project", "jobs", ["project"])
    op.create_index("ix_jobs_claim", "jobs", ["queue", "status", "priority", "id"])
