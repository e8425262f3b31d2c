-- The relay's role and database, and the standby's role. On the primary, once, before there is a standby:
--   psql -v relay=PASSWORD -v standby=ANOTHER -f roles.sql      (as the user postgres; letters and digits, they go into URLs)
-- Then the lines of pg_hba.conf beside this file.

\set ON_ERROR_STOP on
-- Not superuser, not for other databases, not for making any.
CREATE ROLE sordino LOGIN PASSWORD :'relay';
CREATE DATABASE sordino OWNER sordino ENCODING 'UTF8' TEMPLATE template0;
-- Else whoever has a role on this server may connect, and before PostgreSQL 15 make tables there.
REVOKE ALL ON DATABASE sordino FROM PUBLIC;

CREATE ROLE standby LOGIN REPLICATION PASSWORD :'standby';
