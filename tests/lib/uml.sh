# For cases that need more of the kernel than the machine may give, a container's mostly: they run in a User Mode
# Linux (Debian's package user-mode-linux), whose root file system is this machine's, for reading only. To
# be sourced behind case.sh, once; `in_uml` then ends the case with what it said in there, unless it is in there.
# shellcheck shell=bash

# has_capability NUMBER: as in linux/capability.h
has_capability() {
	((0x$(awk '/CapEff/ { print $2 }' /proc/self/status) >> $1 & 1))
}

in_uml() {
	local code=1
	[ -z "${UML_INSIDE:-}" ] || return 0
	need linux.uml insmod ip
	mkdir -p "$DIR/out"
	timeout 300 linux.uml rootfstype=hostfs rootflags=/ ro mem=2G panic=-1 quiet con=null con0=null,fd:1 \
		"init=$CASE_ROOT/tests/lib/uml-init" "UML_OUT=$DIR/out" "UML_CASE=$CASE_ROOT/tests/cases/$CASE_NAME.sh" "BUILD=$BUILD" \
		</dev/null >"$DIR/out/console" 2>&1
	cat "$DIR/out/tap"
	cat "$DIR/out/stderr" >&2
	read -r code <"$DIR/out/code" || sed 's/^/# console: /' "$DIR/out/console"
	case_ended=1
	exit "$code"
}
