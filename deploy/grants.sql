-- What the processes may do, granted by the owner after every migration: rows but no tables, and of
-- the audit trail only to read it and to add to it.
\set ON_ERROR_STOP on
BEGIN;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO holdfast_app;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO holdfast_app;
REVOKE UPDATE, DELETE ON audit_events FROM holdfast_app;
REVOKE INSERT, UPDATE, DELETE ON alembic_version FROM holdfast_app;
COMMIT;
