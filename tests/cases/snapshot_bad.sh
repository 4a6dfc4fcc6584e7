#!/bin/bash
# Snapshots with a segment missing, swapped or of another volume, with an older map, onto full disks, under names
# that are taken: whatever is done with them is refused in one sentence that names file and place, leaves
# nothing behind, and touches nothing else. Interrupted copies; many operations at once on one volume.
. "$(dirname "$0")/../lib/case.sh"
need aws jq
need_fuse

start_kmsd
make_key alias/other
make_key alias/demo
mkdir D
make_volume V --size 192M
head -c 140M /dev/urandom >image
"$KMSVOL" import image V >/dev/null
"$KMSVOL" snapshot create V OLD >/dev/null
mount_volume V D
dd if=/dev/urandom of=D/disk bs=64k count=40 seek=100 conv=notrunc,fsync status=none
"$KMSVOL" unmount D
"$KMSVOL" snapshot create V S >/dev/null
make_volume W --size 192M
head -c 140M /dev/urandom >image
"$KMSVOL" import image W >/dev/null
rm image
hash_all() {
	local d
	for d in V W S OLD; do tree_hash "$d"; done
}
BEFORE=$(hash_all)
read -r A B < <(ls -S S/segments | head -n 2 | xargs)

# each_refused CLAIM REGEX: all that reads the snapshot "bad" refuses it with exit code 4 and this.
each_refused() {
	local d
	for d in 'snapshot copy bad x --key-id alias/other' 'restore bad x --key-id alias/other' 'export bad x' 'mount bad D'; do
		# shellcheck disable=SC2086
		refused 4 "^kmsvol: [^:]*'[^:]*(bad|x)': (snapshot 'bad': )?$2" "$KMSVOL" $d
	done
	"$KMSVOL" check bad >report 2>&1
	is "$1: check ends with 4" $? 4
	like "$1: and names it" "$(cat report)" "$3"
	is "$1: nothing is left" "$(ls -d x* ./*.partial 2>/dev/null) $(mountpoint D)" " D is not a mountpoint"
	rm -rf bad
	cp -a S bad
}
cp -a S bad
rm "bad/segments/$A"
each_refused 'a segment is missing' "segments/$A: the file is missing, and map leaf [0-9]+ has a block in it$" "segments/$A"
truncate -s 1M "bad/segments/$A"
each_refused 'a segment is cut short' "segments/$A: the file is cut short: [0-9]+ bytes, its blocks need [0-9]+$" "segments/$A"
mv "bad/segments/$A" t && mv "bad/segments/$B" "bad/segments/$A" && mv t "bad/segments/$B"
each_refused 'two segments are swapped' "segments/($A|$B): header is of segment ($A|$B) " "segments/($A|$B)"
cp "W/segments/$A" "bad/segments/$A"
each_refused "a segment is another volume's" "segments/$A: .*" "segments/$A"
cp OLD/map bad/
each_refused 'the map is an older one' 'map: page at [0-9]+ .* is damaged or not of this checkpoint' 'map'
cp OLD/{map,root.0,root.1,flushed} bad/
each_refused 'map and roots are older ones' '.*root.0, root.1 or flushed is damaged or of another time' '^snapshot.json: root.0, root.1 or flushed is damaged or of another time'
cp S/volume.json t && cp W/volume.json bad/
each_refused 'the header is of another volume' "snapshot.json is of volume '[^']+', volume.json of '" "^snapshot.json: is of volume '[^']+', volume.json of '"
is 'all else is as it was' "$(hash_all)" "$BEFORE"

# --- disks that are full, names that are taken
if [ "$(id -u)" -eq 0 ]; then
	mkdir small
	mount -t tmpfs -o size=8m none small
	later umount small
	echo precious >small/mine
	refused 1 "^kmsvol: snapshot '[^']*small/x': .*No space left on device" "$KMSVOL" snapshot create V small/x
	refused 1 "^kmsvol: volume 'small/x': .*No space left on device" "$KMSVOL" restore S small/x
	refused 1 "^kmsvol: volume 'small/x': .*No space left on device" "$KMSVOL" restore S small/x --key-id alias/other
	refused 1 "^kmsvol: snapshot 'small/x': .*No space left on device" "$KMSVOL" snapshot copy S small/x --key-id alias/other
	refused 1 "^kmsvol: .*'small/x'.*No space left on device" "$KMSVOL" export S small/x
	is 'a full disk: nothing is left, and nothing else is touched' "$(ls small) $(cat small/mine)" 'mine precious'
fi
mkdir taken
echo precious >taken/mine
for c in 'snapshot create V' 'snapshot copy S --key-id alias/other' 'restore S' 'restore S --key-id alias/other'; do
	# shellcheck disable=SC2086
	refused 1 "'[^']*taken': (it )?exists" "$KMSVOL" $c taken
done
is 'what is there stays' "$(ls taken) $(cat taken/mine)" 'mine precious'

# --- interrupted: Ctrl-C, told to end, killed
for signal in INT TERM KILL; do
	for c in 'snapshot copy S cut --key-id alias/other' 'restore S cut --key-id alias/other'; do
		# What a shell starts in the background ignores SIGINT.
		# shellcheck disable=SC2086
		env --default-signal=INT "$KMSVOL" $c >/dev/null 2>cut.err &
		cut=$!
		until [ -e cut.partial/segments/00000002 ] || gone $cut; do :; done
		kill -$signal $cut
		wait $cut 2>/dev/null
		is "$signal: $c: exit code" $? $((128 + $(kill -l $signal)))
		is "$signal: no cut is there" "$(ls -d cut 2>/dev/null)" ''
		[ $signal = KILL ] || is "$signal: nor anything else" "$(ls -d cut.partial 2>/dev/null) $(grep -vi interrupted cut.err)" ' '
	done
done
ok 'what a kill left is cleared away by the next' "$KMSVOL" snapshot copy S cut --key-id alias/other
is 'and is whole' "$(ls -d cut*; "$KMSVOL" export cut - | sha256sum)" $'cut\ncut.err\n'"$("$KMSVOL" export S - | sha256sum)"
rm -rf cut

# --- many at once on one volume in use
mount_volume V D
dd if=/dev/urandom of=D/disk bs=64k count=1000 seek=1000 conv=notrunc status=none &
writer=$!
pids=()
for n in 1 2 3 4; do
	"$KMSVOL" snapshot create V "many$n" >"many$n.out" 2>&1 &
	pids+=($!)
	"$KMSVOL" restore S "volume$n" >"volume$n.out" 2>&1 &
	pids+=($!)
done
"$KMSVOL" snapshot copy S copy1 --key-id alias/other >copy1.out 2>&1 &
pids+=($!)
"$KMSVOL" snapshot delete OLD >delete.out 2>&1 &
pids+=($!)
bad=
for p in "${pids[@]}"; do
	wait "$p" || bad+=" $p"
done
wait "$writer"
is 'all of them succeed' "$bad$(cat ./*.out | grep '^kmsvol:')" ''
ok 'the volume is whole' "$KMSVOL" unmount D
ok 'as check says' "$KMSVOL" check V
bad=
sum=$("$KMSVOL" export S - | sha256sum)
for n in 1 2 3 4; do
	"$KMSVOL" check "many$n" >check.out 2>&1 || bad+=" many$n: $(cat check.out)"
	[ "$("$KMSVOL" export "volume$n" - | sha256sum)" = "$sum" ] || bad+=" volume$n differs"
done
[ "$("$KMSVOL" export copy1 - | sha256sum)" = "$sum" ] || bad+=' copy1 differs'
is 'and so is each of the others' "$bad" ''
# Two that want one name: one has it.
codes=$(for n in 1 2 3; do
	("$KMSVOL" snapshot create V same >/dev/null 2>same.$n; echo $?) &
done; wait)
is 'of three with one name one is made' "$(sort <<<"$codes" | xargs)" '0 1 1'
like 'the others say why' "$(cat same.?)" "^kmsvol: (snapshot '[^']*same': exists already|volume '[^']*V': in use by process [0-9]+)$"
is 'and nothing else is said' "$(cat same.? | wc -l)" 2
ok 'it is whole' "$KMSVOL" check same
done_testing
