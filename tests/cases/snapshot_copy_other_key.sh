#!/bin/bash
# long
# The way out of depending on one key: a PostgreSQL on a volume under key A, a snapshot of it, the snapshot
# copied under key B, a volume restored from the copy, with a PostgreSQL of its own. Key A is disabled: the
# first database is unreachable, the second one serves the same rows. Key A is enabled: the first is back.
. "$(dirname "$0")/../lib/case.sh"
need_root
need aws jq pg_config losetup runuser
need_fuse
[ -e /dev/loop-control ] || skip_all 'needs loop devices'
PG=$(pg_config --bindir)
[ -x "$PG/pgbench" ] || skip_all 'no pgbench; see make setup'

chmod 711 "$DIR"
mkdir DA DB runA runB
chown postgres runA runB

as_postgres() {
	runuser -u postgres -- "$@"
}
# Each of these for the database A or B.
sql() {
	as_postgres "$PG/psql" -X -At -h "$DIR/run$1" -d postgres -v ON_ERROR_STOP=1 -c "$2"
}
start_postgres() {
	as_postgres "$PG/pg_ctl" -D "$DIR/D$1/pg" -o "-c unix_socket_directories='$DIR/run$1'" -w -t 60 \
		-l "$DIR/run$1/log" start >/dev/null
}
stop_postgres() {
	as_postgres "$PG/pg_ctl" -D "$DIR/D$1/pg" -m "${2:-immediate}" -w -t 30 stop
}
rows() {
	sql "$1" 'SELECT md5(string_agg(t::text, chr(10) ORDER BY aid)) FROM pgbench_accounts t'
}
# Does it take and keep a change? What it has read already, it and the kernel remember; a change needs the volume.
answers() {
	timeout 5 "$PG/psql" -X -At -h "$DIR/run$1" -U postgres -d postgres \
		-c "CREATE TABLE probe_$2 AS SELECT 1" >/dev/null 2>&1
}

start_kmsd
make_key alias/b
B=$KEY_ARN
make_key alias/a
A=$KEY_ARN
make_volume VA --size 256M
later release DA
later release DB
need_ok 'the first volume is mounted' "$KMSVOL" mount VA DA --fs ext4 --check-interval 300ms --on-key-loss hang
later stop_postgres A
later stop_postgres B
later aws kms enable-key --key-id "$A" # or nothing above could end
install -d -o postgres -m 700 DA/pg
need_ok 'initdb' as_postgres "$PG/initdb" -D "$DIR/DA/pg" -A trust -E UTF8 --no-instructions --wal-segsize=1
echo "listen_addresses = ''" >>DA/pg/postgresql.conf
sync -f DA
need_ok 'the first database starts' start_postgres A
need_ok 'and is filled' as_postgres "$PG/pgbench" -q -i -s 1 -h "$DIR/runA" postgres
ok 'and used' as_postgres "$PG/pgbench" -n -t 50 -c 2 -h "$DIR/runA" postgres
ROWS=$(rows A)

# --- out of key A
ok 'a snapshot is made of the running database' "$KMSVOL" snapshot create VA S --freeze
ok 'and copied under key B' "$KMSVOL" snapshot copy S C --key-id alias/b
ok 'a volume is restored from the copy' "$KMSVOL" restore C VB
is 'under key B' "$(jq -r .key_arn VB/volume.json)" "$B"
aws kms disable-key --key-id "$A"
ok 'the first volume has lost its key' wait_for 30 state_is VA inaccessible-encryption-credentials-recoverable
not_ok 'the first database does not answer' answers A lost
refused 3 "^kmsvol: .*$A is disabled" "$KMSVOL" restore S x
need_ok 'the second volume is mounted' "$KMSVOL" mount VB DB --fs ext4 --check-interval 300ms
rm DB/pg/postmaster.pid # of the moment of the snapshot: that process is not the one of this database
need_ok 'the second database starts' start_postgres B
is 'with the same rows' "$(rows B)" "$ROWS"
ok 'and is written' answers B kept
ok 'the second volume checks its key, and has it' state_is VB available

# --- back
aws kms enable-key --key-id "$A"
ok 'with key A the first volume is back' wait_for 30 state_is VA available
ok 'and its database answers' wait_for 30 answers A back
is 'with its rows' "$(rows A)" "$ROWS"
ok 'the first stops' stop_postgres A fast
ok 'the second stops' stop_postgres B fast
ok 'unmount the first' "$KMSVOL" unmount DA
ok 'unmount the second' "$KMSVOL" unmount DB
done_testing
