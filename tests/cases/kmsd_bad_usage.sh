#!/bin/bash
# Wrong usage of kmsd ends with 2, failure to start with 1, each with one sentence that names what is wrong.
. "$(dirname "$0")/../lib/case.sh"

usage() { refused 2 "^kmsd: $1$" "$KMSD" "${@:2}"; }
usage '--data-dir is missing; see kmsd --help'
usage "'x' is neither an option nor a command; see 'kmsd --help'" x
usage "--tls-cert and --tls-key go together, and without --tls; see kmsd --help" --data-dir d --tls-cert x
usage "--tls-cert and --tls-key go together, and without --tls; see kmsd --help" --data-dir d --tls --tls-cert x --tls-key y
usage "unknown option '--bogus'; see 'kmsd --help'" --bogus
usage "unknown option '-q'; see 'kmsd --help'" -q
usage "--help takes no argument: '--help=yes'; see 'kmsd --help'" --help=yes
usage "--listen lacks its argument; see 'kmsd --help'" --listen
no_address='the address is neither localhost nor an IP address; IPv6 stands in brackets'
usage "--listen ':8086': $no_address" --data-dir d --listen :8086
usage "--listen 'example.com:1': $no_address" --data-dir d --listen example.com:1
usage "--listen '::1:80': $no_address" --data-dir d --listen ::1:80
no_port='not ADDRESS:PORT with a port of 0 to 65535'
for listen in 127.0.0.1 127.0.0.1: 127.0.0.1:65536 127.0.0.1:-1 127.0.0.1:8x ''; do
	usage "--listen '$listen': $no_port" --data-dir d --listen "$listen"
done
usage "--listen '0.0.0.0': not an address of this machine alone; --allow-remote allows it" \
	--data-dir d --listen 0.0.0.0:1
usage "--threads '1': not a number from 2 to 64" --data-dir d --threads 1
usage "--connections '0': not a number from 1 to 1000000" --data-dir d --connections 0
usage "--request-timeout '0': not a number of seconds from 1 to 3600" --data-dir d --request-timeout 0
usage "--region 'eu_west': not a region" --data-dir d --region eu_west
usage "--account-id '12345': not 12 digits" --data-dir d --account-id 12345
not_ok 'wrong usage makes no data directory' test -e d
"$KMSD" --help >/dev/full 2>stderr
is 'a full standard output is noticed' "$? $(cat stderr)" \
	'1 kmsd: cannot write to standard output: No space left on device'

failure() { refused 1 "^kmsd: $1$" "${@:2}"; }
echo mine >file
failure "data directory 'file': cannot open it: Not a directory" "$KMSD" --data-dir file
failure "data directory 'no/where': cannot make it: No such file or directory" "$KMSD" --data-dir no/where
mkdir other
echo mine >other/notes.txt
failure "data directory 'other': it holds 'notes.txt' but no 'kmsd.sqlite', so it is not one of kmsd; name an empty or a new one" \
	"$KMSD" --data-dir other
is 'and nothing was put there' "$(ls -A other)" notes.txt
failure "--connections '137': only 200 files may be open, which is 136 connections; ulimit -n raises it" \
	bash -c 'ulimit -n 200; exec "$0" "$@"' "$KMSD" --data-dir d --connections 137
mkdir -m 0700 first
touch first/root-key.new first/lock
KMSD_DIR=$DIR/first start_kmsd
pass 'a directory whose first start was killed is taken'
failure "cannot listen on 127.0.0.1 port $KMSD_PORT: Address already in use" \
	"$KMSD" --data-dir d --listen "127.0.0.1:$KMSD_PORT"
failure "data directory 'first': another kmsd is running on it" "$KMSD" --data-dir first
if [ "$(id -u)" -eq 0 ]; then
	mkdir -m 0700 d2
	chmod 0755 .
	cp "$KMSD" kmsd # where another user reaches it
	failure "data directory 'd2': cannot open it: Permission denied" \
		setpriv --reuid 65534 --regid 65534 --clear-groups "$DIR/kmsd" --data-dir d2
fi
done_testing
