#!/bin/bash
# long
# A PostgreSQL under pgbench on an ext4 on a volume, killed again and again: the daemon with SIGKILL in the
# middle of the load, which is to the database as if the power went. After each recovery pgbench's sums
# agree with each other, no transaction that a client saw committed is missing, and every few rounds
# pg_amcheck goes through all tables and indexes. SEED=N repeats a run as far as timing allows, ROUNDS=N
# says how many.
. "$(dirname "$0")/../lib/case.sh"
need_root
need aws jq pg_config losetup runuser
need_fuse
[ -e /dev/loop-control ] || skip_all 'needs loop devices'
PG=$(pg_config --bindir)
[ -x "$PG/pgbench" ] && [ -x "$PG/pg_amcheck" ] || skip_all 'no pgbench or no pg_amcheck; see make setup'

SEED=${SEED:-$(date +%s)}
ROUNDS=${ROUNDS:-20}
RANDOM=$SEED
note "SEED=$SEED"

chmod 711 "$DIR"
mkdir D run
chown postgres run
DATA=$DIR/D/pg

as_postgres() {
	runuser -u postgres -- "$@"
}
sql() {
	as_postgres "$PG/psql" -X -At -h "$DIR/run" -d postgres -v ON_ERROR_STOP=1 "$@"
}
# Where nobody waits for the killed postmaster, its process id stays taken: lock files are not believed.
start_postgres() {
	rm -f "$DATA/postmaster.pid" run/.s.PGSQL.*.lock
	as_postgres "$PG/pg_ctl" -D "$DATA" -w -t 60 -l "$DIR/run/log" start >/dev/null
}
stop_postgres() {
	as_postgres "$PG/pg_ctl" -D "$DATA" -m "$1" -w -t 30 stop
}

# The database is killed as a whole, whatever its processes wait for.
kill_postgres() {
	local postmaster pid
	read -r postmaster 2>/dev/null <"$DATA/postmaster.pid" || postmaster=$POSTMASTER
	for pid in $(pgrep -P "$postmaster") "$postmaster"; do
		kill -KILL "$pid" 2>/dev/null
	done
	wait_for 20 gone "$postmaster"
}

mount_it() {
	"$KMSVOL" mount V D --fs ext4 >mount.out 2>&1 &&
		DAEMON=$("$KMSVOL" status V --json | jq .pid)
}

# In each transaction the client learns of its commit only after the WAL was flushed.
cat >transaction.sql <<'SQL'
\set aid random(1, 100000 * :scale)
\set bid random(1, 1 * :scale)
\set tid random(1, 10 * :scale)
\set delta random(-5000, 5000)
BEGIN;
UPDATE pgbench_accounts SET abalance = abalance + :delta WHERE aid = :aid;
UPDATE pgbench_tellers SET tbalance = tbalance + :delta WHERE tid = :tid;
UPDATE pgbench_branches SET bbalance = bbalance + :delta WHERE bid = :bid;
INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) VALUES (:tid, :bid, :aid, :delta, CURRENT_TIMESTAMP);
END;
SQL

# The four sums of pgbench, which every transaction moves alike.
sums() {
	sql -c 'SELECT (SELECT sum(abalance) FROM pgbench_accounts), (SELECT sum(bbalance) FROM pgbench_branches),
		(SELECT sum(tbalance) FROM pgbench_tellers), (SELECT coalesce(sum(delta), 0) FROM pgbench_history)'
}

start_kmsd
make_key alias/demo
make_volume V --size 512M
later release D
later kill_postgres
mount_it || {
	echo "Bail out! no mount: $(cat mount.out)"
	exit 1
}
install -d -o postgres -m 700 "$DATA"
need_ok 'initdb' as_postgres "$PG/initdb" -D "$DATA" -A trust -E UTF8 --no-instructions --data-checksums \
	--wal-segsize=1
cat >>"$DATA/postgresql.conf" <<CONF
listen_addresses = ''
unix_socket_directories = '$DIR/run'
max_wal_size = 32MB
min_wal_size = 4MB
checkpoint_timeout = 30s
restart_after_crash = off
CONF
sync -f D # the database does not do that for a file that an editor wrote
need_ok 'the database starts' start_postgres
need_ok 'pgbench fills it' as_postgres "$PG/pgbench" -q -i -s 2 -h "$DIR/run" postgres
ok 'amcheck is there' sql -c 'CREATE EXTENSION amcheck'

committed=0 bad=
for ((round = 1; round <= ROUNDS; round++)); do
	read -r POSTMASTER <"$DATA/postmaster.pid"
	rm -f run/log.tx* && : >run/load.out
	# One line a transaction goes to the log when its commit was acknowledged.
	as_postgres sh -c "cd '$DIR/run' && exec '$PG/pgbench' -n -M prepared -c 4 -j 1 -T 60 -s 2 -f '$DIR/transaction.sql' \
		-l --log-prefix=log.tx -h '$DIR/run' postgres" >run/load.out 2>&1 &
	load=$!
	wait_for 20 sh -c 'cat run/log.tx* 2>/dev/null | grep -q .' || bad="round $round: no load: $(cat run/load.out)"
	sleep "0.$((RANDOM % 9))$((RANDOM % 10))"
	case $((round % 4)) in
	0) kill_postgres && kill -KILL "$DAEMON" ;; # the database first
	*) kill -KILL "$DAEMON" && kill_postgres ;; # the volume goes under a running database
	esac
	wait "$load" 2>/dev/null
	[ -z "$bad" ] || break
	committed=$((committed + $(cat run/log.tx* | wc -l)))
	release D
	mount_it || bad="round $round: no mount: $(cat mount.out)"
	[ -n "$bad" ] || start_postgres || bad="round $round: no recovery: $(tail -n 5 run/log)"
	[ -z "$bad" ] || break
	read -r accounts branches tellers history < <(sums | tr '|' ' ')
	if [ "$accounts" != "$branches" ] || [ "$accounts" != "$tellers" ] || [ "$accounts" != "$history" ]; then
		bad="round $round: the sums differ: accounts $accounts, branches $branches, tellers $tellers, history $history"
		break
	fi
	kept=$(sql -c 'SELECT count(*) FROM pgbench_history')
	if [ "$kept" -lt "$committed" ]; then
		bad="round $round: clients saw $committed commits, $kept are there"
		break
	fi
	committed=$kept # those whose acknowledgement the kill ate are there, too
	if [ $((round % 5)) -eq 0 ]; then
		as_postgres "$PG/pg_amcheck" -h "$DIR/run" --heapallindexed postgres >amcheck.out 2>&1 || {
			bad="round $round: pg_amcheck: $(head -n 5 amcheck.out)"
			break
		}
	fi
done
note "$committed transactions in $ROUNDS rounds"
if [ -z "$bad" ]; then
	pass "no committed transaction is lost and no sum is wrong in $ROUNDS kills"
else
	fail "no committed transaction is lost and no sum is wrong in $ROUNDS kills" "$bad"
fi
ok 'the load was one' test "$committed" -gt $((ROUNDS * 20))
ok 'the database stops' stop_postgres fast
ok 'unmount' "$KMSVOL" unmount D
mkdir RAW
mount_volume V RAW --read-only
ok 'e2fsck finds nothing' e2fsck -fn RAW/disk
done_testing
