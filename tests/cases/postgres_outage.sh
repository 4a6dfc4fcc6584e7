#!/bin/bash
# long
# A PostgreSQL on a volume that loses its key, with docs/examples/postgresql-hook. Stopped as Aurora does it: before access
# ends, cleanly, and started again when the key is back. Or paused: sessions and new connections hang, and go on.
. "$(dirname "$0")/../lib/case.sh"
. "$CASE_ROOT/tests/lib/fs.sh"
need_root
need aws jq curl pg_config runuser
need_fuse
[ -e /dev/loop-control ] || skip_all 'needs loop devices'
PG=$(pg_config --bindir)

RECOVERABLE=inaccessible-encryption-credentials-recoverable
chmod 711 "$DIR"
mkdir D RAW run
chown postgres run
expect_stderr .
start_kmsd
make_key alias/demo
later release D
fs=ext4

as_postgres() { runuser -u postgres -- "$@"; }
sql() { as_postgres "$PG/psql" -X -At -h "$DIR/run" -d postgres -v ON_ERROR_STOP=1 "$@"; }
# Processes of the database: none is left running, or in a state.
database() { ps -o stat= -p "$1" --ppid "$1"; }
stopped() { [ "$(database "$1" | grep -vc '^T')" -eq 0 ]; }

# begin MODE REACTION: a database with a table on a new volume. Its process in $SERVER.
begin() {
	rm -rf V
	make_volume V --size 512M
	ID=$(jq -r .id V/volume.json)
	"$KMSVOL" mount V D --fs ext4 --on-key-loss "$2" --check-interval 200ms --on-state-change \
		"PGDATA='$DIR/D/pg' PGLOG='$DIR/run/log' PGMODE=$1 '$CASE_ROOT/docs/examples/postgresql-hook'"
	mkdir D/pg
	chown postgres D/pg
	as_postgres "$PG/initdb" -D "$DIR/D/pg" -A trust -N >/dev/null
	printf "listen_addresses = ''\nunix_socket_directories = '%s/run'\n" "$DIR" >>D/pg/postgresql.conf
	rm -f run/log
	(cd / && as_postgres "$PG/pg_ctl" -D "$DIR/D/pg" -w -l "$DIR/run/log" start >/dev/null)
	SERVER=$(head -n 1 D/pg/postmaster.pid)
	later kill -KILL "$SERVER"
	sql -qc 'CREATE TABLE visits (n int)' -c 'INSERT INTO visits SELECT generate_series(1, 1000)'
}

finish() {
	(cd / && as_postgres "$PG/pg_ctl" -D "$DIR/D/pg" -m fast -w stop >/dev/null)
	ok "$what: it unmounts" wait_for 10 "$KMSVOL" unmount D
	nothing_left "$what"
	ok "$what: the file system is clean" check_fs
}

when() { # the time of the first event EVENT with the result or state RESULT
	jq -r --arg e "$1" --arg r "$2" 'select(.event == $e and (.result == $r or .to == $r)).time' V/events.jsonl | head -n 1
}

for reaction in error hang read-only; do
	what="stop, $reaction"
	lost=$RECOVERABLE did=shut
	[ $reaction = hang ] && did=frozen
	[ $reaction = read-only ] && lost=read-only did=read-only
	begin stop $reaction
	sql -qc 'INSERT INTO visits VALUES (1001)' # just before
	disable
	need_ok "$what: the key is lost" wait_for 60 state_is V $lost
	ok "$what: the database had been stopped" gone "$SERVER"
	ok "$what: cleanly" grep -q 'database system is shut down' run/log
	like "$what: then the file system" "$(printf '%s\n' "$(when hook 'exit code 0')" "$(when filesystem $did)" "$(when state-changed $lost)" | sort -c && echo in order)" 'in order'
	not_ok "$what: clients are refused" sql -c 'SELECT 1'
	enable
	ok "$what: it is back" wait_for 60 sql -c 'SELECT 1'
	is "$what: with all rows" "$(sql -c 'SELECT count(*) FROM visits')" 1001
	not_ok "$what: without a recovery" grep -q 'automatic recovery' run/log
	SERVER=$(head -n 1 D/pg/postmaster.pid)
	later kill -KILL "$SERVER"
	finish
done

what=pause
begin pause hang
mkfifo in
sql -q <in >out 2>&1 &
session=$!
later kill -KILL "$session"
exec 7>in
echo 'SELECT count(*) FROM visits;' >&7
ok "$what: a session" wait_for 20 grep -qx 1000 out
disable
need_ok "$what: the key is lost" wait_for 60 state_is V $RECOVERABLE
ok "$what: the database stands still" stopped "$SERVER"
echo 'INSERT INTO visits VALUES (1001) RETURNING n;' >&7
sql -c 'SELECT count(*) + 1000000 FROM visits' >new 2>&1 &
client=$!
later kill -KILL "$client"
sleep 2
not_ok "$what: the open session hangs" grep -q 1001 out
is "$what: without an error" "$(cat out)" 1000
not_ok "$what: a new connection hangs" gone "$client"
is "$what: without an error, too" "$(cat new)" ''
enable
ok "$what: the session goes on" wait_for 60 grep -qx 1001 out
ok "$what: so does the new one" wait_for 20 gone "$client"
like "$what: with an answer" "$(cat new)" '^100100[01]$'
is "$what: all rows are there" "$(sql -c 'SELECT count(*) FROM visits')" 1001
not_ok "$what: nothing was restarted" grep -qE 'recovery|PANIC|terminated' run/log
exec 7>&-
finish
done_testing
