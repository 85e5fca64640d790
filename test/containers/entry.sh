#!/bin/sh
# The entry point of the image that the tests are given: does what that of the official image does with the same variables.
set -eu
case "${1:-}" in postgres) shift ;; esac
export PGDATA="${PGDATA:-/var/lib/postgresql/data}"
as_postgres() { setpriv --reuid 999 --regid 999 --clear-groups "$@"; }
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  mkdir -p "$PGDATA"
  chown 999:999 "$PGDATA"
  umask 077
  printf '%s' "$POSTGRES_PASSWORD" >/var/run/postgresql/password
  chown 999:999 /var/run/postgresql/password
  # shellcheck disable=SC2086 -- several arguments
  as_postgres /pg/bin/initdb -D "$PGDATA" --username="${POSTGRES_USER:-postgres}" --pwfile=/var/run/postgresql/password \
    --auth-local=trust --auth-host=scram-sha-256 ${POSTGRES_INITDB_ARGS:-}
  rm /var/run/postgresql/password
  echo 'host all all all scram-sha-256' >>"$PGDATA/pg_hba.conf"
fi
exec setpriv --reuid 999 --regid 999 --clear-groups /pg/bin/postgres -D "$PGDATA" \
  -c listen_addresses='*' -c unix_socket_directories=/var/run/postgresql "$@"
