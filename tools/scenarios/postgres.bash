# Helpers of scenarios: a PostgreSQL on a mounted volume, and who uses it. Sourced by engine.bash.
# shellcheck shell=bash

PG= # the directory of its programs

pg_find() {
	PG=$(pg_config --bindir 2>/dev/null || ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)
	[ -x "$PG/initdb" ] && id postgres >/dev/null 2>&1 || die 'PostgreSQL is missing here (Debian: postgresql)'
}

as_postgres() {
	runuser -u postgres -- "$@"
}

# pg_make NAME: a new cluster on the volume; pg_start NAME: what is there starts.
pg_make() {
	install -d -o postgres -m 700 "$D/$1-mnt/pg"
	must as_postgres "$PG/initdb" -D "$D/$1-mnt/pg" -A trust -E UTF8 --no-instructions --wal-segsize=1
	pg_start "$1"
}

pg_start() {
	mkdir -p "$D/$1-run"
	chown postgres "$D/$1-run"
	later pg_kill "$1"
	# A lock file may be that of the database which a snapshot was made of.
	rm -f "$D/$1-mnt/pg/postmaster.pid"
	run as_postgres "$PG/pg_ctl" -D "$D/$1-mnt/pg" -w -t 60 -s -l "$D/$1-run/log" \
		-o "-c listen_addresses= -c unix_socket_directories=$D/$1-run" start || die "PostgreSQL: $(tail -n 5 "$D/$1-run/log")"
	head -n 1 "$D/$1-mnt/pg/postmaster.pid" >"$D/$1-run/pid"
}

pg_stop() {
	must as_postgres "$PG/pg_ctl" -D "$D/$1-mnt/pg" -w -t 60 -s -m fast stop
	rm -f "$D/$1-run/pid"
}

# By force, and when its I/O waits: that gets errors first.
pg_kill() {
	local pid child
	read -r pid <"$D/$1-run/pid" || return
	stop_probe "$1"
	kill -QUIT "$pid"
	wait_for 2 pg_gone "$pid" && return
	timeout 30 "$KMSVOL" unmount --force "$D/$1" >/dev/null 2>&1
	wait_for 10 pg_gone "$pid" && return
	for child in $(pgrep -P "$pid") "$pid"; do
		kill -KILL "$child"
	done
}

pg_gone() {
	! kill -0 "$1" 2>/dev/null
}

# sql NAME SQL...: what a new client gets, unadorned.
sql() {
	local name=$1 args=() s
	shift
	for s; do args+=(-c "$s"); done
	timeout 60 "$PG/psql" -X -q -At -h "$D/$name-run" -U postgres -d postgres -v ON_ERROR_STOP=1 "${args[@]}"
}

# client_command NAME: for start_probe: a client that connects anew each time, writes a row and reads one.
client_command() {
	echo "exec '$PG/psql' -X -q -At -h '$D/$1-run' -U postgres -d postgres -v ON_ERROR_STOP=1 -c 'INSERT INTO visits DEFAULT VALUES' -c 'SELECT count(*) FROM users'"
}

# open_session NAME, then ask SQL: one client that stays connected; its answers are in $D/session.out.
open_session() {
	mkfifo "$D/session.in"
	: >"$D/session.out"
	setsid "$PG/psql" -X -At -h "$D/$1-run" -U postgres -d postgres <"$D/session.in" >"$D/session.out" 2>&1 &
	later end_process $!
	exec 7>"$D/session.in"
}

ask() {
	printf '%s\n' "$1" >&7
}

answered() { # WORDS
	grep -q -- "$1" "$D/session.out"
}
