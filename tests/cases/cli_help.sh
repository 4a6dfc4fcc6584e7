#!/bin/bash
# Every command explains itself, and wrong usage ends with 2 and one line.
. "$(dirname "$0")/../lib/case.sh"

help=$("$KMSVOL" --help)
is '--help ends with 0' $? 0
like '--help names the exit codes' "$help" '0 done, 1 failed, 2 wrong usage, 3 KMS refused, 4 data damaged'
like '--version names the program and a version' "$("$KMSVOL" --version)" '^kmsvol [0-9]+\.[0-9]+\.[0-9]+$'

for command in create mount start pause-io inject status unmount umount export import check resize rotate restore diff; do
	[ "$command" = umount ] || like "--help lists $command" "$help" "^  $command  "
	text=$("$KMSVOL" "$command" --help 2>stderr)
	is "$command --help ends with 0" $? 0
	is "$command --help says nothing on stderr" "$(cat stderr)" ''
	like "$command --help shows the usage" "$text" '^usage: kmsvol '
	refused 2 "^kmsvol: (un|$command|)[a-z]*: unknown option '--bogus'; see 'kmsvol" \
		"$KMSVOL" "$command" --bogus
	refused 2 "too few arguments, wanted are '[A-Z0-9 ]+'; see 'kmsvol [a-z-]+ --help'" "$KMSVOL" "$command"
	refused 2 "one argument too many: '[bc]'; see 'kmsvol [a-z-]+ --help'" "$KMSVOL" "$command" a b c
done
like 'bench --help shows the usage' "$("$KMSVOL" bench --help)" '^usage: kmsvol bench ' # it may go without an argument
refused 2 "^kmsvol: bench: unknown option '--bogus'; see 'kmsvol bench" "$KMSVOL" bench --bogus

for command in create list delete; do
	like "snapshot --help lists $command" "$("$KMSVOL" snapshot --help)" "^  $command  "
	text=$("$KMSVOL" snapshot "$command" --help 2>stderr)
	is "snapshot $command --help ends with 0" $? 0
	is "snapshot $command --help says nothing on stderr" "$(cat stderr)" ''
	like "snapshot $command --help shows the usage" "$text" "^usage: kmsvol snapshot $command "
	refused 2 "^kmsvol: snapshot $command: unknown option '--bogus'; see 'kmsvol snapshot $command" \
		"$KMSVOL" snapshot "$command" --bogus
	refused 2 "^kmsvol: snapshot $command: one argument too many: '[bc]'" "$KMSVOL" snapshot "$command" a b c
done
refused 2 "^kmsvol: snapshot: no command; see 'kmsvol snapshot --help'$" "$KMSVOL" snapshot
refused 2 "^kmsvol: snapshot: unknown command 'frob'; see 'kmsvol snapshot --help'$" "$KMSVOL" snapshot frob
refused 2 "too few arguments, wanted are 'VOL \[SNAP\]'" "$KMSVOL" snapshot create
refused 2 "too few arguments, wanted are 'SNAP'" "$KMSVOL" snapshot delete

for command in list show run report probe calls; do
	like "scenario --help lists $command" "$("$KMSVOL" scenario --help)" "^  $command  "
	text=$("$KMSVOL" scenario "$command" --help 2>stderr)
	is "scenario $command --help ends with 0" $? 0
	is "scenario $command --help says nothing on stderr" "$(cat stderr)" ''
	like "scenario $command --help shows the usage" "$text" "^usage: kmsvol scenario $command "
	refused 2 "^kmsvol: scenario $command: unknown option '--bogus'; see 'kmsvol scenario $command" \
		"$KMSVOL" scenario "$command" --bogus
	refused 2 "^kmsvol: scenario $command: one argument too many: '[abc]'" "$KMSVOL" scenario "$command" a b c
done
refused 2 "^kmsvol: scenario: no command; see 'kmsvol scenario --help'$" "$KMSVOL" scenario
refused 2 "^kmsvol: scenario: unknown command 'frob'; see 'kmsvol scenario --help'$" "$KMSVOL" scenario frob

# Each option of the manual page is one of the program, and the other way round.
manual=$(sed -n 's/^\.BI* \\-\\-\([a-z\\-]*\).*/\1/p' "$CASE_ROOT/docs/kmsvol.1" | tr -d '\\' | sort -u)
program=$(for command in create mount start pause-io inject status events unmount export import check bench resize rotate restore diff 'snapshot create' 'snapshot list' 'snapshot delete' 'scenario list' 'scenario run' 'scenario probe'; do
	# shellcheck disable=SC2086
	"$KMSVOL" $command --help | sed -n 's/^  --\([a-z-]*\).*/\1/p'
done; echo version)
is 'the manual page has the options of the program' "$manual" "$(sort -u <<<"$program")"

like 'create --help tells sizes, ranges and defaults' "$("$KMSVOL" create --help | tr '\n' ' ')" \
	'G = GB = GiB = 2\^30.*the cipher; aes-256-gcm.*power of two in 4096\.\.65536; 4096'
like 'mount --help explains each reaction' "$("$KMSVOL" mount --help | tr '\n' ' ')" \
	'  none  .*  read-only  .*  error  .*  hang  .*; hang \(none, read-only, error, hang\)'

refused 2 "^kmsvol: no command; see 'kmsvol --help'$" "$KMSVOL"
refused 2 "^kmsvol: unknown command 'frobnicate'; see" "$KMSVOL" frobnicate
refused 2 "^kmsvol: unknown option '--frobnicate'; see" "$KMSVOL" --frobnicate
refused 2 "^kmsvol: create: option lacks its argument: '--size'; see" "$KMSVOL" create V --size
refused 2 "^kmsvol: create: --size is needed" "$KMSVOL" create V --key-id alias/x
refused 2 "^kmsvol: create: --key-id is needed" "$KMSVOL" create V --size 1G
refused 2 "^kmsvol: create: --key-id: its argument is empty" "$KMSVOL" create V --size 1G --key-id ''
refused 2 "^kmsvol: mount: --on-key-loss: 'panic' is none of none, read-only, error, hang" \
	"$KMSVOL" mount V D --on-key-loss panic
refused 2 "^kmsvol: mount: --check-interval: '5' is no duration" "$KMSVOL" mount V D --check-interval 5
refused 2 "^kmsvol: mount: --check-interval: '0s' is below 100ms; each check is a KMS call$" \
	"$KMSVOL" mount V D --check-interval 0s
refused 2 "^kmsvol: mount: --check-interval: '99ms' is below 100ms; each check is a KMS call$" \
	"$KMSVOL" mount V D --check-interval 99ms
refused 1 "^kmsvol: volume 'V': No such file" "$KMSVOL" mount V D --check-interval 100ms
refused 2 "^kmsvol: mount: option takes no argument: '--read-only=yes'; see" "$KMSVOL" mount V D --read-only=yes
refused 2 "^kmsvol: create: option takes no argument: '--json=yes'; see" "$KMSVOL" create V --json=yes
refused 2 "^kmsvol: status: option takes no argument: '--json=yes'; see" "$KMSVOL" status V --json=yes
refused 2 "^kmsvol: status: option takes no argument: '--help=yes'; see" "$KMSVOL" status V --help=yes
for command in 'create V --size 1G --key-id alias/x' 'mount V D'; do
	# shellcheck disable=SC2086
	set -- $command
	refused 2 "^kmsvol: $1: --endpoint-url: 'foo': .*must be http://HOST" "$KMSVOL" "$@" --endpoint-url foo
	refused 2 "^kmsvol: $1: --endpoint-url: 'ftp://h': .*only http and https" "$KMSVOL" "$@" --endpoint-url ftp://h
	refused 2 "^kmsvol: $1: --region: region 'eu_west' is not the name of one" "$KMSVOL" "$@" --region eu_west
	"$KMSVOL" "$@" --endpoint-url http://me:word@host >out 2>&1
	is "$1: a password in a URL is wrong usage" $? 2
	not_ok "$1: and is not shown" grep -q word out
done
refused 2 "^kmsvol: create: --encryption-context: 'a=2': the name 'a' is given twice$" \
	"$KMSVOL" create V --size 1G --key-id alias/x --encryption-context a=1 --encryption-context a=2
refused 2 "^kmsvol: mount: --fs: 'ntfs' is none of ext4, xfs, btrfs" "$KMSVOL" mount V D --fs ntfs
refused 1 "^kmsvol: 'nowhere': No such file or directory$" "$KMSVOL" unmount nowhere
refused 1 "^kmsvol: '/': nothing of kmsvol is mounted there$" "$KMSVOL" unmount /
"$KMSVOL" --help >/dev/full 2>stderr
is 'a full standard output is noticed' $? 1

done_testing
