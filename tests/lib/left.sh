# What a program must not leave behind when it ends, however it ends. Sourced behind case.sh, by $CASE_ROOT/tests/lib/left.sh.
# The program runs with TMPDIR=$DIR/scratch, where its private directory's name begins with $1 of watch_left.
# shellcheck shell=bash

# watch_left PREFIX: before it starts.
watch_left() {
	left_prefix=$1
	mkdir -p "$DIR/scratch"
	chmod 711 "$DIR" "$DIR/scratch"
	left_loops=$(losetup -a | sort)
	left_runs=$(ls /run/kmsvol 2>/dev/null | sort)
}

# Processes that belong to the directory in $1, other than zombies that nobody has taken yet.
users_of() {
	local p
	for p in /proc/[0-9]*; do
		[ "${p#/proc/}" != $$ ] && [ "${p#/proc/}" != "$BASHPID" ] || continue
		grep -qsz -- "$1" "$p/cmdline" "$p/environ" || [[ $(readlink "$p/cwd") == "$1"* ]] || continue
		grep -qs '^State:.Z' "$p/status" || echo "${p#/proc/} $(tr '\0' ' ' <"$p/cmdline" 2>/dev/null)"
	done
}

# Names in /run/kmsvol, one a line, that are new and not known to be of a volume elsewhere on this machine.
new_runs() {
	local name
	for name in $(sort -u | comm -13 <(echo "$left_runs") -); do
		grep -qsF -- "$DIR/scratch" "/run/kmsvol/${name%.json}.json" || [ ! -e "/run/kmsvol/${name%.json}.json" ] && echo "$name"
	done
}

# nothing_left CLAIM
nothing_left() {
	is "$1: no scratch directory" "$(ls "$DIR/scratch")" ''
	not_ok "$1: no mount" grep -F -- "$DIR/scratch" /proc/self/mountinfo
	is "$1: no loop device of its own" "$(losetup -a | sort | comm -13 <(echo "$left_loops") - |
		grep -Eo '\(/run/kmsvol/[^/)]*|\(/disk\)' | sed 's|.*/||' | new_runs)" ''
	is "$1: nothing of its own in /run/kmsvol" "$(ls /run/kmsvol 2>/dev/null | new_runs)" ''
	is "$1: no process" "$(users_of "$DIR/scratch/$left_prefix")" ''
}
