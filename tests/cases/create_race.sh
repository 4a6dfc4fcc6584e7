#!/bin/bash
# Two processes that make a volume in one directory: one of them does, and the other breaks nothing.
. "$(dirname "$0")/../lib/case.sh"
need aws jq flock

start_kmsd
make_key alias/demo

mkdir V
exec 9<V
flock -x 9
refused 1 "^kmsvol: volume 'V': another process is making a volume there" \
	"$KMSVOL" create V --size 16M --key-id alias/demo
exec 9<&-
is 'the directory that another process had locked is left as it was' "$(ls -A V)" ''
ok 'the lock gone, the volume is made' "$KMSVOL" create V --size 16M --key-id alias/demo

# one_of_two: make a volume twice at a time; exactly one succeeds, and what it made is whole.
one_of_two() {
	local pid first second files
	rm -rf W
	"$KMSVOL" create W --size 16M --key-id alias/demo >/dev/null 2>&1 &
	pid=$!
	"$KMSVOL" create W --size 16M --key-id alias/demo >/dev/null 2>&1
	first=$?
	wait "$pid"
	second=$?
	files=$(cd W && echo *)
	[ "$((first + second))" -eq 1 ] && [ "$files" = 'flushed map root.0 root.1 segments volume.json' ] && return
	echo "exit codes $first and $second, files: $files"
	return 1
}

for i in $(seq 8); do
	ok "of two at a time one makes the volume, try $i" one_of_two || break
done

done_testing
