# For cases that need more of a kernel than the machine may give, or one whose power can be cut: a User Mode Linux
# (Debian's package user-mode-linux), whose root file system is this machine's, for reading only. To be sourced
# behind case.sh.
# shellcheck shell=bash

# has_capability NUMBER: as in linux/capability.h
has_capability() {
	((0x$(awk '/CapEff/ { print $2 }' /proc/self/status) >> $1 & 1))
}

# uml RUN [ARGUMENT]...: start one that runs RUN and switches off (tests/lib/uml-init), in a session of its own, with
# these arguments to its kernel (NAME=VALUE also to RUN's environment). Its console is this one's standard output.
uml() {
	exec setsid linux.uml rootfstype=hostfs rootflags=/ ro mem=2G panic=-1 quiet con=null con0=null,fd:1 \
		"init=$CASE_ROOT/tests/lib/uml-init" "UML_OUT=$DIR/out" "UML_RUN=$1" "BUILD=$BUILD" "${@:2}" </dev/null
}

need_uml() {
	need linux.uml insmod ip
	[ -z "${SAN:-}" ] || skip_all 'sanitizers do not run in a User Mode Linux'
	mkdir -p "$DIR/out"
}

# Run this case in there and end with what it said, unless it is in there.
in_uml() {
	local code=1
	[ -z "${UML_INSIDE:-}" ] || return 0
	need_uml
	uml "$CASE_ROOT/tests/cases/$CASE_NAME.sh" >"$DIR/console" 2>&1 &
	later kill -KILL -- -$!
	wait $!
	cat "$DIR/out/tap"
	cat "$DIR/out/stderr" >&2
	read -r code <"$DIR/out/code" || sed 's/^/# console: /' "$DIR/console"
	case_ended=1
	exit "$code"
}
