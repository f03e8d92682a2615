-- The database's roles, made once by its superuser: `owner` migrates, `app` is every other process.
-- PostgreSQL's image runs this where it makes a new database. On one from before November 2026, once:
--   docker compose exec postgres sh -c 'psql -U "$POSTGRES_USER" -d "$POSTGRES_DB" -f /docker-entrypoint-initdb.d/roles.sql'
\set ON_ERROR_STOP on
\getenv owner_password POSTGRES_OWNER_PASSWORD
\getenv app_password POSTGRES_APP_PASSWORD

CREATE ROLE holdfast_owner LOGIN PASSWORD :'owner_password';
CREATE ROLE holdfast_app LOGIN PASSWORD :'app_password';

REVOKE ALL ON DATABASE :"DBNAME" FROM PUBLIC;
GRANT CONNECT ON DATABASE :"DBNAME" TO holdfast_owner, holdfast_app;
ALTER SCHEMA public OWNER TO holdfast_owner;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO holdfast_app;

-- what a superuser has migrated so far
DO $$
DECLARE
    thing record;
BEGIN
    FOR thing IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' LOOP
        EXECUTE format('ALTER TABLE public.%I OWNER TO holdfast_owner', thing.tablename);
    END LOOP;
    FOR thing IN
        SELECT oid::regprocedure AS signature FROM pg_proc
        WHERE pronamespace = 'public'::regnamespace AND prokind = 'f'
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO holdfast_owner', thing.signature);
    END LOOP;
END
$$;
