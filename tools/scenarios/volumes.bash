# Helpers of scenarios: volumes, the sampler beside them, what is expected of states and I/O. Sourced by engine.bash.
# shellcheck shell=bash

RECOVERABLE=inaccessible-encryption-credentials-recoverable
TERMINAL=inaccessible-encryption-credentials
declare -A probe_pid=() volume_fs=() check_ms=() grace_ms=() recover_ms=() reaction=()
volumes=()

# note_volume NAME: the report shows the volume $D/NAME.
note_volume() {
	volumes+=("$1")
	record volume name "$1" id "$(jq -r .id "$D/$1/volume.json")" key_arn "$(jq -r .key_arn "$D/$1/volume.json")"
	later take_down "$1"
}

# With real AWS, or where it is told so, KMS is called plainly.
plain_calls() {
	[ "$AGAINST" != real-aws ] || echo --plain-calls
}

# make_volume NAME KEY [OPTION]...: of 256 MiB under that key.
make_volume() {
	# shellcheck disable=SC2046
	must "$KMSVOL" create "$D/$1" --size 256M --key-id "${key[$2]}" $(plain_calls) "${@:3}"
	note_volume "$1"
}

# mount_volume NAME [OPTION]...: at $D/NAME-mnt, with the profile and the time scale of this run.
mount_volume() {
	mkdir -p "$D/$1-mnt"
	volume_fs[$1]=
	[[ " ${*:2}" != *' --fs '* ]] || volume_fs[$1]=yes
	# shellcheck disable=SC2046
	must "$KMSVOL" mount "$D/$1" "$D/$1-mnt" --profile "$PROFILE" --time-scale "$SCALE" $(plain_calls) "${@:2}"
	read -r check_ms[$1] grace_ms[$1] recover_ms[$1] reaction[$1] < <("$KMSVOL" status "$D/$1" --json |
		jq -r '[.check_interval_ms, .grace_ms, .recover_delay_ms, .on_key_loss] | join(" ")')
}

# unmount_volume NAME: the sampler, if there is one, has no file open meanwhile.
unmount_volume() {
	touch "$D/record/data/samples-$1.jsonl"
	must flock -w 30 "$D/record/data/samples-$1.jsonl" "$KMSVOL" unmount "$D/$1-mnt"
}

# start_probe NAME [CLIENT]: sample whether the volume is served, to the end of the run, and whether CLIENT, a shell
# command, is.
start_probe() {
	local target=$D/$1-mnt/disk
	if [ -n "${volume_fs[$1]}" ]; then
		target=$D/$1-mnt/.availability
		head -c 64k /dev/zero >"$target" && sync "$target" || die "no file for the sampler on $1"
	fi
	# In a session of its own: an interrupt is the engine's to see.
	setsid "$KMSVOL" scenario probe "$D/$1" --target "$target" --samples "$D/record/data/samples-$1.jsonl" \
		${2:+--client "$2"} >"$D/probe-$1.out" 2>&1 </dev/null &
	probe_pid[$1]=$!
	wait_for 20 test -s "$D/record/data/samples-$1.jsonl" || die "no sampler: $(cat "$D/probe-$1.out")"
}

stop_probe() {
	[ -z "${probe_pid[$1]:-}" ] || end_process "${probe_pid[$1]}"
	unset "probe_pid[$1]"
}

# take_down NAME: by force, and whatever state it is in. Its diary goes into the record.
take_down() {
	local lock=$D/$1/lock
	stop_probe "$1"
	cat "$D/$1/events.jsonl.1" "$D/$1/events.jsonl" >"$D/record/data/diary-$1.jsonl" 2>/dev/null
	grep -q " $D/$1-mnt " /proc/self/mountinfo || flock -n "$lock" true || sleep 0.2
	if grep -q " $D/$1-mnt " /proc/self/mountinfo || ! flock -n "$lock" true; then
		for _ in 1 2 3; do
			timeout 30 "$KMSVOL" unmount --force "$D/$1" && break
			sleep 1
		done
	fi
	flock -n "$lock" true || kill -KILL "$(head -n 1 "$lock")"
	while grep -q " $D/$1-mnt " /proc/self/mountinfo; do
		umount -l "$D/$1-mnt" || fusermount3 -uz "$D/$1-mnt" || break
	done
	cat "$D/$1/events.jsonl.1" "$D/$1/events.jsonl" >"$D/record/data/diary-$1.jsonl" 2>/dev/null
}

# state_of NAME
state_of() {
	"$KMSVOL" status "$D/$1" --json | jq -r .state
}

# diary NAME FILTER: of the volume's events since the last mark, the first that a jq filter lets through, with .ms.
diary() {
	jq -rcn --argjson t "$MARK_MS" "first(inputs | . + {ms: ((.time[0:19] + \"Z\" | fromdateiso8601) * 1000 +
		(.time[20:23] | tonumber))} | select(.ms >= \$t) | $2)" "$D/$1/events.jsonl"
}

has_event() {
	[ -n "$(diary "$@")" ]
}

# expect_state NAME STATE FROM_MS TO_MS: the volume comes to be in that state so long after the last mark.
expect_state() {
	local claim="volume $1 is $2" wanted
	wanted="from $(in_words "$3") to $(in_words "$4")"
	if ! wait_for $(($4 / 1000 + 20)) has_event "$1" "select(.to == \"$2\")"; then
		not_passed "$claim" "it is $(state_of "$1")" "$wanted"
		return
	fi
	TOOK_MS=$(($(diary "$1" "select(.to == \"$2\") | .ms") - MARK_MS))
	if [ "$TOOK_MS" -ge "$3" ] && [ $((TOOK_MS - (MARK_DONE_MS - MARK_MS))) -le $(($4 + SLACK_MS)) ]; then
		passed "$claim" "after $(in_words "$TOOK_MS")" "$wanted"
	else
		not_passed "$claim" "after $(in_words "$TOOK_MS")" "$wanted"
	fi
}

# expect_lost NAME: with the key gone, the volume goes where its profile says, when it says.
expect_lost() {
	local to=$((${grace_ms[$1]} + ${check_ms[$1]}))
	case ${reaction[$1]} in
	none) expect_equal "volume $1 lives on without the key" "$(state_of "$1")" available ;;
	read-only) expect_state "$1" read-only "${grace_ms[$1]}" "$to" ;;
	*) expect_state "$1" "$RECOVERABLE" "${grace_ms[$1]}" "$to" ;;
	esac
}

# expect_back NAME: with the key there again, so is the volume, when its profile says.
expect_back() {
	[ "${reaction[$1]}" != none ] || return 0
	expect_state "$1" available "${recover_ms[$1]}" $((${recover_ms[$1]} + 2 * ${check_ms[$1]}))
}

# expect_as_seen WORDS FROM TO: the time just judged, on AWS's clock, is one that was seen there.
expect_as_seen() {
	local wanted="from $2 to $3 of AWS's time"
	if [ "$TOOK_MS" -ge "$(scaled "$2")" ] && [ $((TOOK_MS - (MARK_DONE_MS - MARK_MS))) -le $(($(scaled "$3") + SLACK_MS)) ]; then
		passed "$1" "$(in_words "$TOOK_MS")" "$wanted"
	else
		not_passed "$1" "$(in_words "$TOOK_MS")" "$wanted"
	fi
}

# io_is NAME WHO KIND: of the last half second, what reader, writer or client got: served, waits, fails, gone.
io_is() {
	tail -n 5 "$D/record/data/samples-$1.jsonl" | jq -sre --arg who "$2" --arg kind "$3" '[.[] | .[$who] |
		if .waits then "waits" elif .failed > 0 and .error == "ENOENT" then "gone" elif .failed > 0 then "fails"
		elif .ok > 0 then "served" else empty end] | length > 0 and all(. == $kind)'
}

# expect_io NAME WHO KIND [SECONDS]: that comes about, within 10 s of this run.
expect_io() {
	local claim
	case $3 in
	served) claim="the $2 of volume $1 is served" ;;
	waits) claim="the $2 of volume $1 waits, without result or error" ;;
	fails) claim="the $2 of volume $1 gets errors" ;;
	gone) claim="the $2 of volume $1 finds no volume" ;;
	*) die "expect_io: '$3'" ;;
	esac
	if wait_for "${4:-10}" io_is "$@"; then
		passed "$claim" "$(jq -r --arg who "$2" '.[$who].error | select(. != "")' <<<"$(tail -n 1 "$D/record/data/samples-$1.jsonl")")" "$3"
	else
		not_passed "$claim" "$(tail -n 1 "$D/record/data/samples-$1.jsonl" | jq -c --arg who "$2" '.[$who]')" "$3"
	fi
}

# expect_io_lost NAME WHO: what the profile's reaction means for who reads or writes.
expect_io_lost() {
	case ${reaction[$1]}:$2 in
	none:* | read-only:reader) expect_io "$1" "$2" served ;;
	hang:*) expect_io "$1" "$2" waits ;;
	*) expect_io "$1" "$2" fails ;;
	esac
}

# expect_unnoticed NAME MOST_MS: since the last mark nothing of its I/O failed or took longer.
expect_unnoticed() {
	local worst
	worst=$(jq -sr --argjson t "$MARK_MS" '[.[] | select(.t >= $t)] |
		"\([.[] | .reader, .writer, (.client // empty) | .failed] | add) \([.[] | .reader.ms, .writer.ms] | max | floor) \([.[] |
		.reader.ok + .writer.ok] | add)"' "$D/record/data/samples-$1.jsonl")
	read -r failed longest served <<<"$worst"
	if [ "$failed" -eq 0 ] && [ "$longest" -le "$2" ] && [ "$served" -gt 0 ]; then
		passed "who uses volume $1 notices nothing" "$served served, $failed failed, the longest took $longest ms" "none failed, $2 ms"
	else
		not_passed "who uses volume $1 notices nothing" "$served served, $failed failed, the longest took $longest ms" "none failed, $2 ms"
	fi
}

# What holds in every scenario, over all samples.
judge_samples() {
	local v f stale
	for v in "${volumes[@]}"; do
		f=$D/record/data/samples-$v.jsonl
		[ -s "$f" ] || continue
		stale=$(jq -sr '[.[].stale] | add' "$f")
		expect_equal "no read of volume $v gave older data than its writer had been told is durable" "$stale" 0
	done
}
