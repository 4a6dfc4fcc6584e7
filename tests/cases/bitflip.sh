#!/bin/bash
# long
# Any bit of a volume's files inverted, and whole files cut, missing, swapped or put back to an older
# state: the mount is refused with a sentence, or what is damaged cannot be read; wrong bytes never come.
# SEED=N repeats a run, FLIPS=N says how many bits are inverted in the volume of each cipher.
. "$(dirname "$0")/../lib/case.sh"
need aws jq
need_fuse
DIFF=$BUILD/tests/diskdiff
[ -x "$DIFF" ] || skip_all 'needs make testtools'

SEED=${SEED:-$(date +%s)}
FLIPS=${FLIPS:-120}
RANDOM=$SEED
note "SEED=$SEED"

start_kmsd
make_key alias/demo
mkdir D
later release D

# make_good clean|killed OPTION...: a volume in GOOD, what its disk shows in IMAGE, an older state of it in
# OLDER. "clean" was unmounted; of "killed" the daemon was, so its log has to be replayed.
make_good() {
	local end=$1
	shift
	rm -rf GOOD OLDER IMAGE V
	make_volume V --size 16M "$@"
	mount_volume V D
	dd if=/dev/urandom of=D/disk bs=64K count=40 conv=notrunc status=none
	"$KMSVOL" unmount D || exit 1
	cp -a V OLDER
	mount_volume V D
	dd if=/dev/urandom of=D/disk bs=4K count=300 seek=300 oflag=direct conv=notrunc status=none
	fallocate -p -o 40960 -l 409600 D/disk
	dd if=/dev/urandom of=D/disk bs=3000 count=100 seek=4000 conv=notrunc,fsync status=none
	cp D/disk IMAGE
	[ "$end" = clean ] || kill -KILL "$("$KMSVOL" status V --json | jq .pid)"
	"$KMSVOL" unmount D || exit 1
	cp -a V GOOD
}

# attempt: mount V and read all of it. Sets $verdict: refused, unreadable (in part), harmless, or else what
# went wrong, and $said.
attempt() {
	local code counts equal refused wrong
	said=$(timeout 60 "$KMSVOL" mount V D 2>&1)
	code=$?
	if [ "$code" -ne 0 ]; then
		verdict=refused
		[ "$code" -eq 4 ] || [ "$code" -eq 1 ] || [ "$code" -eq 3 ] || verdict="exit code $code"
		[[ $said == 'kmsvol: '* && $said != *$'\n'* ]] || verdict="not one sentence: $said"
		! mountpoint -q D || verdict='refused, but mounted'
		return
	fi
	counts=$(timeout 60 "$DIFF" compare D/disk IMAGE 2>&1)
	code=$?
	read -r equal refused wrong <<<"$counts"
	if [ "$code" -gt 1 ]; then
		verdict="no answer: $counts"
	elif [ "$wrong" -ne 0 ]; then
		verdict="$wrong wrong blocks, $refused refused"
	elif [ "$refused" -ne 0 ]; then
		verdict=unreadable
	elif [ "$equal" -eq 4096 ]; then
		verdict=harmless
	else
		verdict="odd counts $counts"
	fi
	timeout 60 "$KMSVOL" unmount D || verdict="no unmount after $verdict"
}

restore() {
	rm -rf V
	cp -a GOOD V
}

# Files of the volume that are not merely a record of events or a lock.
volume_files() {
	(cd GOOD && find . -type f -size +0 ! -name lock ! -name events.jsonl -printf '%P\n' | sort)
}

# flip FILE BIT
flip() {
	"$DIFF" flip "V/$1" "$2" || exit 1
	attempt
	tally[${verdict%% *}]=$((${tally[${verdict%% *}]:-0} + 1))
	case $verdict in
	refused | unreadable | harmless) ;;
	*) wrong+=("bit $2 of $1: $verdict") ;;
	esac
	restore
}

# Bytes of a file that mean something: allocated ahead of the log's head there are only zeros.
length_of() {
	if [[ $1 == segments/* ]]; then
		echo $(($(tr -d '\0' <"GOOD/$1" | wc -c) * 257 / 256 + 4096))
	else
		stat -c %s "GOOD/$1"
	fi
}

flips() {
	local cipher=$1 files f n length last what="$1 $2"
	declare -A tally=()
	wrong=()
	make_good "$2" --cipher "$cipher"
	restore
	attempt
	is "$what: undamaged, it is right" "$verdict" harmless
	restore
	mapfile -t files < <(volume_files)
	for f in "${files[@]}"; do # the beginning and the end of each file, and of each of a root's fields
		length=$(stat -c %s "GOOD/$f")
		[ $((length * 8)) -gt 0 ] || continue
		flip "$f" $((RANDOM % 64))
		last=$(($(length_of "$f") > length ? length : $(length_of "$f")))
		flip "$f" $((last * 8 - 1 - RANDOM % 256))
		[[ $f != root.* ]] || for ((n = 8; n < length; n += 8)); do
			flip "$f" $((n * 8 + RANDOM % 64))
		done
		[[ $f != segments/* ]] || for ((n = 8; n < 176; n += 8)); do
			flip "$f" $((n * 8 + RANDOM % 64))
		done
	done
	for ((n = 0; n < FLIPS; n++)); do
		f=${files[RANDOM % ${#files[@]}]}
		length=$(length_of "$f")
		[ "$length" -le "$(stat -c %s "GOOD/$f")" ] || length=$(stat -c %s "GOOD/$f")
		flip "$f" $(((RANDOM << 15 | RANDOM) % (length * 8)))
	done
	note "$what: ${tally[refused]:-0} refused, ${tally[unreadable]:-0} unreadable in part," \
		"${tally[harmless]:-0} harmless, ${#wrong[@]} wrong"
	if [ ${#wrong[@]} -eq 0 ]; then
		pass "$what: no inverted bit brings wrong bytes"
	else
		fail "$what: no inverted bit brings wrong bytes" "${wrong[@]}"
	fi
	ok "$what: inverted bits were noticed" \
		test $((${tally[refused]:-0} + ${tally[unreadable]:-0})) -gt $((FLIPS / 3))
}

# damaged CLAIM REGEX: V is refused with a sentence that matches.
damaged() {
	attempt
	is "$1: verdict" "$verdict" refused
	like "$1: sentence" "$said" "$2"
	restore
}

# not_wrong CLAIM: V is refused, or shows the right bytes only; it may have fallen back on the other root.
not_wrong() {
	attempt
	like "$1: not served wrong" "$verdict" '^(refused|unreadable|harmless)$'
	restore
}

files() {
	local f n s size newest
	make_good clean
	for f in map root.0 root.1; do
		size=$(stat -c %s "GOOD/$f")
		restore
		for n in 0 1 $((size / 2)) $((size - 1)); do
			truncate -s "$n" "V/$f"
			not_wrong "$f cut to $n bytes"
		done
		rm "V/$f"
		not_wrong "$f deleted"
		head -c "$size" /dev/urandom >"V/$f"
		not_wrong "$f foreign"
		cp OLDER/"$f" "V/$f"
		not_wrong "$f older"
	done
	cp OLDER/root.* V/
	not_wrong 'both roots older'
	cp OLDER/root.* OLDER/map V/
	not_wrong 'both roots and the map older'
	rm V/root.*
	damaged 'no root' 'root\.[01]'
	for f in 0 1; do head -c 200 /dev/urandom >V/root.$f; done
	damaged 'both roots foreign' 'root\.[01]'
	truncate -s 60 V/root.0 V/root.1
	damaged 'both roots cut' 'root\.[01]'
	rm V/map
	damaged 'no map' 'map'
	truncate -s 0 V/map
	damaged 'an empty map' 'map'
	: >V/map && truncate -s 1M V/map
	damaged 'a map of zeros' 'map'
	for s in GOOD/segments/*; do
		s=segments/$(basename "$s")
		rm "V/$s"
		damaged "$s deleted" "$s"
		truncate -s 0 "V/$s"
		damaged "$s cut to nothing" "$s"
		truncate -s 127 "V/$s"
		damaged "$s cut in its header" "$s"
		head -c 200000 /dev/urandom >"V/$s"
		damaged "$s foreign" "$s"
		printf '\0\0\0\2' | dd of="V/$s" bs=1 seek=8 conv=notrunc status=none
		damaged "$s of another version" "$s"
		truncate -s 30000 "V/$s"
		not_wrong "$s cut in its records"
	done
	newest=$(basename "$s")
	for s in GOOD/segments/*; do
		s=$(basename "$s")
		[ "$s" != "$newest" ] || break
		cp "V/segments/$s" "V/segments/$newest"
		damaged "segments/$newest is a copy of $s" "segments/$newest"
	done
	rm -r V/segments
	damaged 'no segments' segments
	make_volume OTHER --size 16M
	cp OTHER/root.* OTHER/map V/
	damaged "another volume's map and roots" 'root'
	rm -rf V/segments
	cp -a OTHER/segments V/
	damaged "another volume's segments" 'segments/'
}

flips aes-256-gcm clean
flips aes-256-gcm killed
flips aes-256-xts killed
files
done_testing
