# The engine of `kmsvol scenario run`, which becomes this shell with KMSVOL_SCENARIO_* in its environment. It makes a
# private directory and a kmsd, sources the helpers and the scenario, undoes everything, and has the report written.
# What a scenario may use is in docs/scenarios.md; this file has what is about the run as a whole: records, steps,
# commands, checks, clean-up. shellcheck shell=bash
set -u
export PATH=$PATH:/usr/sbin:/sbin LC_ALL=C.UTF-8
KMSVOL=$KMSVOL_SCENARIO_PROGRAM
KMSD=$(dirname "$KMSVOL")/kmsd
NAME=$KMSVOL_SCENARIO_NAME
PROFILE=${KMSVOL_SCENARIO_PROFILE:-default}
SCALE=${KMSVOL_SCENARIO_TIME_SCALE:-1}
AGAINST=$KMSVOL_SCENARIO_AGAINST
REPORT=${KMSVOL_SCENARIO_REPORT:-kmsvol-report-$NAME}
SLACK_MS=500 # what a busy machine may add to a time that is judged

D= # the private directory
OUT= CODE=0 MARK_MS=0 MARK_DONE_MS=0 TOOK_MS=0
step_number=0 failed_checks=0 passed_checks=0 impossible=0 later_jobs=() ended=

bold='' red='' green='' plain=''
[ "$KMSVOL_SCENARIO_JSON" != yes ] && exec 3>&1 || exec 3>&2
if [ -t 3 ] && [ -z "${NO_COLOR:-}" ]; then
	bold=$'\e[1m' red=$'\e[31m' green=$'\e[32m' plain=$'\e[0m'
fi

# --- the end, whatever way it comes

# later CMD...: undo something when the run ends; the last registered runs first. It may fail.
later() {
	later_jobs+=("$(printf '%q ' "$@")")
}

# end_process PID: TERM, and KILL when that does not help within 10 s.
end_process() {
	kill -TERM "$1" 2>/dev/null || return 0
	for _ in $(seq 200); do
		kill -0 "$1" 2>/dev/null || break
		sleep 0.05
	done
	kill -KILL "$1" 2>/dev/null
	wait "$1" 2>/dev/null
	return 0
}

undo_all() {
	local i
	for ((i = ${#later_jobs[@]} - 1; i >= 0; i--)); do
		eval "${later_jobs[i]}" >/dev/null 2>&1
	done
	later_jobs=()
	for i in $(jobs -p); do
		kill -KILL "$i" 2>/dev/null
	done
}

clean_up() {
	local code=$?
	trap - EXIT
	trap '' INT TERM HUP PIPE
	if [ -n "$D" ] && [ -z "$ended" ]; then # not the way of end_run
		undo_all
		[ "$code" -ge 128 ] || finish_report failed
		[ "$code" -lt 128 ] || printf '\n%s: interrupted; nothing is left behind\n' "$NAME" >&3
	fi
	cd /
	if [ -n "$D" ] && [ "$KMSVOL_SCENARIO_KEEP" = yes ] && [ "$code" -lt 128 ]; then
		printf 'kept: %s\n' "$D" >&3
	elif [ -n "$D" ]; then
		rm -rf --one-file-system "$D"
	fi
	exit "$code"
}

# die WORDS: the scenario cannot go on. What it was about is not judged.
die() {
	printf 'kmsvol: scenario %s: %s\n' "$NAME" "$*" >&2
	[ -z "$D" ] || record note text "The run ended here: $*"
	exit 1
}

# --- records, which the report is made of

now_ms() {
	echo $((${EPOCHREALTIME/./} / 1000))
}

# record KIND [MEMBER VALUE]...: a line of script.jsonl, with the time $RECORD_MS or now.
record() {
	jq -nc --arg kind "$1" --argjson t "${RECORD_MS:-$(now_ms)}" '{t: $t, kind: $kind} + ([$ARGS.positional as $p |
		range(0; $p | length; 2) | {($p[.]): $p[. + 1]}] | add // {})' --args -- "${@:2}" >>"$D/record/data/script.jsonl"
}

# Paths of the private directory as $D, so that reports of two runs can be compared.
readable() {
	local text=$*
	text=${text//"$KMSVOL"/kmsvol}
	text=${text//"$KMSD"/kmsd}
	printf '%s' "${text//"$D"/\$D}"
}

# step WORDS: the next thing that happens, as a reader of the report should see it.
step() {
	step_number=$((step_number + 1))
	record step text "$*"
	printf '\n%s%6.1f s  %d. %s%s\n' "$bold" "$(seconds $(($(now_ms) - begun_ms)))" "$step_number" "$*" "$plain" >&3
}

seconds() { # MS
	printf '%d.%03d' $(($1 / 1000)) $(($1 % 1000))
}

# mark WORDS: a moment on the timeline, and what later times are measured from.
mark() {
	MARK_MS=$(now_ms) MARK_DONE_MS=$MARK_MS
	RECORD_MS=$MARK_MS record mark text "$*"
}

# run CMD...: do it and show it, as one would type it. Its output is in $OUT, its code in $CODE and returned.
run() {
	local shown
	shown=$(readable "$@")
	OUT=$("$@" 2>&1)
	CODE=$?
	record command text "$shown" output "$(readable "$OUT")" code "$CODE"
	printf '          $ %s\n' "${shown:0:160}" >&3
	[ -z "$OUT" ] || printf '%s\n' "$(readable "$OUT")" | head -n 6 | cut -c 1-200 | sed 's/^/            /' >&3
	return "$CODE"
}

# must CMD...: run, and there is no point in going on when it fails.
must() {
	run "$@" || die "$(readable "$@"): $OUT"
}

# --- what is expected

passed() { # CLAIM GOT WANTED
	passed_checks=$((passed_checks + 1))
	record check claim "$1" result pass got "$2" wanted "$3"
	printf '          %sok%s      %s%s\n' "$green" "$plain" "$1" "${2:+: ${2:0:160}}" >&3
}

not_passed() { # CLAIM GOT WANTED
	failed_checks=$((failed_checks + 1))
	record check claim "$1" result fail got "$2" wanted "$3"
	printf '          %sNOT OK%s  %s\n                    got:      %s\n                    expected: %s\n' \
		"$red" "$plain" "$1" "$2" "$3" >&3
}

# expect CLAIM CMD...: CMD ends with 0.
expect() {
	local out
	if out=$("${@:2}" 2>&1); then
		passed "$1" '' ''
	else
		not_passed "$1" "$(readable "${out:-exit code $?}")" "success of: $(readable "${@:2}")"
	fi
}

# expect_equal CLAIM GOT WANTED
expect_equal() {
	if [ "$2" = "$3" ]; then
		passed "$1" "$(readable "$2")" "$(readable "$3")"
	else
		not_passed "$1" "$(readable "$2")" "$(readable "$3")"
	fi
}

# expect_text CLAIM GOT WORDS: the words stand in it, letter by letter.
expect_text() {
	if [[ $2 == *"$3"* ]]; then
		passed "$1" "$(readable "$3")" "$(readable "$3")"
	else
		not_passed "$1" "$(readable "$2")" "$(readable "$3")"
	fi
}

# expect_refused CLAIM CODE WORDS CMD...: CMD, shown as by `run`, ends with that exit code and says those words.
expect_refused() {
	run "${@:4}"
	if [ "$CODE" -ne "$2" ]; then
		not_passed "$1" "exit code $CODE: $(readable "$OUT")" "exit code $2"
	else
		expect_text "$1" "$OUT" "$3"
	fi
}

# expect_denied CLAIM WORDS CMD...: the aws command fails (with 254 or 255, by its version) and says those words.
expect_denied() {
	run "${@:3}" && not_passed "$1" "success: $(readable "$OUT")" "$2" || expect_text "$1" "$OUT" "$2"
}

# possible WHAT: can this be done here? What needs kmsd's control (clock, faults), IAM or the making of keys cannot be
# done with a real AWS account; the step is then reported as not possible.
possible() {
	[ "$AGAINST" = real-aws ] || return 0
	impossible=$((impossible + 1))
	record check claim "Not possible with real AWS: $1" result not-possible got '' wanted ''
	printf '          --      not possible with real AWS: %s\n' "$1" >&3
	return 1
}

# wait_for SECONDS CMD...: until CMD ends with 0; fails after the time.
wait_for() {
	local end=$((${EPOCHREALTIME/./} + $1 * 1000000))
	shift
	until "$@" >/dev/null 2>&1; do
		[ "${EPOCHREALTIME/./}" -lt "$end" ] || return 1
		sleep 0.05
	done
}

# scaled TIME: milliseconds of this run for a time of AWS, as 7m or 30s.
scaled() {
	local n=${1%%[a-z]*} unit=${1##*[0-9]} ms
	case $unit in
	ms) ms=$n ;;
	s) ms=$((n * 1000)) ;;
	m) ms=$((n * 60000)) ;;
	h) ms=$((n * 3600000)) ;;
	d) ms=$((n * 86400000)) ;;
	*) die "'$1' is no time" ;;
	esac
	echo $((ms / SCALE))
}

# in_words MS: seconds of this run, and what they are on AWS's clock.
in_words() {
	local aws=$(($1 * SCALE))
	printf '%d.%d s' $(($1 / 1000)) $(($1 % 1000 / 100))
	[ "$SCALE" -eq 1 ] || printf " (%d.%d min of AWS's time)" $((aws / 60000)) $((aws % 60000 / 6000))
}

# pause MS: a signal does not wait for its end.
pause() {
	sleep "$(seconds "$1")" &
	wait $!
}

# --- from here to there

need_all() {
	local word
	[ -x "$KMSD" ] || [ "$AGAINST" = real-aws ] || die "there is no kmsd beside $KMSVOL"
	for word in aws jq setsid flock; do
		command -v "$word" >/dev/null || die "the command '$word' is missing here"
	done
	[ -r /dev/fuse ] && [ -w /dev/fuse ] || die "/dev/fuse is missing, or not for this user"
	for word in $KMSVOL_SCENARIO_NEEDS; do
		case $word in
		root) [ "$(id -u)" -eq 0 ] || die 'it mounts a file system on a volume, so it needs root' ;;
		postgresql) pg_find ;;
		two-keys) ;;
		*) die "its head says that it needs '$word', which is not known" ;;
		esac
	done
}

# The report may replace one, and nothing else.
check_report() {
	[ ! -e "$REPORT" ] || [ -d "$REPORT" ] || die "'$REPORT': it exists and is no directory"
	[ ! -d "$REPORT" ] || grep -qs '"time_scale"' "$REPORT/report.json" || [ -z "$(ls -A "$REPORT")" ] ||
		die "'$REPORT': it exists and has no report in it; it is left as it is"
	mkdir -p "$REPORT/.try" 2>/dev/null && rmdir "$REPORT/.try" || die "'$REPORT': cannot be written"
	[ -n "$(ls -A "$REPORT")" ] || rmdir "$REPORT" # only when there is one
	REPORT=$(realpath -m "$REPORT")
}

# finish_report VERDICT: diaries, report, to where it belongs. To be called when all is undone.
finish_report() {
	record end verdict "$1"
	"$KMSVOL" scenario report "$D/record" >&2 || return 1
	mkdir -p "$REPORT" && rm -rf "$REPORT/data" && cp -r "$D/record/." "$REPORT/" || return 1
}

end_run() {
	local verdict=as-expected words="as expected" colour=$green
	judge_samples
	[ "$failed_checks" -eq 0 ] || verdict=not-as-expected words="NOT as expected: $failed_checks of" colour=$red
	step 'Everything is taken down'
	undo_all
	trap '' INT TERM HUP PIPE # from here on it is quick, and nothing is left to undo
	ended=yes
	finish_report "$verdict" || exit 1
	printf '\n%s%s: %s %d checks%s%s\nreport: %s\n' "$colour$bold" "$NAME" "$words" \
		$((failed_checks == 0 ? passed_checks : passed_checks + failed_checks)) \
		"$([ "$impossible" -eq 0 ] || echo ", $impossible steps not possible with real AWS")" "$plain" "$REPORT/report.html" >&3
	[ "$KMSVOL_SCENARIO_JSON" != yes ] || cat "$REPORT/report.json"
	[ "$failed_checks" -eq 0 ]
	exit
}

for part in keys volumes postgres; do
	# shellcheck source=/dev/null
	. "$KMSVOL_SCENARIO_DIR/$part.bash"
done
need_all
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
trap 'exit 141' PIPE
check_report
begun_ms=$(now_ms)
D=$(mktemp -d "${TMPDIR:-/tmp}/kmsvol-scenario.XXXXXX") || die 'no private directory'
chmod 711 "$D"
mkdir -p "$D/record/data"
record run name "$NAME" title "$KMSVOL_SCENARIO_TITLE" profile "$PROFILE" time_scale "$SCALE" against "$AGAINST" \
	version "$("$KMSVOL" --version)" about "$(sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$KMSVOL_SCENARIO_FILE" |
		sed '/^[A-Z][A-Za-z-]*: /d' | tr '\n' ' ')"
printf '%s%s: %s%s\n' "$bold" "$NAME" "$KMSVOL_SCENARIO_TITLE" "$plain" >&3
start_kms
cd "$D" || die 'the private directory has gone'
# shellcheck source=/dev/null
. "$KMSVOL_SCENARIO_FILE"
end_run
